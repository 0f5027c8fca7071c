"""Books and trades recorded from an exchange as they happen."""
