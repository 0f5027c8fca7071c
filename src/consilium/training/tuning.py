"""A search for the parameters by which a model learns best, inside the first fit part; extra ``tune``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from consilium.domain import Forecaster, InvalidValue, log_loss, missing_package
from consilium.training.calibration import timestamp_weights
from consilium.training.dataset import Dataset
from consilium.training.reading import Reading
from consilium.training.scaler import WINSOR
from consilium.training.splits import MIN_TIMES, Fold, final_split
from consilium.training.teaching import Teaching
from consilium.training.trainer import Factory, derive_seed, raw_forecasts, train_on

if TYPE_CHECKING:
    import optuna

WIDEST_RATE = 0.5
"""No learner of the pool learns anything at a larger rate."""

Making = Callable[[Mapping[str, Any]], Factory]
Suggest = Callable[["optuna.Trial", str, Any], Any]


def _rate(trial: "optuna.Trial", name: str, default: float) -> float:
    return float(trial.suggest_float(name, default / 10.0, min(10.0 * default, WIDEST_RATE), log=True))


def _decay(trial: "optuna.Trial", name: str, default: float) -> float:
    return float(trial.suggest_categorical(name, sorted({default, 0.0, 1e-5, 1e-4, 1e-3, 1e-2})))


def _dropout(trial: "optuna.Trial", name: str, default: float) -> float:  # noqa: ARG001 - one form for all
    return float(trial.suggest_float(name, 0.0, 0.5))


def _batch(trial: "optuna.Trial", name: str, default: int) -> int:
    return int(trial.suggest_categorical(name, sorted({max(1, default // 2), default, 2 * default})))


def _depth(trial: "optuna.Trial", name: str, default: int) -> int:  # noqa: ARG001 - one form for all
    return int(trial.suggest_int(name, 2, 10))


def _leaves(trial: "optuna.Trial", name: str, default: int) -> int:  # noqa: ARG001 - one form for all
    return int(trial.suggest_int(name, 4, 127, log=True))


SEARCHED: Mapping[str, Suggest] = {
    "learning_rate": _rate,
    "weight_decay": _decay,
    "dropout": _dropout,
    "batch_size": _batch,
    "max_depth": _depth,
    "num_leaves": _leaves,
}
"""What is searched in every model that has a parameter of this name: how it learns, not how large it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One try.

    Parameters
    ----------
    parameters
        What it was made with.
    log_loss
        On the last slice of the first fit part; None where it failed.
    error
        Why it failed, else empty.
    """

    parameters: Mapping[str, Any]
    log_loss: float | None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What a search found.

    Parameters
    ----------
    parameters
        Of the best trial.
    log_loss
        Of the best trial.
    default_log_loss
        Of the first trial, which has the model's own parameters; None where that failed.
    trials
        All, in order.
    """

    parameters: Mapping[str, Any]
    log_loss: float
    default_log_loss: float | None
    trials: tuple[Trial, ...]


