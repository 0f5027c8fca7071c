"""What a forecast is worth: figures, bootstrap, tests, verdict."""

from consilium.training.judge.ablation import Contribution, ablation
from consilium.training.judge.abstention import CoverageCurve, coverage_against_accuracy
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
from consilium.training.judge.controls import Rate, binomial_interval, power_table, rejection_rate
from consilium.training.judge.diebold_mariano import (
    IDENTICAL,
    DieboldMariano,
    diebold_mariano,
    long_run_variance,
    mean_test,
)
from consilium.training.judge.diversity import Diversity, effective_models
from consilium.training.judge.economics import TradingVerdict, trading_judgement, trading_verdict
from consilium.training.judge.eprocess import Bettor, LiveComparison, Standing, largest_difference
from consilium.training.judge.figures import FIGURES, Figure, forecast_figures
from consilium.training.judge.fixed_b import fixed_b_critical, fixed_b_p_value
from consilium.training.judge.holm import holm
from consilium.training.judge.information import icir, information_by_timestamp
from consilium.training.judge.months import Month, loss_by_month
from consilium.training.judge.paired import PAIRED, FigureDifference, figure_differences
from consilium.training.judge.pbo import Overfitting, overfitting_probability
from consilium.training.judge.permutation import BarReturns, PermutationTest, permutation_test
from consilium.training.judge.recalibration import recalibration
from consilium.training.judge.reliability import Reliability, reliability
from consilium.training.judge.sharpe import (
    DeflatedSharpe,
    Moments,
    deflated_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_by_luck,
)
from consilium.training.judge.spa import ConfidenceSet, SuperiorAbility, confidence_set, superior_ability
from consilium.training.judge.timestamps import mean_by_timestamp
from consilium.training.judge.trial_clusters import cluster_returns, cluster_trials, mean_silhouette
from consilium.training.judge.verdict import Verdict, verdict

__all__ = [
    "DRAWS",
    "FEWEST_INDEPENDENT",
    "FIGURES",
    "IDENTICAL",
    "PAIRED",
    "TOO_FEW",
    "BarReturns",
    "Bettor",
    "Comparison",
    "ConfidenceSet",
    "Contribution",
    "CoverageCurve",
    "DeflatedSharpe",
    "DieboldMariano",
    "Diversity",
    "Figure",
    "FigureDifference",
    "LiveComparison",
    "Moments",
    "Month",
    "Overfitting",
    "PermutationTest",
    "Rate",
    "Reliability",
    "Standing",
    "SuperiorAbility",
    "TradingVerdict",
    "Verdict",
    "ablation",
    "binomial_interval",
    "cluster_returns",
    "cluster_trials",
    "compare_half_brier",
    "confidence_set",
    "coverage_against_accuracy",
    "deflated_sharpe",
    "diebold_mariano",
    "effective_models",
    "figure_differences",
    "fixed_b_critical",
    "fixed_b_p_value",
    "forecast_figures",
    "holm",
    "icir",
    "information_by_timestamp",
    "interval",
    "largest_difference",
    "long_run_variance",
    "loss_by_month",
    "mean_block",
    "mean_by_timestamp",
    "mean_silhouette",
    "mean_test",
    "minimum_track_record",
    "optimal_block_length",
    "overfitting_probability",
    "permutation_test",
    "power_table",
    "probabilistic_sharpe",
    "recalibration",
    "rejection_rate",
    "reliability",
    "resampled_sums",
    "sharpe_by_luck",
    "stationary_counts",
    "superior_ability",
    "trading_judgement",
    "trading_verdict",
    "verdict",
]
