"""Simulated markets by a line of settings: ``simulate:kind=book,symbols=2,bars=4000,strength=0.6``."""

from collections.abc import Mapping
from typing import Any

from consilium.domain import UnknownName, UsageError
from consilium.market.candles import CandleSeries
from consilium.market.simulator import KINDS, SimulatedBooks, simulate, simulate_falls
from consilium.market.simulator.falls import FALLS, shortest
from consilium.market.simulator.falls import KIND as DRAWDOWN

WORD = "simulate"
BOOK = "book"
CANDLE_KEYS = {"symbols": int, "bars": int, "signal_ic": float, "kind": str, "seed": int}
FALL_KEYS = {"symbols": int, "bars": int, "falls": str, "kind": str, "seed": int}
BOOK_KEYS = {"symbols": int, "bars": int, "strength": float, "kind": str, "seed": int}


AFTERWARDS = 2_016
"""Bars after the last fall, where none are asked for: twelve weeks of hours."""


def is_simulated(data: str) -> bool:
    """Tell whether data are simulated.

    Examples
    --------
    >>> is_simulated("simulate:bars=900"), is_simulated("simulated.parquet")
    (True, False)
    """
    return data == WORD or data.startswith(f"{WORD}:")


def has_books(data: str) -> bool:
    """Tell whether data are a simulated market of books.

    Examples
    --------
    >>> has_books("simulate:bars=900,kind=book"), has_books("simulate:kind=garch")
    (True, False)
    """
    return is_simulated(data) and _given(data).get("kind") == BOOK


def simulated_candles(data: str, seed: int) -> Mapping[str, CandleSeries]:
    """Simulate candles as a line of settings says.

    Raises
    ------
    UsageError
        A setting that is no number.
    UnknownName
        A setting that is not there.
    """
    if _given(data).get("kind") == DRAWDOWN:
        return _falling(data, seed)
    settings: dict[str, object] = {"symbols": 4, "bars": 4000, "seed": seed}
    found = settings | _read(data, CANDLE_KEYS)
    if found.get("kind", KINDS[0]) not in KINDS:
        raise UnknownName("kind", str(found["kind"]), (*KINDS, DRAWDOWN, BOOK))
    return simulate(**found).series  # type: ignore[arg-type]  # read by CANDLE_KEYS


def _falling(data: str, seed: int) -> Mapping[str, CandleSeries]:
    """Simulate the market whose falls are given, as shares with a slash between them."""
    found = _read(data, FALL_KEYS)
    falls = _shares(str(found["falls"])) if "falls" in found else FALLS
    return simulate_falls(
        symbols=int(found.get("symbols", 1)),
        bars=int(found.get("bars", shortest(falls) + AFTERWARDS)),
        seed=int(found.get("seed", seed)),
        falls=falls,
    )


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split("/"))
    except ValueError:
        raise UsageError(
            "falls must be shares with a slash between them", repr(text), "write for example falls=0.03/0.02"
        ) from None


def simulated_books(data: str, seed: int, interval_ns: int) -> SimulatedBooks:
    """Prepare simulated books as a line of settings says, long enough for its bars.

    Parameters
    ----------
    data
        Settings; ``bars`` counts bars of ``interval_ns``.
    seed
        Unless the settings name one.
    interval_ns
        Length of a bar.

    Raises
    ------
    UsageError
        A setting that is no number.
    UnknownName
        A setting that is not there.

    Examples
    --------
    >>> simulated_books("simulate:kind=book,symbols=2,bars=30", 7, 10**9).symbols
    ('SIM00', 'SIM01')
    """
    found: dict[str, Any] = {"symbols": 2, "bars": 4000, "strength": 0.0, "seed": seed} | _read(
        data, BOOK_KEYS
    )
    return SimulatedBooks(
        count=found["symbols"],
        # The first trade may come a bar late, and the last snapshot only closes the bar before it.
        span_ns=(found["bars"] + 2) * interval_ns,
        strength=found["strength"],
        seed=found["seed"],
    )


def _given(data: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in data.partition(":")[2].split(",") if part)
    return {key.strip(): text.strip() for key, _, text in pairs}


def _read(data: str, keys: Mapping[str, type]) -> dict[str, "int | float | str"]:
    read: dict[str, int | float | str] = {}
    for key, text in _given(data).items():
        if key not in keys:
            raise UnknownName("simulator setting", key, keys)
        try:
            read[key] = keys[key](text)
        except ValueError:
            raise UsageError(f"{key} must be a number", repr(text), "write for example bars=4000") from None
    return read
