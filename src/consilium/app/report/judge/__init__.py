"""The report of the judge: its page, and its print in a terminal."""
