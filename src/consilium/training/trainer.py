"""One model on one fold: scale, fit with early stopping, calibrate, judge, forecast.

Letters: p (n, 3) probabilities (down, flat, up), r the realised log return, m_k = E[r | class k] on fit.
"""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from consilium.domain import Forecaster, InvalidValue
from consilium.training.calibration import Calibration, calibrate
from consilium.training.class_means import ClassMeans, class_means
from consilium.training.dataset import Dataset
from consilium.training.labels import OF_BOOKS
from consilium.training.lessons import strided, takes_loop, teach
from consilium.training.manifest import LEARNED_UNTIL
from consilium.training.reading import Reader, Reading
from consilium.training.scaler import WINSOR, Scaler
from consilium.training.splits import CALIBRATION_FRACTION, MIN_TIMES, STOP_FRACTION, Fold, final_split
from consilium.training.teaching import Teaching
from consilium.training.trained import TrainedModel, asked, read_by

Rows = NDArray[np.int64]
Factory = Callable[[], Forecaster]

WINDOW_BYTES = 1 << 30
"""Bytes of windows that are laid out for one fit; longer histories are thinned evenly in time."""

BATCH_BYTES = 1 << 26
"""Bytes of inputs that are laid out at once for forecasts."""


def derive_seed(seed: int, *names: object) -> int:
    """Make a seed for one model and fold: the first 4 bytes of the SHA-256 of all names, in [0, 2^31).

    Examples
    --------
    >>> derive_seed(7, "xgboost", 0) == derive_seed(7, "xgboost", 0) != derive_seed(7, "xgboost", 1)
    True
    """
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") >> 1


def prepare(factory: Factory, dataset: Dataset, seed: int) -> Forecaster:
    """Make a forecaster and hand it its seed and what it asks to know of the data.

    A parameter ``seed`` or ``random_state`` of the constructor is replaced by the derived seed, whatever the
    factory set; so is ``aux_features`` by the number of features, and ``primary`` by the horizon of a label
    of books, 0 for any other. ``feature_names`` only where it is None.
    """
    made = factory()
    params: dict[str, Any] = dict(made.get_params(deep=False))
    changed: dict[str, Any] = {name: seed for name in ("seed", "random_state") if name in params}
    if "feature_names" in params and params["feature_names"] is None:
        changed["feature_names"] = dataset.feature_names
    if "aux_features" in params:
        changed["aux_features"] = len(dataset.feature_names)
    if "primary" in params:
        changed["primary"] = dataset.spec.horizon if dataset.spec.kind == OF_BOOKS else 0
    return type(made)(**{**params, **changed}) if changed else made


def reads_raw_features(forecaster: Forecaster) -> bool:
    """Tell whether a model reads features in their own units: one that asks for their names does.

    A rule such as "RSI below 0.3" or the sign of a return means nothing after standardisation.
    """
    return "feature_names" in forecaster.get_params(deep=False)


def thin(rows: Rows, limit: int | None) -> Rows:
    """Keep at most ``limit`` rows, evenly strided over time.

    Examples
    --------
    >>> thin(np.arange(10), 4).tolist()
    [0, 3, 6, 9]
    """
    if limit is None or len(rows) <= limit:
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)]


