"""What identifies the columns that a model reads, be they of bars or of books."""

from hashlib import sha256

from consilium.market.book.rows import levels_in, row_names, rows_hash
from consilium.market.features import features_hash


def columns_hash(names: tuple[str, ...]) -> str:
    """Return what identifies the columns that a model reads, formulas included.

    Examples
    --------
    >>> columns_hash(("return_1",)) == features_hash(("return_1",))
    True
    >>> columns_hash(row_names(1)) == columns_hash(row_names(2))
    False
    """
    levels = levels_in(names)
    if not levels:
        return features_hash(names)
    rest = names[len(row_names(levels)) :]
    told = f"{rows_hash(levels)} {features_hash(rest) if rest else ''}"
    return sha256(told.encode()).hexdigest()[:16]
