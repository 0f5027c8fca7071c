"""The living service: what runs for months."""
