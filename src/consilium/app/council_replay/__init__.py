"""A historical paper run played again under the council: what its rules were worth there."""
