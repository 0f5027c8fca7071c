"""Features computed from candles and indicators."""
