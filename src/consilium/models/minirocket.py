"""MiniRocket on windows of features: fixed kernels, a ridge, calibrated probabilities."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from consilium.domain import ArtefactRefused
from consilium.models.layers.forecaster import Floats, Labels, Rows, ThreeClassForecaster, Validation
from consilium.models.layers.inputs import CLASSES
from consilium.models.layers.ridge import RidgeClassifier, fit_ridge
from consilium.models.layers.rocket import KERNELS, TAPS, Rocket, fit_rocket
from consilium.models.layers.settings import require_count
from consilium.models.layers.storage import pack_arrays, unpack_arrays

ARRAYS_FILE = "arrays.npz"
MAX_UNITS = 1e6
"""Standard units beyond this are clipped, so that sums in single precision stay finite."""


class MiniRocketForecaster(ThreeClassForecaster):
    """MiniRocket: ``p = softmax(a (W PPV(z) + c) + b)``, z the window in standard units of each channel.

    Channels are standardised by the training rows, because kernels add channels up and a feature of
    large scale would drown the others. `fit` uses every row that it is given; a caller with many may keep
    to ``max_fit_rows``, spread over time. Of a validation slice as many evenly spaced rows are read; it
    chooses the penalty and the calibration, which otherwise come from leave-one-out. Where neighbouring
    windows share part of their label (a horizon of several bars), leave-one-out is too hopeful: give one.

    Parameters
    ----------
    window
        Rows that one forecast reads, >= 9; 64.
    num_features
        Features, >= 84, rounded down to a multiple of 84; 1,008. The paper has 9,996.
    seed
        Seed of the channel subsets and of the windows behind the biases, >= 0.
    n_threads
        Threads of the linear algebra, >= 1; 1.

    Examples
    --------
    >>> rng, phase = np.random.default_rng(0), np.arange(32)[:, None]
    >>> y = np.arange(120) % 3
    >>> X = np.sin(phase / (1.0 + y[:, None, None])) + 0.1 * rng.standard_normal((120, 32, 1))
    >>> model = MiniRocketForecaster(window=32, num_features=84).fit(X[:90], y[:90])
    >>> float(model.score(X[90:], y[90:]))
    1.0

    References
    ----------
    Dempster, Schmidt, Webb (2021), section 3.
    """

    name = "minirocket"
    files = (ARRAYS_FILE,)
    max_fit_rows: ClassVar[int] = 5_000

    mean_: Floats
    scale_: Floats
    rocket_: Rocket
    ridge_: RidgeClassifier

    def __init__(
        self, window: int = 64, num_features: int = 1_008, seed: int = 0, n_threads: int = 1
    ) -> None:
        self.window = window
        self.num_features = num_features
        self.seed = seed
        self.n_threads = n_threads

    def _require_settings(self) -> None:
        for parameter, least in (
            ("window", TAPS),
            ("num_features", len(KERNELS)),
            ("seed", 0),
            ("n_threads", 1),
        ):
            require_count(self.name, parameter, getattr(self, parameter), least)

    def _learn(self, rows: Rows, labels: Labels, weights: Floats, validation: Validation, /) -> None:
        self.mean_, self.scale_ = _standard_units(rows)
        rng = np.random.default_rng(self.seed)
        codes = np.searchsorted(self.present_, labels)
        with threadpool_limits(self.n_threads):
            standard = self._standard(rows)
            self.rocket_ = fit_rocket(standard, self.num_features, rng)
            features = self.rocket_.transform(standard)
            self.ridge_ = fit_ridge(features, codes, weights, self._held_out(validation))

    def _held_out(self, validation: Validation) -> tuple[Rows, Labels] | None:
        """Return features and codes of the validation rows whose class was seen in training."""
        if validation is None:
            return None
        rows = np.flatnonzero(np.isin(validation[1], self.present_))
        if len(rows) == 0:
            return None
        # Evenly spaced rows bound the memory without a draw.
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), self.max_fit_rows)).astype(np.int64)]
        features = self.rocket_.transform(self._standard(validation[0][rows]))
        return features, np.searchsorted(self.present_, validation[1][rows])

    def _distribution(self, rows: Rows) -> Floats:
        result = np.zeros((len(rows), CLASSES))
        step = 2_048
        for start in range(0, len(rows), step):
            features = self.rocket_.transform(self._standard(rows[start : start + step]))
            result[start : start + step, self.present_] = self.ridge_.distribution(features)
        return result

    def _standard(self, rows: Rows) -> NDArray[np.float32]:
        standard = (rows - self.mean_) / self.scale_
        return np.clip(standard, -MAX_UNITS, MAX_UNITS).astype(np.float32)

    def _state(self) -> Mapping[str, Any]:
        return {"penalty": self.ridge_.penalty}

    def _payload(self) -> Mapping[str, bytes]:
        return {
            ARRAYS_FILE: pack_arrays(
                {
                    "mean": self.mean_,
                    "scale": self.scale_,
                    "dilations": self.rocket_.dilations,
                    "per_dilation": self.rocket_.per_dilation,
                    "channels": self.rocket_.channels,
                    "biases": self.rocket_.biases,
                    "coef": self.ridge_.coef,
                    "intercept": self.ridge_.intercept,
                    "shift": self.ridge_.shift,
                    "sharpness": self.ridge_.sharpness,
                }
            )
        }

    def _restore(self, state: Mapping[str, Any], payload: Mapping[str, bytes], /) -> None:
        arrays = unpack_arrays(payload[ARRAYS_FILE])
        try:
            self.mean_, self.scale_ = arrays["mean"], arrays["scale"]
            rocket = {key: arrays[key] for key in ("dilations", "per_dilation", "channels", "biases")}
            coef, intercept = arrays["coef"], arrays["intercept"]
            shift, sharpness = arrays["shift"], arrays["sharpness"]
        except KeyError as missing:
            raise ArtefactRefused(
                f"{ARRAYS_FILE} must hold all arrays", f"none named {missing}", "train the model again"
            ) from None
        self.rocket_ = Rocket(length=self.window, **rocket)
        self.ridge_ = RidgeClassifier(
            coef=coef,
            intercept=intercept,
            shift=shift,
            sharpness=sharpness,
            penalty=float(state["penalty"]),
        )


def _standard_units(rows: Rows) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each channel; 1 for a constant one."""
    count = rows.shape[0] * rows.shape[1]
    mean = rows.sum(axis=(0, 1), dtype=np.float64) / count
    squares = np.zeros(rows.shape[2])
    for start in range(0, len(rows), 1_024):
        squares += ((rows[start : start + 1_024] - mean) ** 2).sum(axis=(0, 1))
    scale = np.sqrt(squares / count)
    return mean, np.where(scale > 1e-12 * (1.0 + np.abs(mean)), scale, 1.0)
