"""Which features there are, which sets of them have a name, and what identifies a choice of them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType

from consilium.domain.errors import InvalidValue, UnknownName, UsageError
from consilium.market.features.book.table import BOOK, BOOK50
from consilium.market.features.candle import CANDLE
from consilium.market.features.indicator import INDICATOR
from consilium.market.features.program import Program, compiled
from consilium.market.features.spec import FeatureSpec

FAMILY_SIZES = {"candle": 25, "indicator": 37, "book": 50}
"""What each family must hold: 112 in all."""

FEATURES: Mapping[str, FeatureSpec] = MappingProxyType({**CANDLE, **INDICATOR, **BOOK})
"""Name of a feature -> what is known of it, families in order."""

_SIZES = {family: sum(spec.family == family for spec in FEATURES.values()) for family in FAMILY_SIZES}
if _SIZES != FAMILY_SIZES:
    raise InvalidValue(f"the families must hold {FAMILY_SIZES}", _SIZES, "keep the feature tables complete")

FEATURE_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "core14": (
            "return_1",
            "range_1",
            "volatility_20",
            "position_24",
            "volume_change_1",
            "ema_10_gap",
            "ema_50_gap",
            "rsi_14",
            "macd_atr",
            "macd_signal_atr",
            "bb_percent_b",
            "bb_width",
            "atr_14_ratio",
            "volume_ratio_20",
        ),
        "candle62": (*CANDLE, *INDICATOR),
        "book50": BOOK50,
        "full112": tuple(FEATURES),
    }
)
"""Name of a set -> its features in order."""

if len(FEATURE_SETS["full112"]) != sum(FAMILY_SIZES.values()) or sum(FAMILY_SIZES.values()) != 112:
    raise InvalidValue("25 + 37 + 50 must make 112", len(FEATURES), "give every feature a name of its own")


def feature_names(set_name: str) -> tuple[str, ...]:
    """Return the features of a named set, in order.

    Parameters
    ----------
    set_name
        ``core14``, ``candle62``, ``book50`` or ``full112``.

    Raises
    ------
    UnknownName
        No such set.

    Examples
    --------
    >>> feature_names("core14")[:3]
    ('return_1', 'range_1', 'volatility_20')
    >>> [len(feature_names(name)) for name in FEATURE_SETS]
    [14, 62, 50, 112]
    """
    if set_name not in FEATURE_SETS:
        raise UnknownName("feature set", set_name, FEATURE_SETS)
    return FEATURE_SETS[set_name]


def specs_of(names: Sequence[str]) -> tuple[FeatureSpec, ...]:
    """Return what is known of some features.

    Raises
    ------
    UnknownName
        A feature is in no table.
    InvalidValue
        There are none.
    """
    if isinstance(names, str):
        raise InvalidValue("names must be a sequence of features", f"'{names}'", "give a tuple of names")
    if not names:
        raise InvalidValue("names must hold at least one feature", "none", "name features or a set of them")
    for name in names:
        if name not in FEATURES:
            raise UnknownName("feature", name, FEATURES)
    return tuple(FEATURES[name] for name in names)


def warm_up(names: Sequence[str]) -> int:
    """Return how many bars some features need: from row ``warm_up - 1`` on all are finite.

    Features of books need seconds and not bars, and count as 1.

    Parameters
    ----------
    names
        Features.

    Raises
    ------
    UnknownName
        A feature is in no table.

    Examples
    --------
    >>> warm_up(["return_1"]), warm_up(feature_names("core14")), warm_up(feature_names("candle62"))
    (2, 250, 1000)
    """
    return max(spec.warm_up for spec in specs_of(names))


def features_hash(names: Sequence[str]) -> str:
    """Return what identifies some features in this order, formulas included: 16 hexadecimal digits.

    A model is fitted to one hash and refuses inputs with another.

    Parameters
    ----------
    names
        Features.

    Raises
    ------
    UnknownName
        A feature is in no table.

    Examples
    --------
    >>> features_hash(["body", "return_1"]) == features_hash(["return_1", "body"])
    False
    """
    # A book's warm-up stands where a bar's does, with its unit, so hashes of candles stay what they were.
    text = "\n".join(
        f"{spec.name}|{spec.formula}|"
        + (f"{spec.warm_up_seconds} s" if spec.name in BOOK else f"{spec.warm_up}")
        for spec in specs_of(names)
    )
    return sha256(text.encode()).hexdigest()[:16]


@lru_cache(maxsize=32)
def program_of(names: tuple[str, ...]) -> Program:
    """Return the program that computes some features of candles.

    Raises
    ------
    UsageError
        One is of order books.
    """
    specs = specs_of(names)
    for spec in specs:
        if spec.name in BOOK:
            raise UsageError(
                "features of candles must not need an order book",
                f"'{spec.name}'",
                "choose candle62 or core14, or compute_full112 where there are books",
            )
    return compiled([spec.term for spec in specs])
