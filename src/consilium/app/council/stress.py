"""The stress report of an account: what a fall, a gap and the worst days of its symbols would cost it."""

from collections.abc import Mapping, Sequence
from typing import Any

FALLS = (0.05, 0.10, 0.20, 0.35)
SPANS = (1, 5, 30)
"""Bars over which the worst moves of a symbol are looked for."""


def stress_report(
    ts: int,
    *,
    equity: float,
    positions: Mapping[str, Mapping[str, Any]],
    closes: Mapping[str, Sequence[float]],
    snapshots: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Tell what the account would lose, and where its drawdown came from.

    Parameters
    ----------
    ts
        The newest close.
    equity
        Quote units.
    positions
        By symbol, with quantity, entry_price and stop.
    closes
        By symbol, its newest closes, oldest first.
    snapshots
        Newest snapshots of the account, oldest first.

    Examples
    --------
    >>> held = {"X": {"quantity": 2.0, "entry_price": 100.0, "stop": 95.0}}
    >>> closes = {"X": [100.0, 90.0, 100.0]}
    >>> report = stress_report(0, equity=1e3, positions=held, closes=closes, snapshots=())
    >>> report["falls"]["0.1"], report["stops_hit"], report["worst_moves"]["X"]["1"]
    (20.0, 10.0, -0.1)
    """
    marks = {symbol: closes[symbol][-1] for symbol in positions if closes.get(symbol)}
    value = sum(p["quantity"] * marks.get(s, p["entry_price"]) for s, p in positions.items())
    stops = [
        (marks.get(symbol, p["entry_price"]) - (p["stop"] or 0.0)) * p["quantity"]
        for symbol, p in positions.items()
    ]
    curve = [(int(s["ts_event"]), float(s["drawdown"])) for s in snapshots]
    worst = max(curve, key=lambda point: point[1], default=(0, 0.0))
    return {
        "ts_event": ts,
        "equity": equity,
        "held": value,
        "falls": {str(fall): round(value * fall, 8) for fall in FALLS},
        "stops_hit": round(sum(stops), 8),
        "gap_beyond_stops": {str(fall): round(value * fall - sum(stops), 8) for fall in FALLS},
        "worst_moves": {symbol: _worst(list(found)) for symbol, found in sorted(closes.items()) if found},
        "deepest_drawdown": {"ts_event": worst[0], "drawdown": worst[1]},
    }


def _worst(closes: Sequence[float]) -> dict[str, float]:
    return {
        str(span): round(min(later / closes[i] - 1.0 for i, later in enumerate(closes[span:])), 8)
        for span in SPANS
        if len(closes) > span
    }
