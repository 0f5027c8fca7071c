"""Prints the page of all features: ``python -m consilium.market.features.page > docs/features.md``."""

import sys

from consilium.market.features.book import warm_up_seconds
from consilium.market.features.catalogue import FAMILY_SIZES, FEATURE_SETS, FEATURES, warm_up
from consilium.market.features.spec import FeatureSpec

HEADER = """\
# Features

Generated from the feature tables by `python -m consilium.market.features.page`; do not edit by hand.

o h l c v are open, high, low, close and volume of a bar; x1, xk are x one and k bars ago; r = ln(c/c1);
s = std20 r (divisor 19); TR = max(h, c1) - min(l, c1); A = Wilder14(TR); tp = (h + l + c)/3;
gap(x) = ln(c/x); sumN, meanN, maxN, minN run over the last N bars, this one included.

- Every row depends on bars up to its own and on no later one.
- Anything over 0 is 0, and so is the logarithm of a ratio in which either side is 0. As a denominator, a move
  of prices below 1e-10 of the close (or a return below 1e-10) counts as 0: it is rounding, and noise over
  noise is no feature.
- Multiplying all prices, or all volumes, by a constant changes nothing beyond rounding.
- A column is NaN until it has the bars of its warm-up and finite from then on. Recursive means start from the
  plain mean of their first n values and warm up over 5n bars, one after the other where they are nested; the
  parabolic stop, which forgets its start at each reversal, over 100. At most 0.7 % of the start then remains,
  but of Kaufman's average more, as it hardly moves in a market without direction.
- So in a market that stands still every feature is 0 (rsi too: not .5), once the last move has decayed.
  A distance in units of A, sar_distance above all, can be very large on the way there.
- Windows are exact: nothing remains of a bar that has left.
- `FeatureStream` gives bar by bar what `compute_features` gives for a whole series: the same arithmetic in
  the same order, so equal to the bit on x86-64 and within 1e-9 anywhere. Its `state()` is JSON.

```python
from consilium.market.features import FeatureStream, compute_features, feature_names
from consilium.market.sources import sample_candles

(series,) = sample_candles().series.values()
names = feature_names("core14")
rows = compute_features(series, names)  # (n, 14)
stream = FeatureStream(names, interval_ns=series.interval_ns, bars_per_day=series.bars_per_day)
row = stream.update(series.candle(0))  # (14,)
```
"""

