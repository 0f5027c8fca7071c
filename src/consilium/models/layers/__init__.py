"""Building blocks shared by the forecasters."""
