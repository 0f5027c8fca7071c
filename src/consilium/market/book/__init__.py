"""Order books: rebuilt from an exchange's diffs, kept as columns, read and written as files."""
