"""Reputation, rewards and votes. Its ledger comes after the secure rounds."""
