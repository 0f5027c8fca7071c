"""The 50 features of order books and trades: whole series at once, or snapshot by snapshot."""

from consilium.market.features.book.compute import compute_book_features, warm_up_seconds
from consilium.market.features.book.stream import BookFeatureStream
from consilium.market.features.book.table import BOOK, BOOK50

__all__ = ["BOOK", "BOOK50", "BookFeatureStream", "compute_book_features", "warm_up_seconds"]
