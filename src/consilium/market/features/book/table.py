"""The 50 features of order books and trades.

m mid, w spread, B_j and A_j sizes at level j, SB_k and SA_k their sums over k levels, d_j distance of level j
from the mid, D = ln(SB_5 + SA_5), r = ln(m/m1) from snapshot to snapshot. Windows are in seconds and end with
the snapshot. Anything over 0 is 0, and so is the logarithm of a ratio in which either side is 0.

References
----------
R. Cont, A. Kukanov, S. Stoikov (2014), eq. 4 and 6, for ofi_1; K. Xu, M. D. Gould, S. D. Howison (2018) and
R. Cont, M. Cucuringu, C. Zhang, Cross-impact of order flow imbalance in equity markets, Quantitative Finance
23 (2023), eq. 3, for deeper levels over their mean depth; S. Stoikov, The micro-price, Quantitative Finance
18 (2018), section 1, for the weighted mid; J. Hasbrouck, Trading costs and returns for U.S. equities, Journal
of Finance 64 (2009), eq. 5, for signed roots; A. S. Kyle, Econometrica 53 (1985), for lambda itself.
"""

from collections.abc import Mapping
from math import sqrt
from types import MappingProxyType

from consilium.domain.errors import InvalidValue
from consilium.market.features import elementwise as of_row
from consilium.market.features.book.levels import DEPTHS
from consilium.market.features.book.quantity import LATEST, LEVELS, NOW, OVER, over_spread
from consilium.market.features.operation import SMALLEST_MOVE
from consilium.market.features.spec import FeatureSpec
from consilium.market.features.term import (
    Term,
    log,
    log_ratio,
    make,
    ratio,
    rising,
    root,
    within_one,
)

MID, SPREAD = LEVELS["mid"], LEVELS["spread"]
IN_BPS = 1e4
CORRELATION_FLOOR = 1e-6
"""Deviations below this fraction of the root mean square are what rounding leaves of none."""
ROOT_VARIANCE_30 = root(OVER[30]["rr"])


def _bps(distance: Term) -> Term:
    return ratio(distance, MID) * IN_BPS


def _imbalance(bid: Term, ask: Term) -> Term:
    return ratio(bid - ask, bid + ask)


def _deviations(x: Term, xx: Term, n: Term) -> Term:
    return rising(xx - x * ratio(x, n))


def _z(now: Term, x: Term, xx: Term, n: Term, scale: Term) -> Term:
    deviation = root(ratio(_deviations(x, xx, n), n + -1.0))
    floor = scale + root(ratio(xx, n)) * (CORRELATION_FLOOR / SMALLEST_MOVE)
    return make(of_row.Ratio(SMALLEST_MOVE), now - ratio(x, n), deviation, floor)


def _correlation(x: Term, y: Term, xx: Term, yy: Term, xy: Term, n: Term) -> Term:
    both = root(_deviations(x, xx, n)) * root(_deviations(y, yy, n))
    return within_one(make(of_row.Ratio(CORRELATION_FLOOR), xy - x * ratio(y, n), both, root(xx) * root(yy)))


def _ones(x: Term) -> Term:
    return x * 0.0 + 1.0


def _microprice_5() -> Term:
    bid, ask = LEVELS["bid_5"], LEVELS["ask_5"]
    above = ratio(LEVELS["ask_moment"], ask) * bid
    below = ratio(LEVELS["bid_moment"], bid) * ask
    return over_spread(ratio(above - below, bid + ask))


def _microprice() -> Term:
    bid, ask = LEVELS["bid_1"], LEVELS["ask_1"]
    return over_spread(ratio((bid - ask) * SPREAD * 0.5, bid + ask))


def _slope(side: str) -> Term:
    return ratio(LEVELS[f"{side}_rise"] * SPREAD, LEVELS[f"{side}_run"] * LEVELS[f"{side}_20"])


def _cost(side: str) -> Term:
    return _bps(SPREAD * 0.5 + ratio(LEVELS[f"{side}_walk"], LATEST["walked"]))


def _ofi(levels: int, seconds: int) -> Term:
    window = OVER[seconds]
    return ratio(window[f"flow_{levels}"], ratio(window[f"depth_{levels}"], window["books"]))


def _queue_change(side: str) -> Term:
    return log_ratio(LEVELS[f"{side}_1"], OVER[1][f"past_{side}_1"])


def _mid_return(seconds: int) -> Term:
    return ratio(log_ratio(MID, OVER[seconds]["past_mid"]), ROOT_VARIANCE_30, SMALLEST_MOVE)


def _spread_z() -> Term:
    window = OVER[30]
    return _z(NOW["spread"], window["spread"], window["spread2"], window["books"], MID)


