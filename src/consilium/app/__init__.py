"""The front door: settings, bootstrap and the command line."""
