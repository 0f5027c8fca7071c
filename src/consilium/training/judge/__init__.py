"""What a forecast is worth: figures, bootstrap, verdict."""

from consilium.training.judge.block_length import optimal_block_length
from consilium.training.judge.bootstrap import (
    DRAWS,
    FEWEST_INDEPENDENT,
    TOO_FEW,
    interval,
    mean_block,
    resampled_sums,
    stationary_counts,
)
from consilium.training.judge.comparison import Comparison, compare_half_brier
from consilium.training.judge.economics import TradingVerdict, trading_verdict
from consilium.training.judge.figures import FIGURES, Figure, forecast_figures
from consilium.training.judge.reliability import Reliability, reliability
from consilium.training.judge.verdict import Verdict, verdict

__all__ = [
    "DRAWS",
    "FEWEST_INDEPENDENT",
    "FIGURES",
    "TOO_FEW",
    "Comparison",
    "Figure",
    "Reliability",
    "TradingVerdict",
    "Verdict",
    "compare_half_brier",
    "forecast_figures",
    "interval",
    "mean_block",
    "optimal_block_length",
    "reliability",
    "resampled_sums",
    "stationary_counts",
    "trading_verdict",
    "verdict",
]
