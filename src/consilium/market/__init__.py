"""What was observed: candles, sources, feeds, the simulator, and the features computed from them."""
