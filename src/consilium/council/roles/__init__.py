"""One file per officer; empty until the council sits."""
