"""How messages travel and are kept. Only the front door imports this room."""
