"""Options that say how orders are filled."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from consilium.app.cli.options import merged
from consilium.app.settings import Settings
from consilium.domain import UsageError

Fills = Annotated[
    str,
    typer.Option(
        "--fills",
        metavar="candles|book",
        help="Fill orders from candles, or by walking the books of --books.",
    ),
]
Latency = Annotated[
    str | None,
    typer.Option("--latency", metavar="LENGTH", help="From a signal to the exchange, such as 50ms or 0."),
]
Queue = Annotated[
    str | None,
    typer.Option(
        "--queue",
        metavar="POSITION",
        help="Where a resting order joins its level: back, front, or the share of it that stands before.",
    ),
]
Entry = Annotated[
    str | None,
    typer.Option("--entry", metavar="market|limit", help="Open at market, or at a limit at the best price."),
]
Patience = Annotated[
    str | None,
    typer.Option("--patience", metavar="LENGTH", help="How long an entry waits at its limit, such as 2s."),
]
Shorts = Annotated[
    bool | None,
    typer.Option(
        "--shorts/--no-shorts", help="Let DOWN open a short position in perpetuals.", show_default="no"
    ),
]
Notional = Annotated[
    float | None,
    typer.Option("--notional", help="Value of each position; sized by risk if not given."),
]
MakerFee = Annotated[
    float | None,
    typer.Option("--maker-fee", help="Share of the value that a resting order pays (default 0.001)."),
]
TakerFee = Annotated[
    float | None,
    typer.Option("--taker-fee", help="Share of the value that an order pays which takes (default 0.001)."),
]

_UNITS = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0}
_PLACES = {"back": 1.0, "front": 0.0}
_OPTIONS = {"latency_ms": "latency", "patience_ms": "patience"}


def milliseconds(option: str, text: str) -> float:
    """Read a length of time in milliseconds; 0 needs no unit.

    Raises
    ------
    UsageError
        Below 0, or no length.

    Examples
    --------
    >>> milliseconds("latency", "50ms"), milliseconds("patience", "1.5s"), milliseconds("latency", "0")
    (50.0, 1500.0, 0.0)
    """
    found = re.fullmatch(r"(-?)([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m)?", text.strip())
    if found is None or (found[3] is None and float(found[2]) != 0.0):
        raise UsageError(f"--{option} must be a number and ms, s or m", f"'{text}'", "write for example 50ms")
    if found[1]:
        raise UsageError(f"--{option} must be >= 0", f"'{text}'", "leave the sign out")
    return float(found[2]) * _UNITS.get(found[3] or "ms", 1.0)


def place_in_queue(text: str) -> float:
    """Read a place in the queue: back, front, or a share.

    Raises
    ------
    UsageError
        Neither a word nor a share in [0, 1].

    Examples
    --------
    >>> place_in_queue("back"), place_in_queue("0.25")
    (1.0, 0.25)
    """
    if text in _PLACES:
        return _PLACES[text]
    if re.fullmatch(r"[0-9]*\.?[0-9]+", text) is None or not 0.0 <= float(text) <= 1.0:
        raise UsageError("--queue must be back, front or a share in [0, 1]", f"'{text}'", "use back")
    return float(text)


def book_terms(
    *,
    latency: str | None,
    queue: str | None,
    entry: str | None,
    patience: str | None,
    shorts: bool | None,
    notional: float | None,
) -> dict[str, Any]:
    """Return what was given of the section ``book`` of the settings, by its keys there.

    Raises
    ------
    UsageError
        A length of time or a place in the queue that cannot be.
    """
    waits = None if patience is None else milliseconds("patience", patience)
    if waits == 0.0:
        raise UsageError("--patience must be > 0", f"'{patience}'", "write for example 2s")
    given = {
        "latency_ms": None if latency is None else milliseconds("latency", latency),
        "queue": None if queue is None else place_in_queue(queue),
        "entry": entry,
        "patience_ms": waits,
        "shorts": shorts,
        "notional": notional,
    }
    return {key: value for key, value in given.items() if value is not None}


def settings_filled(
    settings: Settings,
    *,
    fills: str,
    book: Mapping[str, Any],
    maker_fee: float | None,
    taker_fee: float | None,
) -> Settings:
    """Let the options given on the command line prevail over the settings.

    Raises
    ------
    UsageError
        An option outside its bound, or one for books while orders are filled from candles.
    """
    if book and fills == "candles":
        name = next(iter(book))
        raise UsageError(
            f"--{_OPTIONS.get(name, name)} is about fills from books", "--fills candles", "add --fills book"
        )
    changed = {
        "book": merged(settings.book, **book),
        "costs": merged(settings.costs, maker_fee=maker_fee, taker_fee=taker_fee),
    }
    return settings.model_copy(update=changed)
