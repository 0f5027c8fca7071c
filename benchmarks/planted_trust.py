"""What the trust policies make of planted streams: `python benchmarks/planted_trust.py [--write]`.

Signals of confidence .8 go through `make_trust` and `reach_consensus` (rule trust_weighted), one round an
instant, the same stream for every policy. One model is right 60 % of the time beside eight copies of one that
is right half the time; nine models of which another becomes the best; a good and a fair model beside one bad
model, and beside twenty clones of it. 20 seeds; with --write 200, and planted_trust.md and the figure are
written anew. Exit code 1 if a threshold of thresholds.toml is missed.
"""

import argparse
import platform
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from benchmarks.figure import Line, Panel, Style, drawing

from consilium.ensemble import make_trust, reach_consensus
from trust_streams import Round, copies, herd_and_one, switching

HERE = Path(__file__).resolve().parent
SEEDS, QUICK_SEEDS = 200, 20
HERD, BEFORE, AFTER, CLONES = 500, 1000, 500, 1000
SMOOTH = 50
STYLES = {
    "agreement": Style(label="agreement (seed 000)", light="#bc4c00", dark="#f0883e"),
    "uniform": Style(label="uniform", light="#6e7781", dark="#b1bac4", dash="2 3"),
    "ewa_brier": Style(label="ewa_brier", light="#1a7f37", dark="#3fb950", dash="7 4"),
    "fixed_share": Style(label="fixed_share (default)", light="#0969da", dark="#58a6ff", width=2.6),
}
POLICIES = tuple(STYLES)
FIGURE = HERE.parent / "docs" / "figures" / "planted-trust.svg"


def bad_clones(count: int, seed: int) -> list[Round]:
    """A model right 65 % of the time and one of 55 % beside clones of one of 45 %."""
    rng = np.random.default_rng(seed)
    bad = tuple(f"bad{i}" for i in range(count))
    shares = {"good": 0.65, "fair": 0.55} | dict.fromkeys(bad, 0.45)
    return [copies(rng, shares, frozenset(bad), ts) for ts in range(CLONES)]


def rounds_of(stream: str, seed: int) -> tuple[str, list[Round]]:
    """Return who is good in the end, and the rounds."""
    if stream == "herd":
        return "good", list(herd_and_one(seed, HERD))
    if stream == "switch":
        return "new", list(switching(seed, BEFORE, AFTER))
    return "good", bad_clones(20 if stream == "clones" else 1, seed)


STREAMS = ("herd", "switch", "one bad", "clones")
FROM = {"herd": 0, "switch": BEFORE, "one bad": 0, "clones": 0}


class Course(NamedTuple):
    """One policy on one stream and seed: by round, the good model's weight, and how the pool did."""

    weight: NDArray[np.float64]
    right: NDArray[np.float64]
    loss: NDArray[np.float64]


def course(policy: str, good: str, rounds: list[Round]) -> Course:
    models = [p.model for p in rounds[0][0]]
    trust = make_trust(policy, models)
    found = np.empty((3, len(rounds)))
    for t, (spoken, came) in enumerate(rounds):
        weights = trust.weights(models)
        consensus = reach_consensus(spoken, rule="trust_weighted", trust=weights)
        trust.learn(spoken, consensus=consensus)
        trust.learn(spoken, outcome=came)
        missed = [p - (k == came.direction) for k, p in enumerate(consensus.probabilities)]
        found[:, t] = weights[good], consensus.direction == came.direction, 0.5 * sum(d * d for d in missed)
    return Course(*found)


def courses(stream: str, seed: int) -> list[Course]:
    good, rounds = rounds_of(stream, seed)
    return [course(policy, good, rounds) for policy in POLICIES]


@dataclass(frozen=True, slots=True)
class Seen:
    """All seeds of one policy on one stream, each of shape (seeds, rounds)."""

    weight: NDArray[np.float64]
    right: NDArray[np.float64]
    loss: NDArray[np.float64]

    def passages(self, begin: int) -> NDArray[np.float64]:
        """Rounds from ``begin`` until half of all weight, infinite where it never is."""
        held = self.weight[:, begin:] >= 0.5
        return np.where(held.any(axis=1), held.argmax(axis=1), np.inf)


