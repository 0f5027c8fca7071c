"""Features of candles and of order books: whole series at once, or row by row with the same values."""

from consilium.market.features.book import (
    BOOK50,
    BookFeatureStream,
    compute_book_features,
    warm_up_seconds,
)
from consilium.market.features.catalogue import (
    FEATURE_SETS,
    FEATURES,
    feature_names,
    features_hash,
    warm_up,
)
from consilium.market.features.compute import compute_features, compute_panel
from consilium.market.features.full import (
    BookColumns,
    compute_full112,
    compute_matrix,
    join_book,
    last_snapshots,
    of_books,
)
from consilium.market.features.spec import FeatureSpec
from consilium.market.features.stream import FeatureStream

__all__ = [
    "BOOK50",
    "FEATURES",
    "FEATURE_SETS",
    "BookColumns",
    "BookFeatureStream",
    "FeatureSpec",
    "FeatureStream",
    "compute_book_features",
    "compute_features",
    "compute_full112",
    "compute_matrix",
    "compute_panel",
    "feature_names",
    "features_hash",
    "join_book",
    "last_snapshots",
    "of_books",
    "warm_up",
    "warm_up_seconds",
]
