"""Trading on recorded order books: fills by walking levels, queues, stops, perpetuals."""
