"""Features computed from candles and indicators: whole series at once, or bar by bar with the same values."""

from consilium.market.features.catalogue import (
    FEATURE_SETS,
    FEATURES,
    feature_names,
    features_hash,
    warm_up,
)
from consilium.market.features.compute import compute_features, compute_panel
from consilium.market.features.spec import FeatureSpec
from consilium.market.features.stream import FeatureStream

__all__ = [
    "FEATURES",
    "FEATURE_SETS",
    "FeatureSpec",
    "FeatureStream",
    "compute_features",
    "compute_panel",
    "feature_names",
    "features_hash",
    "warm_up",
]
