"""The council in a running service: its settings, what it is told, and what becomes of what it rules."""
