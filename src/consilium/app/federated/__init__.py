"""Federated sessions, driven: in this process, or for participants elsewhere."""