def _limit(forecaster: Forecaster, n_features: int, max_fit_rows: int | None) -> int | None:
    limits = [max_fit_rows, getattr(forecaster, "max_fit_rows", None)]
    if forecaster.window > 1 and not takes_loop(forecaster):
        limits.append(max(1, WINDOW_BYTES // (8 * forecaster.window * n_features)))
    given = [limit for limit in limits if limit is not None]
    return min(given) if given else None


def raw_forecasts(
    dataset: Dataset, rows: Rows, forecaster: Forecaster, scaler: Scaler | None
) -> NDArray[np.float64]:
    """Forecast rows in batches, before calibration; shape (n, 3)."""
    reading = Reading.of(dataset, forecaster)
    size = max(1, BATCH_BYTES // reading.row_bytes)
    batches = [
        asked(forecaster, scaler, reading.inputs(rows[start : start + size]))
        for start in range(0, len(rows), size)
    ]
    return np.concatenate(batches) if batches else np.empty((0, 3))


def train_on(
    dataset: Dataset,
    fold: Fold,
    factory: Factory,
    *,
    name: str,
    seed: int,
    max_fit_rows: int | None = None,
    winsor: float | None = WINSOR,
    teaching: Teaching | None = None,
    part: str = "final",
) -> TrainedModel:
    """Train one model on fit, stop early on stop, calibrate and judge on calibration.

    Parameters
    ----------
    dataset, fold
        Rows, and their parts.
    factory
        Makes the unfitted forecaster.
    name
        Under which the model is known.
    seed
        Already derived for this model and fold.
    max_fit_rows
        Most rows to fit on, evenly strided over time; None for all that fit into memory.
    winsor
        Bound of scaled features.
    teaching
        How it is taught; by default on every row and without checkpoints.
    part
        Which part of the run this is, for checkpoints and progress.

    Raises
    ------
    InvalidValue
        A part has no row with a complete window, or the calibration part is too short to judge.
    """
    teaching = teaching or Teaching()
    teaching.require()
    with threadpool_limits(1):
        forecaster = prepare(factory, dataset, seed)
        reading = Reading.of(dataset, forecaster)
        parts = _learning_parts(reading, fold)
        scaler = None if reads_raw_features(forecaster) else reading.fit_scaler(fold.fit, winsor)
        limit = _limit(forecaster, len(reading.names), max_fit_rows)
        fit, stop = (thin(strided(dataset, parts[of], teaching.stride), limit) for of in ("fit", "stop"))
        if scaler is not None and takes_loop(forecaster):
            teach(reading, forecaster, scaler, fit, stop, teaching=teaching, name=name, part=part)
        else:
            learn, later = ((read_by(scaler, reading.inputs(rows)), dataset.y[rows]) for rows in (fit, stop))
            forecaster.fit(*learn, validation=later)
        means = class_means(dataset.y[fold.fit], dataset.realised_return[fold.fit])
        calibration, calls = _calibrated(dataset, parts["calibration"], forecaster, scaler, means)
    return TrainedModel(
        name=name,
        forecaster=forecaster,
        scaler=scaler,
        calibration=calibration,
        means=means,
        feature_names=reading.names,
        features_hash=reading.hash,
        spec=dataset.spec,
        label_id=dataset.label_id,
        interval_ns=dataset.interval_ns,
        seed=seed,
        figures={
            "fit_rows": float(len(fit)),
            "stop_rows": float(len(stop)),
            "calibration_rows": float(len(parts["calibration"])),
            "slope": calibration.calibrator.slope,
            "judged_loss": calibration.judged_loss,
            "judged_climatology": calibration.judged_climatology,
            **calls,
        },
    )


def _calibrated(
    dataset: Dataset, rows: Rows, forecaster: Forecaster, scaler: Scaler | None, means: ClassMeans
) -> tuple[Calibration, dict[str, float]]:
    """Return the calibration, and how the calls on its rows went; a slow model is asked for both once."""
    raw = raw_forecasts(dataset, rows, forecaster, scaler)
    calibration = calibrate(
        raw, dataset.y[rows], dataset.ts_event[rows], dataset.ts_matured[rows], np.asarray(means.prior)
    )
    direction = calibration.calibrator.apply(raw).argmax(axis=1) - 1
    signed = (direction * dataset.realised_return[rows])[direction != 0]
    right = signed > 0
    return calibration, {
        "right": float(right.sum()),
        "wrong": float((~right).sum()),
        "gained": float(signed[right].sum()),
        "lost": float(-signed[~right].sum()),
    }


def _learning_parts(reading: Reading, fold: Fold) -> dict[str, Rows]:
    """Return the rows of each part that have a whole window."""
    eligible = reading.eligible()
    parts = {
        part: rows[eligible[rows]]
        for part, rows in (("fit", fold.fit), ("stop", fold.stop), ("calibration", fold.calibration))
    }
    for part, rows in parts.items():
        if len(rows) == 0:
            raise InvalidValue(f"'{part}' needs rows with {reading.told_window}", 0, "give a longer history")
    return parts


def forecast(
    dataset: Dataset, rows: Rows, trained: TrainedModel
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Forecast rows of a dataset: probabilities (n, 3), and whether the model itself spoke (n,).

    Climatology stands where the model has no skill or a row has no complete window.
    """
    probabilities = trained.means.climatology(len(rows))
    spoke = np.zeros(len(rows), dtype=np.bool_)
    if trained.skilled:
        spoke = Reading.of(dataset, trained).eligible()[rows]
        with threadpool_limits(1):
            raw = raw_forecasts(dataset, rows[spoke], trained.forecaster, trained.scaler)
        if len(raw):
            probabilities[spoke] = trained.calibration.calibrator.apply(raw)
    return probabilities, spoke


def train_final(
    dataset: Dataset,
    factory: Factory,
    *,
    name: str,
    seed: int,
    stop_fraction: float = STOP_FRACTION,
    calibration_fraction: float = CALIBRATION_FRACTION,
    max_fit_rows: int | None = None,
    winsor: float | None = WINSOR,
    teaching: Teaching | None = None,
) -> TrainedModel:
    """Train a model for service on all rows: fit | early stop | calibration, the last at the end of the data.

    Parameters
    ----------
    dataset
        All rows that may be learned from.
    factory
        Makes the unfitted forecaster.
    name
        Under which the model is known.
    seed
        Seed of the run.
    stop_fraction, calibration_fraction
        Shares of the times, as in `walk_forward_folds`.
    max_fit_rows, winsor, teaching
        As in `train_on`.

    Raises
    ------
    InvalidValue
        A part is empty or too small.
    """
    fold = final_split(
        dataset.ts_event,
        dataset.ts_matured,
        labelled=dataset.labelled,
        stop_fraction=stop_fraction,
        calibration_fraction=calibration_fraction,
        judged_times=MIN_TIMES,
    )
    trained = train_on(
        dataset,
        fold,
        factory,
        name=name,
        seed=derive_seed(seed, name, "final"),
        max_fit_rows=max_fit_rows,
        winsor=winsor,
        teaching=teaching,
    )
    learned_until = int(dataset.ts_matured[dataset.labelled].max())
    return replace(trained, figures={**trained.figures, LEARNED_UNTIL: learned_until})


def held_out(dataset: Dataset, model: Reader, *, most: int = 800) -> Rows:
    """Return rows that `train_final` fits no weights on, its calibration part, evenly thinned over time.

    Parameters
    ----------
    dataset
        What was trained on.
    model
        A forecaster or a trained model: what it reads.
    most
        Most rows; fewer where their windows would take more than 64 MiB.
    """
    fold = final_split(
        dataset.ts_event, dataset.ts_matured, labelled=dataset.labelled, judged_times=MIN_TIMES
    )
    reading = Reading.of(dataset, model)
    rows = fold.calibration[reading.eligible()[fold.calibration]]
    return thin(rows, min(most, max(1, BATCH_BYTES // reading.row_bytes)))
