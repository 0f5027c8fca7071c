"""Controls: worlds whose truth is known, sent through the whole path from raw bars to fills."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from consilium.app.backtest.economics import Economics, plain_figures
from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.examination import Examination, examine
from consilium.app.judge.primary import plain_comparison
from consilium.app.stages import ProgressCall, silent
from consilium.domain import half_brier
from consilium.market.candles import CandleSeries
from consilium.market.simulator import simulate
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.judge.comparison import Comparison, compare_half_brier
from consilium.training.labels import LabelSpec

SYMBOLS, BARS = 4, 3_000
SHIFT_BLOCK_DAYS = 30
"""Labels wander in blocks longer than any feature looks back, so that none comes from a known past."""

PLANTED = (0.03, 0.06)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A control: bars, and what is done to their labels.

    Parameters
    ----------
    name
        What it is.
    panel
        Candles by symbol.
    shifted
        Whether labels are moved by a day.
    ic
        Planted information coefficient.
    """

    name: str
    panel: Mapping[str, CandleSeries]
    shifted: bool = False
    ic: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlResult:
    """What the judge said about a world.

    Parameters
    ----------
    examination
        All that it looked at.
    mirrored
        The consensus against itself with UP and DOWN exchanged: without signal both are equally good.
    account
        Figures of the paper account.
    """

    examination: Examination
    mirrored: Comparison
    account: Mapping[str, Any]

    @property
    def word(self) -> str:
        """The verdict's word."""
        return self.examination.primary.verdict.word


def random_walk(seed: int) -> World:
    """Prices without memory."""
    return World(
        name="random walk",
        panel=simulate(kind="random_walk", symbols=SYMBOLS, bars=BARS, seed=seed).series,
    )


def garch(seed: int) -> World:
    """Volatility with memory, direction without."""
    return World(
        name="GARCH without signal",
        panel=simulate(kind="garch", symbols=SYMBOLS, bars=BARS, seed=seed).series,
    )


def shifted(panel: Mapping[str, CandleSeries]) -> World:
    """Real bars whose labels are those of the day after, within blocks."""
    return World(name="labels shifted by a day in blocks", panel=panel, shifted=True)


def planted(ic: float, seed: int) -> World:
    """A market with a signal of known strength."""
    return World(
        name=f"planted signal, IC {ic:g}",
        panel=simulate(symbols=SYMBOLS, bars=BARS, signal_ic=ic, seed=seed).series,
        ic=ic,
    )


def run_control(
    request: BacktestRequest, world: World, features: str, progress: ProgressCall = silent
) -> ControlResult:
    """Send a world through features, training, calibration, consensus, verdict and fills.

    Parameters
    ----------
    request
        Models, rule, trust, gates, horizon, settings: those of the run that is controlled.
    world
        Bars.
    features
        Name of the feature set.
    """
    bare = replace(request, baselines=())
    dataset = build_dataset(world.panel, features, LabelSpec(horizon=request.horizon))
    if world.shifted:
        dataset = shift_labels(dataset, next(iter(world.panel.values())).bars_per_day)
    found = examine(bare, dataset, (bare.gates,), progress=progress)
    economics = Economics(bare, world.panel, int(dataset_start(found)))
    account = economics.account(found.pooled[bare.gates].signals, limits=bare.limits)
    return ControlResult(
        examination=found, mirrored=against_mirror(found, bare), account=plain_figures(account)
    )


def dataset_start(found: Examination) -> int:
    """Close at which the first forecast of the lock-box was made."""
    return int(found.dataset.ts_event[found.lockbox.rows[0]])


def against_mirror(found: Examination, request: BacktestRequest) -> Comparison:
    """Compare the consensus with its mirror image, UP and DOWN exchanged.

    Where prices have no direction to know and move up as they move down, both are equally good in
    expectation: the rate at which this rejects is the size of the test, whatever the models do.
    """
    d, judged = found.dataset, found.judged
    p, y = judged.probabilities["consensus"], d.y[judged.rows]
    return compare_half_brier(
        half_brier(p, y),
        half_brier(p[:, ::-1], y),
        d.ts_event[judged.rows],
        request.horizon,
        request.settings.training.seed,
        draws=1,
    )


def shift_labels(dataset: Dataset, bars_per_day: float) -> Dataset:
    """Give each row the outcome that its symbol had a day later, rotating inside blocks of 30 days.

    The outcomes of a block stay the same, only their times do not fit any more: what is still found was
    never about the next bar.
    """
    day = max(1, round(bars_per_day))
    source = np.arange(len(dataset))
    for index in range(len(dataset.symbols)):
        rows = np.flatnonzero((dataset.symbol_index == index) & dataset.labelled)
        for block in _blocks(rows, SHIFT_BLOCK_DAYS * day):
            source[block] = np.roll(block, -day)
    return replace(dataset, y=dataset.y[source], realised_return=dataset.realised_return[source])


def _blocks(
    rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]], length: int
) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Cut rows into blocks; a last one that is too short joins the one before it."""
    count = max(1, len(rows) // length)
    for number in range(count):
        yield rows[number * length : None if number == count - 1 else (number + 1) * length]


def plain_control(world: World, result: ControlResult) -> dict[str, Any]:
    """Return a control as plain JSON."""
    verdict = result.examination.primary.verdict
    return {
        "name": world.name,
        "ic": world.ic,
        "word": verdict.word,
        "text": verdict.text,
        "comparisons": verdict.as_dict()["comparisons"],
        "mirrored": plain_comparison(result.mirrored),
        "trades": result.account["trades"],
        "net_return": result.account["net_return"],
    }
