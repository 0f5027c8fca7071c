"""From predictions to a consensus."""
