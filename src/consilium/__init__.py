"""Consilium: from market data to a governed trading decision.

One idea runs through it: influence is earned by being right.
"""

__version__ = "0.1.0"
