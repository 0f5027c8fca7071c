"""The forecasters, one per file; listing them imports none of them."""

from collections.abc import Sequence
from importlib.util import find_spec
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from consilium.domain import Forecaster, UnknownName, canonical_model, lookup, missing_package, names_in

FORECASTERS = {
    "xgboost": "consilium.models.xgboost:XGBoostForecaster",
    "lightgbm": "consilium.models.lightgbm:LightGBMForecaster",
    "nhits": "consilium.models.nhits:NHitsForecaster",
    "patchtst": "consilium.models.patchtst:PatchTSTForecaster",
    "cnn_lstm": "consilium.models.cnn_lstm:CnnLstmForecaster",
    "mpd_transformer": "consilium.models.mpd_transformer:MPDForecaster",
    "tlob": "consilium.models.tlob:TLOBForecaster",
}
"""Models of the pool; the networks need the extra ``torch``."""

_NETWORK = ("torch", "safetensors", "onnx", "onnxruntime")
LIBRARIES = {
    "xgboost": ("xgboost", "onnx", "onnxruntime"),
    "lightgbm": ("lightgbm", "onnx", "onnxruntime"),
} | dict.fromkeys(("nhits", "patchtst", "cnn_lstm", "mpd_transformer", "tlob"), _NETWORK)
"""Packages without which a model cannot be trained and written for service."""

DEFAULT_POOL = ("xgboost", "lightgbm")
"""Who speaks where no models are named: what learns without torch, in seconds."""

BASELINES = {
    "prior": "consilium.models.prior:PriorForecaster",
    "persistence": "consilium.models.persistence:PersistenceForecaster",
    "logistic": "consilium.models.logistic:LogisticForecaster",
    "minirocket": "consilium.models.minirocket:MiniRocketForecaster",
}
"""What a model must beat to be worth its electricity."""

FALLBACKS = {"fallback": "consilium.models.fallback:RsiEmaFallback"}
"""Who speaks when no model is loaded; neither a member of the pool nor a baseline."""

GROUP = "consilium.models"
"""Entry point group by which other packages add models."""


def model_names() -> tuple[str, ...]:
    """Return all names that `make_forecaster` knows, those of other packages included.

    Examples
    --------
    >>> model_names()[:3]
    ('xgboost', 'lightgbm', 'nhits')
    """
    return names_in(FORECASTERS | BASELINES | FALLBACKS, GROUP)


def make_forecaster(
    name: str,
    *,
    feature_names: Sequence[str] | None = None,
    seed: int | None = None,
    n_threads: int | None = None,
    **params: Any,
) -> Forecaster:
    """Make an unfitted forecaster by name.

    Parameters
    ----------
    name
        A name of `model_names`, or one of the aliases ``xgb`` and ``lgbm``.
    feature_names, seed, n_threads
        Handed on to the models that take them and left out for the others, so that a caller
        may give the same three to every model.
    params
        Parameters of this model's constructor.

    Raises
    ------
    UnknownName
        No such model, or the model has no such parameter.
    UsageError
        The library of the model is not installed.

    Examples
    --------
    >>> make_forecaster("prior", seed=7).name
    'prior'
    >>> make_forecaster("lightbgm")
    Traceback (most recent call last):
    ...
    consilium.domain.errors.UnknownName: model must be one of ...; got 'lightbgm': did you mean 'lightgbm'?
    """
    chosen = _class_of(canonical_model(name))
    accepted = signature(chosen).parameters
    if not any(p.kind is Parameter.VAR_KEYWORD for p in accepted.values()):
        for key in params:
            if key not in accepted:
                raise UnknownName(f"parameter of {name}", key, accepted)
    shared = {"feature_names": feature_names, "seed": seed, "n_threads": n_threads}
    params.update({k: v for k, v in shared.items() if v is not None and k in accepted})
    made: Forecaster = chosen(**params)
    return made


def require_libraries(name: str) -> None:
    """Refuse to train a model whose packages are not installed, without importing any of them.

    Parameters
    ----------
    name
        A canonical name of a model of ours; one of another package is imported.

    Raises
    ------
    UsageError
        One is missing; the error names it and what brings it.
    UnknownName
        No such model.

    Examples
    --------
    >>> require_libraries("xgboost")
    """
    if name not in LIBRARIES:
        _class_of(name)
    for package in LIBRARIES.get(name, ()):
        if find_spec(package) is None:
            raise missing_package(f"training {name}", ModuleNotFoundError(name=package))


def load_forecaster(folder: Path) -> Forecaster:
    """Load whatever forecaster was saved into a folder.

    Raises
    ------
    ArtefactRefused
        The folder holds no forecaster, or a damaged one.
    """
    from consilium.models.layers.storage import stored_name

    loaded: Forecaster = _class_of(stored_name(folder)).load(folder)
    return loaded


def _class_of(name: str) -> Any:
    return lookup("model", name, FORECASTERS | BASELINES | FALLBACKS, GROUP)


__all__ = [
    "BASELINES",
    "DEFAULT_POOL",
    "FALLBACKS",
    "FORECASTERS",
    "GROUP",
    "LIBRARIES",
    "load_forecaster",
    "make_forecaster",
    "model_names",
    "require_libraries",
]
