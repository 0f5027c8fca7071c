"""Parts of the five networks; everything in here needs the extra ``torch``."""
