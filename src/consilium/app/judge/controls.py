"""Controls: worlds whose truth is known, sent through the whole path from raw bars to fills."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from typing import Any

import numpy as np

from consilium.app.backtest.economics import Economics, plain_figures
from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.examination import Examination, examine
from consilium.app.judge.primary import plain_comparison
from consilium.app.membership import fed, reads_books
from consilium.app.settings import Settings
from consilium.app.stages import ProgressCall, silent
from consilium.domain import HOUR_NS, ConsiliumError, half_brier
from consilium.market.book.rows import BookRows
from consilium.market.candles import CandleSeries
from consilium.market.features import BookColumns
from consilium.market.simulator import simulate
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.judge.bootstrap import DRAWS
from consilium.training.judge.comparison import BETTER, Comparison, compare_half_brier
from consilium.training.labels import LabelSpec
from consilium.training.trainer import derive_seed
from consilium.training.workers import spread

RECORD = "power.json"
SYMBOLS, BARS = 4, 3_000
LARGE = (20, 6_000)
"""Symbols and bars of the larger worlds: in the small ones a signal of a market's strength cannot be seen."""

SHIFT_BLOCK_DAYS = 30
"""Labels wander in blocks longer than any feature looks back, so that none comes from a known past."""

PLANTED = (0.03, 0.06)
SHIFTED = "labels shifted by a day in blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A control: bars, and what is done to their labels.

    Parameters
    ----------
    name
        What it is.
    panel
        Candles by symbol.
    books
        Features of their books, where there are books.
    shifted
        Whether labels are moved by a day.
    ic
        Planted information coefficient.
    """

    name: str
    panel: Mapping[str, CandleSeries]
    books: Mapping[str, BookColumns] = field(default_factory=dict)
    snapshots: Mapping[str, BookRows] = field(default_factory=dict)
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


def random_walk(seed: int, interval_ns: int = HOUR_NS, size: tuple[int, int] = (SYMBOLS, BARS)) -> World:
    """Prices without memory."""
    bars = simulate(kind="random_walk", symbols=size[0], bars=size[1], seed=seed, interval_ns=interval_ns)
    return World(name="random walk", panel=bars.series)


def garch(seed: int, interval_ns: int = HOUR_NS, size: tuple[int, int] = (SYMBOLS, BARS)) -> World:
    """Volatility with memory, direction without."""
    bars = simulate(kind="garch", symbols=size[0], bars=size[1], seed=seed, interval_ns=interval_ns)
    return World(name="GARCH without signal", panel=bars.series)


def shifted(
    panel: Mapping[str, CandleSeries],
    books: Mapping[str, BookColumns] | None = None,
    snapshots: Mapping[str, BookRows] | None = None,
) -> World:
    """Real bars whose labels are those of the day after, within blocks."""
    return World(name=SHIFTED, panel=panel, books=books or {}, snapshots=snapshots or {}, shifted=True)


def planted(
    ic: float, seed: int, interval_ns: int = HOUR_NS, size: tuple[int, int] = (SYMBOLS, BARS)
) -> World:
    """A market with a signal of known strength."""
    bars = simulate(symbols=size[0], bars=size[1], signal_ic=ic, seed=seed, interval_ns=interval_ns)
    return World(name=f"planted signal, IC {ic:g}", panel=bars.series, ic=ic)


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
    left = () if world.snapshots else [name for name in request.models if reads_books(name)]
    models = fed(request.models, dict.fromkeys(left, "this world has no books"))
    bare = replace(request, models=models, baselines=())
    spec = LabelSpec(horizon=request.horizon)
    dataset = build_dataset(world.panel, features, spec, world.books, world.snapshots)
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


def against_mirror(found: Examination, request: BacktestRequest, *, draws: int = DRAWS) -> Comparison:
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
        draws=draws,
    )


def shift_labels(dataset: Dataset, bars_per_day: float) -> Dataset:
    """Give each row the outcome that its symbol had a day later, rotating inside blocks of 30 days.

    The outcomes of a block stay the same, only their times do not fit any more: what is still found was
    never about the next bar. Rows of less than a day are rotated by half their number.
    """
    day = max(1, round(bars_per_day))
    source = np.arange(len(dataset))
    for index in range(len(dataset.symbols)):
        rows = np.flatnonzero((dataset.symbol_index == index) & dataset.labelled)
        for block in _blocks(rows, SHIFT_BLOCK_DAYS * day):
            source[block] = np.roll(block, -(day if len(block) > day else len(block) // 2))
    return replace(dataset, y=dataset.y[source], realised_return=dataset.realised_return[source])


def _blocks(
    rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]], length: int
) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Cut rows into blocks; a last one that is too short joins the one before it."""
    count = max(1, len(rows) // length)
    for number in range(count):
        yield rows[number * length : None if number == count - 1 else (number + 1) * length]


def plain_control(world: World, result: ControlResult | ConsiliumError) -> dict[str, Any]:
    """Return a control as plain JSON; one that could not be run says why."""
    if isinstance(result, ConsiliumError):
        return {"name": world.name, "ic": world.ic, "word": None, "text": str(result), "comparisons": []}
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


def _attempt(request: BacktestRequest, world: World, features: str) -> dict[str, Any]:
    try:
        return plain_control(world, run_control(request, world, features))
    except ConsiliumError as error:
        return plain_control(world, error)


def run_controls(
    request: BacktestRequest,
    panel: Mapping[str, CandleSeries],
    features: str,
    progress: ProgressCall = silent,
    books: Mapping[str, BookColumns] | None = None,
    snapshots: Mapping[str, BookRows] | None = None,
) -> list[dict[str, Any]]:
    """Run one seed of each control, in as many processes as training takes.

    Parameters
    ----------
    request
        Of the run that is controlled.
    panel
        Its bars before the lock-box, whose labels are shifted.
    features
        Name of the feature set.
    progress
        Called after each world.
    books
        Features of the books of those bars; the other worlds have none, and their columns are masked.
    snapshots
        Those books themselves; in the other worlds models that read windows of books are left out.

    Returns
    -------
    Negative controls first, then the positive ones, as `plain_control` gives them.
    """
    seed = derive_seed(request.settings.training.seed, "controls")
    interval_ns = next(iter(panel.values())).interval_ns
    chosen = dict(sorted(panel.items(), key=lambda item: (-len(item[1]), item[0]))[:SYMBOLS])
    worlds = [
        random_walk(seed, interval_ns),
        shifted(chosen, books, snapshots),
        garch(seed, interval_ns),
        *(planted(ic, seed, interval_ns) for ic in PLANTED),
    ]
    bare = replace(request, settings=_in_one_process(request))
    found: list[dict[str, Any]] = []
    calls = [partial(_attempt, bare, world, features) for world in worlds]
    for result in spread(calls, request.settings.training.jobs, ordered=True):
        found.append(result)
        progress("controls", len(found), len(worlds), result["name"])
    return found


def _in_one_process(request: BacktestRequest) -> Settings:
    training = request.settings.training.model_copy(update={"jobs": 1})
    return request.settings.model_copy(update={"training": training})


def controls_section(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Lay out the controls of this run beside what the last benchmark of the judge measured."""
    negative = [one for one in found if one["ic"] == 0.0]
    record = last_benchmark()
    rows = [
        {"name": row["name"], "ic": row["ic"], "size": row["size"], **row["verdict"], **_shares(row)}
        for row in record["rows"]
    ]
    positive = [one for one in found if one["ic"] > 0.0]
    told = (_told(negative), _told_of_planted(positive), _told_of_power(rows))
    return {
        "negative": negative,
        "positive": positive,
        "power": {**record, "rows": rows},
        "text": " ".join(filter(None, told)),
    }


def _shares(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("climatology", "direction", "rejected")}


def _told(negative: list[dict[str, Any]]) -> str:
    alarms = [one["name"] for one in negative if _alarms(one)]
    lasting = [one["name"] for one in negative if one["word"] == BETTER and not _alarms(one)]
    failed = [one["name"] for one in negative if one["word"] is None]
    told = [f"{len(negative) - len(failed)} worlds without signal went the same way from raw bars to fills:"]
    told.append(
        f"{' and '.join(alarms)} was called better. One such alarm in forty worlds is chance; if it comes "
        "back with other seeds, something leaks, and nothing here may be believed."
        if alarms
        else "none was called better without reason."
        if lasting
        else "none was called better."
    )
    if lasting:
        told.append(
            "Labels of the day after were forecast better than by climatology, and not as to which way: hour "
            "of day and volatility last longer than a day."
        )
    if failed:
        told.append(f"Not run: {', '.join(failed)}.")
    return " ".join(told)


def _told_of_planted(positive: list[dict[str, Any]]) -> str:
    said = [f"IC {one['ic']:g} {one['word'] or 'not run'}" for one in positive]
    return f"Of two worlds with a planted signal it said: {', '.join(said)}." if said else ""


def _alarms(control: Mapping[str, Any]) -> bool:
    """Tell whether a world without signal was called better; a day's shift leaves how far prices move."""
    if control["name"] != SHIFTED:
        return bool(control["word"] == BETTER)
    return bool(control["word"] == BETTER and control["mirrored"]["word"] == BETTER)


def _told_of_power(rows: list[dict[str, Any]]) -> str:
    """Say what `not distinguishable` is worth, by the worlds whose signal is known."""
    by_size: dict[str, list[str]] = {}
    for row in rows:
        if row["ic"] > 0.0:
            by_size.setdefault(row["size"], []).append(
                f"at IC {row['ic']:g} the whole verdict is better in {_percent(row)} of worlds, better than "
                f"climatology in {_percent(row['climatology'])}, which way is told in "
                f"{_percent(row['direction'])}"
            )
    if not by_size:
        return "What such a judge can see was not measured."
    told = " ".join(f"In worlds of {size}: {'; '.join(parts)}." for size, parts in by_size.items())
    return f"What a judge can see, one hour ahead. {told} A market with no more signal looks like none."


def _percent(rate: Mapping[str, Any]) -> str:
    return f"{100 * rate['hits'] / rate['runs']:.0f} %"


def last_benchmark() -> dict[str, Any]:
    """Return what the last benchmark of the judge measured, as it was recorded with the code.

    Without a record there are no rows: nothing that was not measured may be told, and no run is lost for it.
    """
    record = files("consilium.app.judge").joinpath(RECORD)
    if not record.is_file():
        return {"date": None, "command": None, "worlds": "", "rows": []}
    found: dict[str, Any] = json.loads(record.read_text("utf-8"))
    return found
