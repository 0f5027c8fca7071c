"""The quantities in which formulas of books are written, and what of a snapshot is summed over windows."""

from consilium.domain.time import SECOND_NS
from consilium.market.features import elementwise as of_row
from consilium.market.features.book.levels import LEVEL_COLUMNS
from consilium.market.features.operation import SMALLEST_MOVE
from consilium.market.features.program import Program, compiled
from consilium.market.features.term import Term, absolute, log, log_positive, make, root

WINDOWS = (1, 5, 30)
"""Seconds."""
WINDOW_NS = tuple(seconds * SECOND_NS for seconds in WINDOWS)


def _source(name: str) -> Term:
    return Term(None, (), 0, name)


LEVELS = {name: _source(name) for name in LEVEL_COLUMNS}
"""Of one snapshot and the one before."""
MOVES = {name: _source(name) for name in ("move", "return", "return_1", "signed_root", "spread_0", "depth_0")}
"""Change and log return of the mid, the return before, sum of side x sqrt(size) of the trades since the
snapshot before; spread and log depth of the session's first snapshot."""


def _flows() -> dict[str, Term]:
    q, m = LEVELS, MOVES
    r, r1, dm, s = m["return"], m["return_1"], m["move"], m["signed_root"]
    spread = q["spread"] - m["spread_0"]
    depth = log_positive(q["bid_5"] + q["ask_5"]) - m["depth_0"]
    return {
        **{f"flow_{k}": q[f"flow_{k}"] for k in (1, 5, 10)},
        **{f"depth_{k}": (q[f"bid_{k}"] + q[f"ask_{k}"]) * 0.5 for k in (1, 5, 10)},
        "bid_step": q["bid_step"],
        "bid_moved": absolute(q["bid_step"]),
        "ask_step": q["ask_step"],
        "ask_moved": absolute(q["ask_step"]),
        "left": q["left"],
        "changed": q["changed"],
        "r": r,
        "rr": r * r,
        "r1": r1,
        "r1r1": r1 * r1,
        "rr1": r * r1,
        "dm": dm,
        "dmdm": dm * dm,
        "s": s,
        "ss": s * s,
        "dms": dm * s,
        "spread": spread,
        "spread2": spread * spread,
        "log_depth": depth,
        "log_depth2": depth * depth,
    }


FLOWS = _flows()
"""What is summed over the snapshots of a window. Spread and log depth are taken from those of the session's
first snapshot: their squares then lose no digits, and the deviations of a constant are exactly 0."""
FLOW_SOURCES = (*LEVELS.values(), *MOVES.values())
FLOW_PROGRAM: Program = compiled(tuple(FLOWS.values()), FLOW_SOURCES)

TRADE = {name: _source(name) for name in ("price", "size", "side", "mid", "spread", "log_size_0")}
"""Of one trade (side 1 bought, -1 sold), the snapshot before it, and the session's first trade."""

OVER_SPREAD = of_row.Ratio(SMALLEST_MOVE)
"""Distance over the spread, 0 where the spread is no more than rounding beside the mid."""


def _trade_flows() -> dict[str, Term]:
    t = TRADE
    log_size = log(t["size"]) - t["log_size_0"]
    return {
        "volume": t["size"],
        "signed_volume": t["side"] * t["size"],
        "log_size": log_size,
        "log_size2": log_size * log_size,
        "effective_spread": make(OVER_SPREAD, absolute(t["price"] - t["mid"]) * 2.0, t["spread"], t["mid"]),
        "signed_root": t["side"] * root(t["size"]),
    }


TRADE_FLOWS = _trade_flows()
TRADE_COLUMNS = tuple(TRADE_FLOWS)[:-1]
"""What is summed over the trades of a window; log sizes are taken from that of the session's first trade.
The signed root comes after them: it is summed from one snapshot to the next."""
TRADE_PROGRAM: Program = compiled(tuple(TRADE_FLOWS.values()), tuple(TRADE.values()))

KEPT = ("mid", "bid_1", "ask_1")
"""What is looked up in the last snapshot before a window."""

LATEST = {name: _source(name) for name in ("tick", "walked", "vpin", "last_price", "last_log_size")}
NOW = {name: _source(f"now_{name}") for name in ("spread", "log_depth")}


def _of_window(seconds: int) -> dict[str, Term]:
    names = (*FLOWS, "books", *KEPT, *TRADE_COLUMNS, "trades")
    # A kept quantity and a sum may share a name, so the kept ones say that they are of the past.
    return {name: _source(f"{name}_{seconds}s") for name in (f"past_{n}" if n in KEPT else n for n in names)}


OVER = {seconds: _of_window(seconds) for seconds in WINDOWS}
"""Seconds -> sums over the window, numbers of books and trades in it, what was kept from before it."""

SOURCES = (
    *LEVELS.values(),
    *LATEST.values(),
    *NOW.values(),
    *(term for window in OVER.values() for term in window.values()),
)
"""All that formulas of books may use, in the order in which batch and stream give it."""


def over_spread(distance: Term) -> Term:
    """Distance from the mid in spreads."""
    return make(OVER_SPREAD, distance, LEVELS["spread"], LEVELS["mid"])