def searched_in(forecaster: Forecaster, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be searched in a model, with its own values; what is fixed is not.

    Examples
    --------
    >>> from consilium.models import make_forecaster
    >>> searched_in(make_forecaster("logistic"), {})
    {}
    """
    own = forecaster.get_params(deep=False)
    return {name: own[name] for name in SEARCHED if name in own and name not in fixed}


def tune(
    dataset: Dataset,
    fold: Fold,
    make: Making,
    *,
    name: str,
    trials: int,
    seed: int,
    fixed: Mapping[str, Any] | None = None,
    teaching: Teaching | None = None,
    begin: Callable[[int, Mapping[str, Any]], Callable[[Trial], None]] | None = None,
) -> Tuned:
    """Search the parameters of one model on the fit part of the first fold, cut once more by time.

    The earlier three quarters of that part teach, the next tenth stops early, and the log-loss on the rest
    (each timestamp once, uncalibrated) is what is made small: no row that any fold stops by, calibrates on or
    tests is read. The first trial has the model's own parameters; the others are drawn by a tree-structured
    Parzen estimator.

    Parameters
    ----------
    dataset, fold
        Rows, and the first fold of the walk-forward.
    make
        Makes the factory of a model with some parameters.
    name
        Under which the model is known.
    trials
        How many, >= 1.
    seed
        Seed of the run.
    fixed
        Parameters that are not searched.
    teaching
        As in `train_on`.
    begin
        Called before each trial with its number, from 1, and its parameters; what it returns is called with
        the trial when that is over. A trial that is killed has begun all the same.

    Raises
    ------
    InvalidValue
        The model has nothing to search, no trial succeeded, or the fit part is too short to cut.
    UsageError
        The extra ``tune`` is not installed.

    References
    ----------
    Bergstra et al. (2011), Algorithms for hyper-parameter optimization, section 4.
    """
    own = searched_in(make({})(), fixed or {})
    if not own:
        raise InvalidValue(f"{name} must have something to search", "nothing", "leave it out of the search")
    inner = dataset.where(np.isin(np.arange(len(dataset)), fold.fit))
    parts = final_split(inner.ts_event, inner.ts_matured, labelled=inner.labelled, judged_times=MIN_TIMES)
    study = _study(derive_seed(seed, name, "tune"))
    study.enqueue_trial(own)
    tried: list[Trial] = []
    for number in range(1, trials + 1):
        asked = study.ask()
        parameters = {key: SEARCHED[key](asked, key, value) for key, value in own.items()}
        end = begin(number, parameters) if begin else None
        tried.append(
            _tried(inner, parts, make, parameters, name=name, number=number, seed=seed, teaching=teaching)
        )
        loss = tried[-1].log_loss
        study.tell(asked, loss, state=None if loss is not None else _failed())
        if end is not None:
            end(tried[-1])
    scored = [(trial.log_loss, place) for place, trial in enumerate(tried) if trial.log_loss is not None]
    if not scored:
        raise InvalidValue(f"at least 1 trial of {name} must train", tried[-1].error, "search without it")
    loss, place = min(scored)
    return Tuned(
        parameters=tried[place].parameters,
        log_loss=loss,
        default_log_loss=tried[0].log_loss,
        trials=tuple(tried),
    )


def require_search() -> None:
    """Refuse a search where its library is not installed.

    Raises
    ------
    UsageError
        The extra that brings it.
    """
    try:
        import optuna  # noqa: F401 - whether it is there is all that matters
    except ModuleNotFoundError as error:
        raise missing_package("--tune", error) from None


def _study(seed: int) -> "optuna.Study":
    require_search()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))


def _failed() -> "optuna.trial.TrialState":
    import optuna

    return optuna.trial.TrialState.FAIL


def _tried(
    dataset: Dataset,
    parts: Fold,
    make: Making,
    parameters: Mapping[str, Any],
    *,
    name: str,
    number: int,
    seed: int,
    teaching: Teaching | None,
) -> Trial:
    try:
        trained = train_on(
            dataset,
            parts,
            make(parameters),
            name=name,
            # One seed for all: trials shall differ by their parameters and by nothing else.
            seed=derive_seed(seed, name, "trial"),
            winsor=WINSOR,
            teaching=teaching,
            part=f"trial {number}",
        )
        rows = parts.calibration[Reading.of(dataset, trained).eligible()[parts.calibration]]
        p = raw_forecasts(dataset, rows, trained.forecaster, trained.scaler)
    except Exception as error:  # noqa: BLE001 - a bad choice of parameters must not end the search
        text = " ".join(str(error).split()) or type(error).__name__
        return Trial(parameters=parameters, log_loss=None, error=text)
    loss = float(timestamp_weights(dataset.ts_event[rows]) @ log_loss(p, dataset.y[rows]))
    return Trial(parameters=parameters, log_loss=loss)
