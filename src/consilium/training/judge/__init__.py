"""Is a forecast worth anything? Figures, bootstrap, verdict."""
