"""A network behind the `Forecaster` port: parameters, fit, forecasts, files."""

from collections.abc import Mapping
from dataclasses import fields
from inspect import Parameter, Signature
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from consilium.domain import ArtefactRefused, InvalidValue, UnknownName
from consilium.models.layers.forecaster import (
    Floats,
    Labels,
    Rows,
    ThreeClassForecaster,
    Validation,
    smoothed_prior,
)
from consilium.models.layers.inputs import NotFitted, checked_weights, require_features
from consilium.models.layers.network.heads import CONFIDENCE, RETURN, is_direction
from consilium.models.layers.network.learning import (
    Learnt,
    Lesson,
    Loop,
    Plan,
    forecast_quantities,
    learn,
    seeded,
)
from consilium.models.layers.network.loss import UNKNOWN
from consilium.models.layers.network.module import Network
from consilium.models.layers.settings import require_count
from consilium.models.layers.windows import Windows

WEIGHTS_FILE = "weights.safetensors"


class NetworkForecaster(ThreeClassForecaster):
    """Base of the networks: ``q = softmax(direction logits)`` of windows (n, T, F) in standard units.

    A subclass names its configuration, its network and its plan, and has nothing else to say. Constructor
    parameters are the fields of the configuration, those of `Plan`, and ``n_threads``.
    """

    config_type: ClassVar[type[Any]]
    plan: ClassVar[Plan]
    """How this network learns unless told otherwise."""
    files = (WEIGHTS_FILE,)
    min_fit_rows = 32

    network_: Network
    learnt_: Learnt
    return_scale_: float
    """Deviation of the training returns, in which the network states an expected return."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "config_type"):
            cls.__signature__ = Signature(
                [
                    Parameter(name, Parameter.KEYWORD_ONLY, default=default)
                    for name, default in cls._defaults().items()
                ]
            )

    def __init__(self, **params: Any) -> None:
        defaults = self._defaults()
        for name in params:
            if name not in defaults:
                # A TypeError is what Python says of an argument that a constructor does not have.
                raise TypeError(f"{self.name} has no parameter {name}")
        for name, default in defaults.items():
            setattr(self, name, params.get(name, default))

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        config = {part.name: part.default for part in fields(cls.config_type)}
        return {**config, **{p.name: getattr(cls.plan, p.name) for p in fields(Plan)}, "n_threads": 1}

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return sorted(cls._defaults())

    @classmethod
    def build(cls, config: Any, n_features: int) -> Network:
        """Return a fresh network for windows of so many features."""
        raise NotImplementedError

    @property
    def config(self) -> Any:
        """The configuration that the parameters make."""
        return self.config_type(**{p.name: getattr(self, p.name) for p in fields(self.config_type)})

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        outcomes: Mapping[str, ArrayLike] | None = None,
        loop: Loop | None = None,
    ) -> Self:
        """Learn from windows, in the order of time.

        Parameters
        ----------
        X
            Shape (n, window, F), n >= 32, finite, in standard units; numbers beyond 1e4 are clipped. An
            array, or `Windows`, which are cut batch by batch.
        y
            Shape (n,), directions; what the primary direction learns.
        sample_weight
            Shape (n,), >= 0; ones if not given.
        validation
            A later slice (X, y): training stops by its log-loss and the best epoch is kept.
        outcomes
            What further heads learn, by name: ``expected_return`` realised log returns (n,), NaN where open;
            ``direction_<h>`` directions (n,), -1 where open. A head without outcomes learns nothing; a
            confidence learns beside its direction.
        loop
            Another training loop than `learn`.

        Raises
        ------
        InvalidValue
            NaN or inf in X, labels other than 0, 1, 2, lengths that differ, too few rows.
        UnknownName
            An outcome that no head states.
        Diverged
            The loss is not finite.
        """
        for old in ("network_", "learnt_", "return_scale_"):
            self.__dict__.pop(old, None)
        rows = self._checked(X)
        weights = checked_weights(sample_weight, len(rows))
        kept = weights > 0.0
        self._asked = _checked_outcomes(outcomes or {}, kept), loop or learn
        try:
            return super().fit(rows, y, sample_weight=weights, validation=validation)
        finally:
            del self._asked

    def outcome_names(self, n_features: int) -> tuple[str, ...]:
        """Return what ``outcomes`` of fit may name for windows of so many features."""
        with torch.device("meta"):
            names = self.build(self.config, n_features).names
        return tuple(name for name in names if not name.startswith(CONFIDENCE))

    def quantities(self, X: ArrayLike) -> dict[str, Floats]:
        """Return what each head states of windows (n, window, F).

        Directions are probabilities (n, 3), not mixed with the prior; confidences are probabilities (n,),
        before calibration; ``expected_return`` is a log return (n,).

        Raises
        ------
        NotFitted
            Before fit, or where training held a single class and there was nothing to learn.
        """
        if not hasattr(self, "network_"):
            raise NotFitted(
                f"{self.name} must have learnt before its heads speak", "no network", "fit on 2 classes"
            )
        rows = self._checked(X)
        require_features(type(self).__name__, rows, self.n_features_in_)
        stated = {}
        if len(rows) == 0:
            return {}
        for name, value in self._forward(rows).items():
            if is_direction(name):
                stated[name] = _softmax(value)
            elif name.startswith(CONFIDENCE):
                stated[name] = 1.0 / (1.0 + np.exp(-np.clip(value[:, 0], -500.0, 500.0)))
            else:
                stated[name] = value[:, 0] * self.return_scale_
        return stated

    def _require_settings(self) -> None:
        require_count(self.name, "n_threads", self.n_threads, 1)
        self._plan().require(self.name)
        self.config.require()

    def _checked(self, X: Any) -> Rows:
        if isinstance(X, Windows) and X.steps == self.window:
            # Checked when they were made; everything behind reads them by rows, as it would an array.
            return cast("Rows", X)
        return super()._checked(X[:] if isinstance(X, Windows) else X)

    def _plan(self) -> Plan:
        return Plan(**{part.name: getattr(self, part.name) for part in fields(Plan)})

    def _learn(self, rows: Rows, labels: Labels, weights: Floats, validation: Validation, /) -> None:
        if len(rows) < self.min_fit_rows:
            raise InvalidValue(
                f"{self.name} needs at least {self.min_fit_rows} rows to learn from",
                len(rows),
                "give a longer history",
            )
        outcomes, loop = self._asked
        plan = self._plan()
        with seeded(plan.seed, self.n_threads):
            network = self.build(self.config, rows.shape[-1])
            targets, self.return_scale_ = _targets(network, labels, outcomes)
            network.start_at(_priors(targets, weights))
            lesson = Lesson(
                owner=self.name,
                inputs=rows,
                targets=targets,
                weights=weights / weights.mean(),
                validation=validation,
            )
            self.learnt_ = loop(network, lesson, plan)
        self.network_ = network

    def _forward(self, rows: Rows) -> dict[str, Floats]:
        with seeded(0, self.n_threads):
            stated = forecast_quantities(self.network_, rows)
        return {name: value.double().numpy() for name, value in stated.items()}

    def _distribution(self, rows: Rows) -> Floats:
        return _softmax(self._forward(rows)[self.network_.primary])

    def _state(self) -> Mapping[str, Any]:
        return {
            "return_scale": self.return_scale_,
            "best_epoch": self.learnt_.best_epoch,
            "train_losses": list(self.learnt_.train_losses),
            "validation_losses": list(self.learnt_.validation_losses),
        }

    def _payload(self) -> Mapping[str, bytes]:
        tensors = {name: value.contiguous() for name, value in self.network_.state_dict().items()}
        return {WEIGHTS_FILE: save_tensors(tensors)}

    def _restore(self, state: Mapping[str, Any], payload: Mapping[str, bytes], /) -> None:
        with seeded(0, self.n_threads):
            self.network_ = self.build(self.config, self.n_features_in_)
        try:
            self.network_.load_state_dict(load_tensors(payload[WEIGHTS_FILE]))
            self.return_scale_ = float(state["return_scale"])
            self.learnt_ = Learnt(
                best_epoch=int(state["best_epoch"]),
                train_losses=tuple(state["train_losses"]),
                validation_losses=tuple(state["validation_losses"]),
            )
        except (SafetensorError, RuntimeError, KeyError) as reason:
            text = " ".join(str(reason).split())[:160]
            raise ArtefactRefused(
                f"{WEIGHTS_FILE} must fit the configuration of {self.name}", text, "train the model again"
            ) from None
        self.network_.eval()


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def _checked_outcomes(outcomes: Mapping[str, ArrayLike], kept: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    checked: dict[str, NDArray[Any]] = {}
    for name, given in outcomes.items():
        values = np.asarray(given)
        if values.shape != kept.shape:
            raise InvalidValue(
                f"outcomes of {name} must have shape ({len(kept)},)", values.shape, "give one for each row"
            )
        if is_direction(name):
            wrong = ~np.isin(values, (UNKNOWN, 0, 1, 2))
            if wrong.any():
                raise InvalidValue(
                    f"outcomes of {name} must be 0, 1, 2 or {UNKNOWN}", values[wrong][0], "give directions"
                )
            checked[name] = values[kept].astype(np.int64)
        else:
            if np.isinf(values).any():
                raise InvalidValue(f"outcomes of {name} must be finite or NaN", "inf", "leave it open as NaN")
            checked[name] = values[kept].astype(np.float64)
    return checked


def _targets(
    network: Network, labels: Labels, outcomes: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, NDArray[Any]], float]:
    """Return what each quantity learns, and the deviation in which returns are told."""
    stated = network.names
    for name in outcomes:
        if name not in stated or name.startswith(CONFIDENCE):
            raise UnknownName("outcome", name, [n for n in stated if not n.startswith(CONFIDENCE)])
    targets = {**outcomes, network.primary: labels}
    scale = 1.0
    if RETURN in targets:
        spread = float(np.nanstd(targets[RETURN]))
        scale = spread if spread > 0.0 else 1.0
        targets[RETURN] = targets[RETURN] / scale
    return targets, scale


def _priors(targets: Mapping[str, NDArray[Any]], weights: Floats) -> dict[str, torch.Tensor]:
    priors = {}
    for name, classes in targets.items():
        if is_direction(name):
            known = classes != UNKNOWN
            priors[name] = torch.from_numpy(smoothed_prior(classes[known], weights[known])).float()
    return priors
