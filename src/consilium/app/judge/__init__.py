"""The run of the judge: the protocol that a verdict rests on, from candles to the two words."""
