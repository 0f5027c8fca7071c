"""How the messages of federated rounds travel: inside this process, or over HTTPS."""
