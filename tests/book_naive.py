"""The 50 features of one snapshot in plain Python, from their definitions; slow, and shares no code."""

import math
import statistics
from bisect import bisect_left, bisect_right
from fractions import Fraction
from itertools import pairwise

import numpy as np

from consilium.domain.time import SECOND_NS
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries

Level = tuple[float, float]


def ratio(x: float, y: float) -> float:
    return x / y if y else 0.0


def log_ratio(x: float, y: float) -> float:
    return math.log(x / y) if x > 0 and y > 0 else 0.0


def z_score(now: float, values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    spread = statistics.stdev(values)
    return (now - statistics.fmean(values)) / spread if spread > 1e-9 * (abs(now) or 1.0) else 0.0


def correlation(x: list[float], y: list[float]) -> float:
    if len(x) < 2 or max(x) - min(x) < 1e-12 * max(map(abs, x)) or len(set(y)) == 1 or len(set(x)) == 1:
        return 0.0
    return statistics.correlation(x, y)


class Naive:
    """Features of rows of one session: rows ``first .. last`` of a book and the trades after its first."""

    def __init__(self, book: BookSeries, trades: TradeSeries) -> None:
        self.ts = [int(t) for t in book.ts_event]
        self.bids = [self._side(book.bid_price[i], book.bid_size[i]) for i in range(len(book))]
        self.asks = [self._side(book.ask_price[i], book.ask_size[i]) for i in range(len(book))]
        self.mid = [(b[0][0] + a[0][0]) / 2 for b, a in zip(self.bids, self.asks, strict=True)]
        self.spread = [a[0][0] - b[0][0] for b, a in zip(self.bids, self.asks, strict=True)]
        self.trades = [
            (int(t), float(p), float(v), 1 if buy else -1)
            for t, p, v, buy in zip(trades.ts_event, trades.price, trades.size, trades.taker_buy, strict=True)
            if t > self.ts[0]
        ]
        self.trade_times = [t for t, _, _, _ in self.trades]
        self.volumes: dict[int, Fraction] = {}
        self.returns = [0.0, *(math.log(b / a) for a, b in pairwise(self.mid))]

    @staticmethod
    def _side(price: np.ndarray, size: np.ndarray) -> list[Level]:
        return [(float(p), float(s)) for p, s in zip(price[:20], size[:20], strict=True) if not math.isnan(p)]

    def rows(self, i: int, seconds: int) -> list[int]:
        bound = self.ts[i] - seconds * SECOND_NS
        return [j for j in range(i + 1) if self.ts[j] > bound]

    def traded(self, i: int, seconds: int) -> list[tuple[int, float, float, int]]:
        times = self.trade_times
        bound = self.ts[i] - seconds * SECOND_NS
        return self.trades[bisect_right(times, bound) : bisect_right(times, self.ts[i])]

    def before(self, i: int, seconds: int) -> int:
        return max(j for j in range(i + 1) if self.ts[j] <= self.ts[i] - seconds * SECOND_NS)

    def snapshot_before(self, t: int) -> int:
        return bisect_left(self.ts, t) - 1

    def row(self, i: int) -> dict[str, float]:
        return {**self.of_levels(i), **self.of_flow(i), **self.of_moves(i), **self.of_trades(i)}

    def of_levels(self, i: int) -> dict[str, float]:
        bids, asks, m, w = self.bids[i], self.asks[i], self.mid[i], self.spread[i]
        (b1, size_b), (a1, size_a) = bids[0], asks[0]
        gaps = [
            abs(x[0] - y[0])
            for j in range(i + 1)
            for side in (self.bids[j], self.asks[j], [self.bids[j][0], self.asks[j][0]])
            for x, y in pairwise(side)
        ]
        tick = min(gaps)

        def total(side: list[Level], k: int) -> float:
            return sum(size for _, size in side[:k])

        def mean_price(side: list[Level]) -> float:
            return sum(p * s for p, s in side[:5]) / total(side, 5)

        sb5, sa5 = total(bids, 5), total(asks, 5)
        mp = (b1 * size_a + a1 * size_b) / (size_a + size_b)
        mp5 = (mean_price(bids) * sa5 + mean_price(asks) * sb5) / (sa5 + sb5)
        weights = [math.exp(-j / 5) for j in range(20)]
        db, da = (sum(e * s for e, (_, s) in zip(weights, side, strict=False)) for side in (bids, asks))

        def slope(side: list[Level]) -> float:
            x = [abs(p - m) / w for p, _ in side]
            y = [total(side, k + 1) / total(side, 20) for k in range(len(side))]
            return float(np.polyfit(x, y, 1)[0]) if len(x) > 1 else 0.0

        sizes = [v for _, _, v, _ in self.traded(i, 30)]
        quantity = 10 * statistics.median(sizes) if sizes else 0.0

        def cost(side: list[Level]) -> float:
            if not quantity:
                return abs(side[0][0] - m) / m * 1e4
            left, paid = quantity, 0.0
            for p, s in side:
                take = min(left, s)
                paid += take * p
                left -= take
            paid += left * side[-1][0]
            return abs(paid / quantity - m) / m * 1e4

        window = self.rows(i, 30)

        def depth(j: int) -> float:
            return math.log(total(self.bids[j], 5) + total(self.asks[j], 5))

        found = {
            "spread_bps": w / m * 1e4,
            "spread_z_30s": z_score(round(w, 9), [round(self.spread[j], 9) for j in window]),
            "spread_ticks": w / tick,
            "microprice_gap": (mp - m) / w,
            "microprice_5_gap": (mp5 - m) / w,
            "imbalance_decay": (db - da) / (db + da),
            "depth_top_share_bid": size_b / total(bids, 20),
            "depth_top_share_ask": size_a / total(asks, 20),
            "depth_z_30s": z_score(depth(i), [depth(j) for j in window]),
            "slope_bid": slope(bids),
            "slope_ask": slope(asks),
            "gap_bid_1_2": (b1 - bids[1][0]) / w if len(bids) > 1 else 0.0,
            "gap_ask_1_2": (asks[1][0] - a1) / w if len(asks) > 1 else 0.0,
            "span_bid_bps": (m - bids[-1][0]) / m * 1e4,
            "span_ask_bps": (asks[-1][0] - m) / m * 1e4,
            "cost_buy_bps": cost(asks),
            "cost_sell_bps": cost(bids),
        }
        for k in (1, 3, 5, 10, 20):
            b, a = total(bids, k), total(asks, k)
            found[f"imbalance_{k}"] = (b - a) / (b + a)
        return found

    def flow(self, j: int, level: int) -> float:
        """Cont, Kukanov and Stoikov's e of one level between snapshots j - 1 and j."""

        def side(now: list[Level], past: list[Level], up: int) -> float:
            # A level that is not there is one without size, infinitely far away.
            p, s = now[level] if level < len(now) else (-up * math.inf, 0.0)
            p1, s1 = past[level] if level < len(past) else (-up * math.inf, 0.0)
            return s * (up * p >= up * p1) - s1 * (up * p <= up * p1)

        return side(self.bids[j], self.bids[j - 1], 1) - side(self.asks[j], self.asks[j - 1], -1)

    def of_flow(self, i: int) -> dict[str, float]:
        found = {}
        for k, seconds in ((1, 1), (1, 5), (1, 30), (5, 1), (5, 5), (10, 5)):
            window = self.rows(i, seconds)
            flow = sum(self.flow(j, level) for j in window for level in range(k))
            depth = statistics.fmean(
                sum(s for _, s in self.bids[j][:k] + self.asks[j][:k]) / 2 for j in window
            )
            found[f"ofi_{k}_{seconds}s"] = ratio(flow, depth)
        ago = self.before(i, 1)
        found["queue_change_bid_1s"] = log_ratio(self.bids[i][0][1], self.bids[ago][0][1])
        found["queue_change_ask_1s"] = log_ratio(self.asks[i][0][1], self.asks[ago][0][1])
        window, left = self.rows(i, 5), 0.0
        for name, side, up in (("bid", self.bids, 1), ("ask", self.asks, -1)):
            steps = [side[j][0][0] - side[j - 1][0][0] for j in window]
            ups, downs = sum(s > 0 for s in steps), sum(s < 0 for s in steps)
            found[f"{name}_moves_5s"] = ratio(ups - downs, ups + downs)
            for j, step in zip(window, steps, strict=True):
                queue = side[j - 1][0][1]
                if step == 0:
                    left += max(queue - side[j][0][1], 0)
                elif up * step < 0:
                    left += queue
        changed = [self.bids[j] != self.bids[j - 1] or self.asks[j] != self.asks[j - 1] for j in window]
        found["update_rate_5s"] = sum(changed) / 5
        volume = sum(v for _, _, v, _ in self.traded(i, 5))
        found["cancel_ratio_5s"] = ratio(max(left - volume, 0.0), left)
        return found

    def of_moves(self, i: int) -> dict[str, float]:
        r = self.returns
        vol = {s: math.sqrt(sum(r[j] ** 2 for j in self.rows(i, s))) for s in (5, 30)}
        found = {
            f"mid_return_{s}s": ratio(math.log(self.mid[i] / self.mid[self.before(i, s)]), vol[30])
            for s in (1, 5, 30)
        }
        found |= {f"realised_vol_{s}s": 1e4 * vol[s] for s in (5, 30)}
        found["vol_ratio_5_30"] = ratio(math.sqrt(6) * vol[5], vol[30])
        window = self.rows(i, 30)
        found["mid_autocorr_30s"] = correlation([r[j] for j in window], [r[j - 1] for j in window])
        impulses = [0.0] * (len(self.ts) + 1)
        for t, _, v, side in self.trades:
            impulses[bisect_left(self.ts, t)] += side * math.sqrt(v)
        moves = [self.mid[j] - self.mid[j - 1] for j in window]
        found["kyle_lambda_30s"] = correlation(moves, [impulses[j] for j in window])
        return found

    def of_trades(self, i: int) -> dict[str, float]:
        found, m, w = {}, self.mid[i], self.spread[i]
        for s in (1, 5, 30):
            window = self.traded(i, s)
            found[f"trade_imbalance_{s}s"] = ratio(
                sum(side * v for _, _, v, side in window), sum(v for _, _, v, _ in window)
            )
        last30, last5 = self.traded(i, 30), self.traded(i, 5)
        found["trade_intensity_5s"] = math.log((1 + len(last5)) / (1 + len(last30) / 6))
        logs = [math.log(v) for _, _, v, _ in last30]
        found["trade_size_z_30s"] = z_score(logs[-1], logs) if logs else 0.0
        known = [t for t in self.trades if t[0] <= self.ts[i]]
        found["last_trade_gap"] = (known[-1][1] - m) / w if known else 0.0
        paid = []
        for t, p, _, _ in last5:
            j = self.snapshot_before(t)
            paid.append(2 * abs(p - self.mid[j]) / self.spread[j])
        found["effective_spread_5s"] = statistics.fmean(paid) if paid else 0.0
        found["vpin_50"] = self.vpin(i)
        return found

    def volume(self, i: int) -> Fraction:
        if i not in self.volumes:
            self.volumes[i] = sum((Fraction(v) for _, _, v, _ in self.traded(i, 30)), Fraction(0))
        return self.volumes[i]

    def vpin(self, i: int) -> float:
        """Buckets in exact fractions, trade by trade."""
        warm = next(j for j in range(i + 1) if self.ts[j] - self.ts[0] >= 30 * SECOND_NS)
        early = [(v, side) for t, _, v, side in self.trades if t <= self.ts[warm]]
        volume = sum((Fraction(v) for v, _ in early), Fraction(0)) / 50
        pieces = [(Fraction(v), side, volume) for v, side in early]
        for t, _, v, side in self.trades:
            if self.ts[warm] < t <= self.ts[i]:
                total = self.volume(self.snapshot_before(t))
                pieces.append((Fraction(v), side, total / 50 if total else Fraction(v)))
        full: list[tuple[Fraction, Fraction]] = []
        size, filled, signed = Fraction(0), Fraction(0), Fraction(0)
        for amount, side, volume in pieces:
            left = amount
            while left > 0:
                if not size:
                    size = volume
                part = min(left, size - filled)
                filled, signed, left = filled + part, signed + side * part, left - part
                if filled == size:
                    full.append((abs(signed), size))
                    size = filled = signed = Fraction(0)
        last = full[-50:]
        return float(sum(x for x, _ in last) / sum(v for _, v in last)) if last else 0.0
