"""The six officers' room: what limits are in force."""
