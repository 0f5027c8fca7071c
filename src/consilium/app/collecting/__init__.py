"""Recording order books from an exchange, and serving recordings as an exchange."""
