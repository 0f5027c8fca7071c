"""From a dataset to a verdict: the part of the protocol that real data and controls share, to the letter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from consilium.app.backtest.assessment import Judged
from consilium.app.backtest.economics import signals_of
from consilium.app.backtest.pooling import Pooled, pool
from consilium.app.backtest.request import BacktestRequest
from consilium.app.consensus_store import ConsensusKeeper
from consilium.app.judge.forecasting import Developed, develop, open_lockbox
from consilium.app.judge.primary import Primary, judge_primary
from consilium.app.judge.split import Split
from consilium.app.stages import ProgressCall, silent
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts

BeforeDevelopment = Callable[[Split], object]
BeforeOpening = Callable[[Split, Developed], object]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examination:
    """All that a judgement looks at.

    Parameters
    ----------
    split
        Borders, and the rows that take part.
    developed
        What development taught.
    whole
        Forecasts of development and lock-box, rows of ``split.dataset``: what the ensemble replays.
    lockbox
        The lock-box part of ``whole``.
    pooled
        What the ensemble said in the lock-box, by gate preset; its trust is warm from development.
    judged
        The labelled rows of the lock-box.
    primary
        The verdict.
    """

    split: Split
    developed: Developed
    whole: Forecasts
    lockbox: Forecasts
    pooled: Mapping[str, Pooled]
    judged: Judged
    primary: Primary

    @property
    def dataset(self) -> Dataset:
        """Rows that take part."""
        return self.split.dataset

    @property
    def first_place(self) -> int:
        """Place in ``whole.rows`` where the lock-box begins."""
        return len(self.whole.rows) - len(self.lockbox.rows)


def examine(
    request: BacktestRequest,
    dataset: Dataset,
    presets: tuple[str, ...],
    *,
    before_development: BeforeDevelopment | None = None,
    before_opening: BeforeOpening | None = None,
    consensuses: Path | None = None,
    progress: ProgressCall = silent,
) -> Examination:
    """Develop, open the lock-box, let the ensemble replay both, and judge the lock-box.

    Parameters
    ----------
    presets
        Gate presets; the first is the one that is judged.
    before_development
        Called before any outcome is used.
    before_opening
        Called when development has ended and before an outcome of the lock-box is used.
    consensuses
        File in which each consensus under the first preset is kept, for `explain`; None for none.

    Raises
    ------
    ConsiliumError
        Data or names that do not allow it; see `develop` and `open_lockbox`.
    """
    split = Split.of(dataset)
    if before_development is not None:
        before_development(split)
    developed = develop(request, split.development(), progress)
    if before_opening is not None:
        before_opening(split, developed)
    whole = developed.forecasts.followed_by(open_lockbox(request, split, progress))
    lockbox = whole.since_fold(len(developed.forecasts.folds))
    pooled = _replayed(request, split.dataset, whole, lockbox, presets, consensuses, progress)
    main = pooled[presets[0]]
    judged = Judged.of(split.dataset, lockbox, main.probabilities, main.actionable)
    primary = judge_primary(
        split.dataset,
        judged,
        tuple(name for name in request.models if name in lockbox.probabilities),
        developed.best_single,
        split.unseen,
        horizon=request.horizon,
        seed=request.settings.training.seed,
    )
    return Examination(
        split=split,
        developed=developed,
        whole=whole,
        lockbox=lockbox,
        pooled=pooled,
        judged=judged,
        primary=primary,
    )


def _replayed(
    request: BacktestRequest,
    dataset: Dataset,
    whole: Forecasts,
    lockbox: Forecasts,
    presets: tuple[str, ...],
    consensuses: Path | None,
    progress: ProgressCall,
) -> dict[str, Pooled]:
    """Replay the ensemble over both parts under each preset; of the first one every consensus is kept."""
    keeper = None if consensuses is None else ConsensusKeeper(dataset, whole)
    start = len(whole.rows) - len(lockbox.rows)
    pooled = {}
    for name in presets:
        kept = keeper if name == presets[0] else None
        said = pool(request, dataset, whole, name, progress, keeper=kept, since=start)
        pooled[name] = lockbox_part(said, dataset, lockbox)
    if keeper is not None and consensuses is not None:
        keeper.write(consensuses)
    return pooled


def lockbox_part(pooled: Pooled, dataset: Dataset, lockbox: Forecasts) -> Pooled:
    """Cut what was said over development and lock-box to the rows of the lock-box."""
    start = len(pooled.direction) - len(lockbox.rows)
    direction, actionable = pooled.direction[start:], pooled.actionable[start:]
    return replace(
        pooled,
        probabilities=pooled.probabilities[start:],
        direction=direction,
        actionable=actionable,
        signals=signals_of(dataset, lockbox, direction, actionable),
    )
