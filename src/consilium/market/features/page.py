"""Prints the page of all features: ``python -m consilium.market.features.page > docs/features.md``."""

import sys

from consilium.market.features.catalogue import FAMILY_SIZES, FEATURE_SETS, FEATURES, warm_up

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


def page() -> str:
    """Return the page as Markdown.

    Examples
    --------
    >>> page().splitlines()[0]
    '# Features'
    """
    parts = [HEADER, "## Sets\n"]
    for name, members in FEATURE_SETS.items():
        shown = (
            "all below" if len(members) == len(FEATURES) else ", ".join(f"`{member}`" for member in members)
        )
        parts.append(f"- `{name}`, warm after {warm_up(members)} bars: {shown}.")
    parts.append("- `full112` will add the 50 features of order books.")
    for family, size in FAMILY_SIZES.items():
        parts += [
            f"\n## {family.capitalize()} ({size})\n",
            "| name | formula | warm-up, bars | meaning |",
            "|---|---|---|---|",
        ]
        for spec in FEATURES.values():
            if spec.family == family:
                formula = spec.formula.replace("|", "\\|")
                parts.append(f"| {spec.name} | {formula} | {spec.warm_up} | {spec.meaning} |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
