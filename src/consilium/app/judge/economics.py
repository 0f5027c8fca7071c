"""The economics of a verdict: what the account earned, at what costs, and whether luck explains it."""

from consilium.app.judge.economics_daily import account_daily, daily_difference

__all__ = ["account_daily", "daily_difference"]