BOOK_HEADER = """
m mid, w spread, b_j, a_j prices and B_j, A_j sizes at level j, SB_k, SA_k sums of sizes over k levels, d_j
distance of level j from the mid, D = ln(SB5 + SA5), p, v price and size of a trade, r = ln(m/m1) from one
snapshot to the next, dm = m - m1, Vb and Vs volumes that takers bought and sold. The flow at level j is what
came less what left, bids less asks: `1{b >= b1} B - 1{b <= b1} B1 - 1{a <= a1} A + 1{a >= a1} A1`, with b1,
B1, a1, A1 of the snapshot before (Cont, Kukanov, Stoikov 2014; deeper levels: Xu, Gould, Howison 2018).
Sums, means and deviations (divisor n - 1) marked 1s, 5s, 30s run over the snapshots or trades with
`t - window < time <= t`; "1 s ago" is the last snapshot at or before t - 1 s.

- Every row depends on snapshots up to its own and on trades up to its time. A trade at the very time of a
  snapshot comes before it. A stream takes a trade that comes after a later snapshot at that snapshot's time.
- Windows never reach across a gap: in the first seconds of each session a column is NaN, as long as its
  warm-up says, and finite from then on. Nothing remains of what has left a window.
- Anything over 0 is 0, and so is the logarithm of a ratio in which either side is 0. A spread below 1e-10 of
  the mid counts as 0. So does a deviation below 1e-6 of the root mean square, that of spread, depth and size
  being taken from the session's first value: it is rounding.
- Multiplying all prices (and the tick size, if given), or all sizes, by a constant changes nothing beyond
  rounding.
- Levels deeper than 20 are left out. Where a side has fewer, sums, slopes and spans end at its last; a walk
  that takes more than 20 levels hold takes the rest at the price of the last.
- After 30 s without trades a usual trade has no size and costs what the first unit does: half the spread.
- A bucket of vpin_50 has a fiftieth of the volume of the 30 s up to the snapshot before it opens; the trades
  of the first 30 s are cut into 50 at their end. Quiet markets so have small buckets, busy ones large ones.
- `BookFeatureStream` gives snapshot by snapshot what `compute_book_features` gives for a whole series, to the
  bit: the same operations on the same floats in the same order. Both are NumPy alone.
- `join_book` gives a bar the last snapshot at or before its close, if it is at most 1 s old; else NaN.
  `compute_full112(candles, book, trades)` puts it beside the 62 features of the candles. There a bar is
  masked as a whole: if one of the 50 is not known yet, or no snapshot is fresh, all 50 are NaN.
- `BookColumns.of(candles, book, trades)` is what is left of a recording once it is joined: 50 numbers a bar,
  so that books can be read and let go one symbol after the other. `compute_matrix(candles, names, columns)`
  puts any features together; bars find their books by the time of their close.

```python
import numpy as np

from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.features import BookFeatureStream, compute_book_features

times, bids, asks = np.array([0, 10**9]), np.array([[99.0, 98.0]] * 2), np.array([[101.0, 102.0]] * 2)
sizes = np.array([[3.0, 1.0], [2.0, 1.0]])
book = BookSeries(
    symbol="BTCUSDT", ts_event=times, bid_price=bids, bid_size=sizes, ask_price=asks, ask_size=sizes
)
trades = TradeSeries(
    symbol="BTCUSDT", ts_event=times[1:], price=np.array([99.0]), size=np.ones(1), taker_buy=np.array([False])
)
rows = compute_book_features(book, trades)  # (2, 50)
stream = BookFeatureStream()
stream.update_book(book.snapshot(0))
stream.update_trade(trades.trade(0))
row = stream.update_book(book.snapshot(1))  # (50,), equal to rows[1]
```
"""


def page() -> str:
    """Return the page as Markdown.

    Examples
    --------
    >>> page().splitlines()[0]
    '# Features'
    """
    parts = [HEADER, "## Sets\n"]
    parts += [f"- `{name}`, {_told(members)}." for name, members in FEATURE_SETS.items()]
    for family, size in FAMILY_SIZES.items():
        of_book = family == "book"
        parts.append(f"\n## {family.capitalize()} ({size})\n{BOOK_HEADER if of_book else ''}")
        parts.append(
            f"| name | formula | warm-up, {'s' if of_book else 'bars'} | meaning |\n|---|---|---|---|"
        )
        parts += [_row(spec, of_book) for spec in FEATURES.values() if spec.family == family]
    return "\n".join(parts) + "\n"


def _told(members: tuple[str, ...]) -> str:
    in_words = {len(FEATURES): "all below", 62: "all of candles and indicators", 50: "all of books"}
    seconds = warm_up_seconds([name for name in members if FEATURES[name].family == "book"] or ["spread_bps"])
    bars = warm_up(members)
    warm = " and ".join([f"{bars} bars"] * (bars > 1) + [f"{seconds} s"] * (seconds > 0))
    return f"warm after {warm}: " + in_words.get(len(members), ", ".join(f"`{member}`" for member in members))


def _row(spec: FeatureSpec, of_book: bool) -> str:
    formula = spec.formula.replace("|", "\\|")
    warm = spec.warm_up_seconds if of_book else spec.warm_up
    return f"| {spec.name} | {formula} | {warm} | {spec.meaning} |"


if __name__ == "__main__":
    sys.stdout.write(page())
