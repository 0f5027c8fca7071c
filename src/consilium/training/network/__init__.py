"""The loop that teaches the networks of a run; everything in here needs the extra ``torch``."""
