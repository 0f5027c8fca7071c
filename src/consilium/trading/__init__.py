"""From consensus to fills inside the limits: risk gate, broker, portfolio, backtest."""