def _depth_z() -> Term:
    window = OVER[30]
    n = window["books"]
    return _z(NOW["log_depth"], window["log_depth"], window["log_depth2"], n, _ones(n))


def _size_z() -> Term:
    window = OVER[30]
    n = window["trades"]
    z = _z(LATEST["last_log_size"], window["log_size"], window["log_size2"], n, _ones(n))
    return make(of_row.POSITIVE, n) * z


def _autocorrelation() -> Term:
    w = OVER[30]
    return _correlation(w["r"], w["r1"], w["rr"], w["r1r1"], w["rr1"], w["books"])


def _kyle() -> Term:
    w = OVER[30]
    return _correlation(w["dm"], w["s"], w["dmdm"], w["ss"], w["dms"], w["books"])


def _intensity() -> Term:
    return log(ratio(OVER[5]["trades"] + 1.0, OVER[30]["trades"] * (1.0 / 6) + 1.0))


def _moves(side: str) -> Term:
    return ratio(OVER[5][f"{side}_step"], OVER[5][f"{side}_moved"])


def _cancelled() -> Term:
    return ratio(rising(OVER[5]["left"] - OVER[5]["volume"]), OVER[5]["left"])


ROWS: tuple[tuple[str, int, str, str, Term], ...] = (
    ("spread_bps", 0, "1e4 w/m", "spread beside the price", _bps(SPREAD)),
    ("spread_z_30s", 30, "(w - mean30s w) / std30s w", "spread beside usual", _spread_z()),
    (
        "spread_ticks",
        0,
        "w / smallest gap between prices of the session so far (or the tick size given)",
        "spread in steps of price",
        make(of_row.Ratio(SMALLEST_MOVE), SPREAD, LATEST["tick"], MID),
    ),
    (
        "microprice_gap",
        0,
        "(mp - m) / w, mp = (b1 A1 + a1 B1) / (A1 + B1)",
        "mid weighted by the other side's queue; with these weights half of imbalance_1",
        _microprice(),
    ),
    (
        "microprice_5_gap",
        0,
        "(mp - m) / w, mp = (b SA5 + a SB5) / (SA5 + SB5), b, a mean prices of 5 levels",
        "the same over 5 levels",
        _microprice_5(),
    ),
    *(
        (
            f"imbalance_{k}",
            0,
            f"(SB{k} - SA{k}) / (SB{k} + SA{k})",
            f"balance of {k} level{'s' * (k > 1)}",
            _imbalance(LEVELS[f"bid_{k}"], LEVELS[f"ask_{k}"]),
        )
        for k in DEPTHS
    ),
    (
        "imbalance_decay",
        0,
        "sum e^(-(j-1)/5) (B_j - A_j) / sum e^(-(j-1)/5) (B_j + A_j)",
        "balance, near levels first",
        _imbalance(LEVELS["bid_decayed"], LEVELS["ask_decayed"]),
    ),
    (
        "depth_top_share_bid",
        0,
        "B1 / SB20",
        "share of the best bid",
        ratio(LEVELS["bid_1"], LEVELS["bid_20"]),
    ),
    (
        "depth_top_share_ask",
        0,
        "A1 / SA20",
        "share of the best ask",
        ratio(LEVELS["ask_1"], LEVELS["ask_20"]),
    ),
    ("depth_z_30s", 30, "(D - mean30s D) / std30s D", "depth beside usual", _depth_z()),
    ("slope_bid", 0, "OLS slope of SB_j/SB20 on d_j/w", "how fast bids add up", _slope("bid")),
    ("slope_ask", 0, "OLS slope of SA_j/SA20 on d_j/w", "how fast asks add up", _slope("ask")),
    ("gap_bid_1_2", 0, "(b1 - b2) / w", "hole behind the best bid", over_spread(LEVELS["bid_gap"])),
    ("gap_ask_1_2", 0, "(a2 - a1) / w", "hole behind the best ask", over_spread(LEVELS["ask_gap"])),
    ("span_bid_bps", 0, "1e4 (m - b20) / m", "reach of 20 bids", _bps(LEVELS["bid_span"])),
    ("span_ask_bps", 0, "1e4 (a20 - m) / m", "reach of 20 asks", _bps(LEVELS["ask_span"])),
    (
        "cost_buy_bps",
        30,
        "1e4 (p - m) / m, p mean price of buying Q = 10 median30s v",
        "cost of buying 10 usual trades",
        _cost("ask"),
    ),
    (
        "cost_sell_bps",
        30,
        "1e4 (m - p) / m, p mean price of selling Q",
        "cost of selling as much",
        _cost("bid"),
    ),
    *(
        (
            f"ofi_{k}_{seconds}s",
            seconds,
            f"sum{seconds}s e{k} / mean{seconds}s (SB{k} + SA{k})/2, e{k} = sum_(j<={k}) of flows at level j",
            f"orders that came less those that left, {k} level{'s' * (k > 1)}",
            _ofi(k, seconds),
        )
        for k, seconds in ((1, 1), (1, 5), (1, 30), (5, 1), (5, 5), (10, 5))
    ),
    (
        "queue_change_bid_1s",
        1,
        "ln(B1 / B1 1 s ago)",
        "growth of the best bid's queue",
        _queue_change("bid"),
    ),
    (
        "queue_change_ask_1s",
        1,
        "ln(A1 / A1 1 s ago)",
        "growth of the best ask's queue",
        _queue_change("ask"),
    ),
    ("bid_moves_5s", 5, "(up - down) / moves of b1 in 5 s", "where the best bid goes", _moves("bid")),
    ("ask_moves_5s", 5, "(up - down) / moves of a1 in 5 s", "where the best ask goes", _moves("ask")),
    *(
        (
            f"mid_return_{seconds}s",
            30,
            f"ln(m / m {seconds} s ago) / rv30, rv30 = sqrt(sum30s r^2)",
            f"return of {seconds} s in its usual size",
            _mid_return(seconds),
        )
        for seconds in OVER
    ),
    *(
        (
            f"realised_vol_{seconds}s",
            seconds,
            f"1e4 sqrt(sum{seconds}s r^2)",
            f"volatility of {seconds} s in bps",
            root(OVER[seconds]["rr"]) * IN_BPS,
        )
        for seconds in (5, 30)
    ),
    (
        "vol_ratio_5_30",
        30,
        "sqrt(6 sum5s r^2 / sum30s r^2)",
        "volatility lately beside usual: 1 as usual, 0 none",
        ratio(root(OVER[5]["rr"]), ROOT_VARIANCE_30, SMALLEST_MOVE) * sqrt(6),
    ),
    ("mid_autocorr_30s", 30, "corr30s(r, r1)", "do moves go on or turn back", _autocorrelation()),
    *(
        (
            f"trade_imbalance_{seconds}s",
            seconds,
            f"(Vb - Vs) / (Vb + Vs) of {seconds} s",
            "bought less sold",
            ratio(OVER[seconds]["signed_volume"], OVER[seconds]["volume"]),
        )
        for seconds in OVER
    ),
    (
        "trade_intensity_5s",
        30,
        "ln((1 + n5s) / (1 + n30s/6)), n numbers of trades",
        "trades lately beside usual",
        _intensity(),
    ),
    (
        "trade_size_z_30s",
        30,
        "(ln v - mean30s ln v) / std30s ln v, v of the last trade; 0 without trades",
        "last trade's size beside usual",
        _size_z(),
    ),
    (
        "kyle_lambda_30s",
        30,
        "corr30s(dm, S), S = sum of sqrt(v) bought less sold since the snapshot before",
        "do trades move the price",
        _kyle(),
    ),
    (
        "vpin_50",
        30,
        "sum |Vb - Vs| / sum V over the last 50 buckets of volume, each of V = V30s/50",
        "lean of trades in volume time",
        LATEST["vpin"],
    ),
    (
        "last_trade_gap",
        0,
        "(p - m) / w, p last price of the session; 0 without one",
        "last trade off the mid",
        over_spread(LATEST["last_price"] - MID),
    ),
    (
        "effective_spread_5s",
        5,
        "mean5s 2 |p - m| / w, m and w of the snapshot before the trade",
        "what takers pay, in spreads",
        ratio(OVER[5]["effective_spread"], OVER[5]["trades"]),
    ),
    (
        "update_rate_5s",
        5,
        "snapshots of 5 s that differ from the one before / 5",
        "changes of the book a second",
        OVER[5]["changed"] * (1.0 / 5),
    ),
    (
        "cancel_ratio_5s",
        5,
        "max(L - V, 0) / L, L what left the best queues in 5 s, V what was traded",
        "share that left untraded",
        _cancelled(),
    ),
)

BOOK: Mapping[str, FeatureSpec] = MappingProxyType(
    {
        name: FeatureSpec(
            name=name, family="book", formula=formula, meaning=meaning, term=term, warm_up_seconds=seconds
        )
        for name, seconds, formula, meaning, term in ROWS
    }
)
"""Name of a feature of books -> what is known of it."""

BOOK50: tuple[str, ...] = tuple(BOOK)

if len(BOOK50) != 50:
    raise InvalidValue("there must be 50 features of books", len(BOOK50), "keep the table complete")
