"""A whole backtest: observe, train walk-forward, reach consensus, trade on paper, judge."""