def measure(seeds: int, jobs: int) -> dict[tuple[str, str], Seen]:
    found = {}
    with ProcessPoolExecutor(jobs) as workers:
        for stream in STREAMS:
            every = list(workers.map(partial(courses, stream), range(seeds), chunksize=5))
            for i, policy in enumerate(POLICIES):
                of = [one[i] for one in every]
                found[stream, policy] = Seen(*(np.array([c[k] for c in of]) for k in range(3)))
    return found


TOLD = {
    "herd": "one at 60 % among eight copies at 50 %",
    "switch": f"another becomes the best (75 %) after {BEFORE} rounds",
    "one bad": "65 %, 55 %, and one at 45 %",
    "clones": "65 %, 55 %, and twenty clones of the one at 45 %",
}


def rounds_told(value: float, most: int) -> str:
    return f"{value:.0f}" if np.isfinite(value) else f"> {most}"


def table(found: dict[tuple[str, str], Seen]) -> list[str]:
    lines = [
        "| stream | policy | rounds to half the weight: median | 90 % | weight at the end: median "
        "| 10 % to 90 % | accuracy | 10 % to 90 % of seeds | half-Brier |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for stream in STREAMS:
        begin = FROM[stream]
        for policy in POLICIES:
            seen = found[stream, policy]
            first = seen.passages(begin)
            most = seen.weight.shape[1] - begin
            # Higher, so that a quantile between a number and never is never.
            median, late = (float(np.quantile(first, q, method="higher")) for q in (0.5, 0.9))
            last = seen.weight[:, -1]
            right = seen.right[:, begin:].mean(axis=1)
            lines.append(
                f"| {TOLD[stream]} | {policy} | {rounds_told(median, most)} | {rounds_told(late, most)} "
                f"| {np.median(last):.2f} | {np.quantile(last, 0.1):.2f} to {np.quantile(last, 0.9):.2f} "
                f"| {right.mean():.1%} | {np.quantile(right, 0.1):.1%} to {np.quantile(right, 0.9):.1%} "
                f"| {seen.loss[:, begin:].mean():.4f} |"
            )
    return lines


def clones_move(found: dict[tuple[str, str], Seen], policy: str) -> float:
    """Return how much twenty clones in place of one change the accuracy over all seeds and rounds."""
    return float(found["clones", policy].right.mean() - found["one bad", policy].right.mean())


def check(found: dict[tuple[str, str], Seen]) -> list[str]:
    limits = tomllib.loads((HERE / "thresholds.toml").read_text())["planted_trust"]

    def quantile(stream: str, policy: str, q: float) -> float:
        return float(np.quantile(found[stream, policy].passages(FROM[stream]), q, method="higher"))

    def right(policy: str) -> float:
        return float(found["herd", policy].right.mean())

    most = [
        ("herd_median_rounds", quantile("herd", "fixed_share", 0.5)),
        ("switch_90_rounds", quantile("switch", "fixed_share", 0.9)),
        ("clones_accuracy", abs(clones_move(found, "fixed_share"))),
    ]
    missed = [f"{what}: {value:g} > {limits[what]}" for what, value in most if value > limits[what]]
    gained = right("fixed_share") - right("agreement")
    if gained < limits["least_gain_over_agreement"]:
        missed.append(f"least_gain_over_agreement: {gained:.3f} < {limits['least_gain_over_agreement']}")
    if np.isfinite(quantile("herd", "agreement", 0.0)):
        missed.append("agreement found the good model among copies: the documented negative is none")
    return missed


def panels(found: dict[tuple[str, str], Seen]) -> list[list[Panel]]:
    rows = []
    for stream, title in (
        ("herd", "A model at 60 % among eight copies of a coin"),
        ("switch", "Another of nine becomes the best"),
        ("clones", "A good model beside 20 clones of a bad one"),
    ):
        seen = {policy: found[stream, policy] for policy in POLICIES}
        marks = [(float(BEFORE), "from here 75 %")] if stream == "switch" else []
        weight = Panel(
            title=title,
            unit="weight of the good model: median, 10 % to 90 %",
            x_unit="rounds",
            lines=[weight_line(policy, of) for policy, of in seen.items()],
            y_range=(0.0, 1.0),
            marks=marks,
        )
        loss = [smooth_line(policy, of.loss) for policy, of in seen.items()]
        right = [smooth_line(policy, of.right) for policy, of in seen.items()]
        rows.append(
            [
                weight,
                Panel(title="Loss", unit=f"half-Brier of the pool, mean of {SMOOTH} rounds", x_unit="rounds",
                      lines=loss, y_range=around(loss), marks=marks),
                Panel(title="Accuracy", unit=f"share of right directions, mean of {SMOOTH} rounds",
                      x_unit="rounds", lines=right, y_range=around(right), marks=marks),
            ]
        )  # fmt: skip
    return rows


def weight_line(policy: str, seen: Seen) -> Line:
    low, median, high = np.quantile(seen.weight, (0.1, 0.5, 0.9), axis=0)
    return Line(name=policy, x=np.arange(1, len(median) + 1), y=median, low=low, high=high)


def smooth_line(policy: str, values: NDArray[np.float64]) -> Line:
    mean = np.convolve(values.mean(axis=0), np.full(SMOOTH, 1 / SMOOTH), mode="valid")
    return Line(name=policy, x=np.arange(SMOOTH, SMOOTH + len(mean)), y=mean)


def around(lines: list[Line]) -> tuple[float, float]:
    values = np.concatenate([np.asarray(line.y) for line in lines])
    return float(np.floor(values.min() * 20) / 20), float(np.ceil(values.max() * 20) / 20)


PAGE = """# The policy of seed 000 against trust that is earned

`python benchmarks/planted_trust.py --write`, {date}, {machine}, Python {python}, {seeds} seeds.

![Weight of the good model, loss and accuracy over rounds](../docs/figures/planted-trust.svg)

Made-up signals of confidence .8 go through `make_trust` and `reach_consensus` (rule `trust_weighted`), one
round an instant, the same stream for every policy. Copies and clones say one and the same thing. Rounds to
half the weight are of the good model, after the switch of the new best one; `> n` means never within the n
rounds. Accuracy and half-Brier are of the consensus over those rounds.

{table}

Twenty clones in place of one bad model move the accuracy by
{moved}.

`agreement` rewards who agrees with the consensus. Copies agree with themselves: it never sees that they are
wrong, and ends where trusting all alike ends. `fixed_share` finds the good model, and the next one eight
times as soon as `ewa_brier`: it never lets a weight fall too low to come back. Where nothing changes it pays
for that with a few tenths of a point of accuracy.

Trust finds who is right; it does not temper a loud voice. Where independent models all say .8 and are right
less often, the plain mean of all tempers them and has the lower half-Brier, though it is right less often
(nine models before the switch; 65 %, 55 % and one at 45 %). The bound of a policy is against the best model,
and a mean can be better than that.

Thresholds (checked by the script): for `fixed_share` a median of {herd_median_rounds} rounds to half the
weight among copies, {switch_90_rounds} rounds after the switch (90 % quantile), clones below {clones}, and
{gain} more accuracy than `agreement` among copies, which must never find the good model.
"""


def write(found: dict[tuple[str, str], Seen], seeds: int) -> None:
    limits = tomllib.loads((HERE / "thresholds.toml").read_text())["planted_trust"]
    text = PAGE.format(
        date=datetime.now(UTC).date(),
        machine="two cores shared with other work",
        python=platform.python_version(),
        seeds=seeds,
        table="\n".join(table(found)),
        moved=", ".join(f"{100 * clones_move(found, policy):+.1f} points ({policy})" for policy in POLICIES),
        clones=f"{limits['clones_accuracy']:.0%}",
        gain=f"{limits['least_gain_over_agreement']:.0%}",
        **limits,
    )
    (HERE / "planted_trust.md").write_text(text)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    FIGURE.write_text(
        drawing(
            "What trust makes of planted streams",
            f"Signals of confidence .8, rule trust_weighted, {seeds} seeds; bands from 10 % to 90 % of them. "
            "agreement and uniform lie on each other almost everywhere.",
            panels(found),
            STYLES,
        )
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--write", action="store_true", help=f"{SEEDS} seeds; write page and figure")
    options.add_argument("--seeds", type=int, help="another number of seeds")
    options.add_argument("--jobs", type=int, default=1, help="processes")
    chosen = options.parse_args()
    seeds = chosen.seeds or (SEEDS if chosen.write else QUICK_SEEDS)
    found = measure(seeds, chosen.jobs)
    print("\n".join(table(found)))
    if chosen.write:
        write(found, seeds)
    missed = check(found)
    print("\n" + ("missed: " + "; ".join(missed) if missed else "thresholds met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
