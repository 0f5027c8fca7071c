"""The run table: every training and every look at a result, aborted ones too, because each is a trial.

One SQLite file in WAL mode. It also remembers which outcomes each run has read, the daily returns of what it
tried, and what earlier verdicts said.
"""

from consilium.training.runs.openings import OBSERVED, Opening, market_of
from consilium.training.runs.returns import EarlierTrials
from consilium.training.runs.table import STATUSES, Run, RunRow, RunTable
from consilium.training.runs.verdicts import past_verdicts

__all__ = [
    "OBSERVED",
    "STATUSES",
    "EarlierTrials",
    "Opening",
    "Run",
    "RunRow",
    "RunTable",
    "market_of",
    "past_verdicts",
]
