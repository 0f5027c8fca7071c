"""Canonical names of models and their aliases at the border (glossary: model)."""

MODEL_NAMES = (
    "xgboost",
    "lightgbm",
    "nhits",
    "patchtst",
    "cnn_lstm",
    "mpd_transformer",
    "tlob",
    "rl_agent",
    "sentiment",
)
"""The nine registered kinds."""

_ALIASES = {"xgb": "xgboost", "lgbm": "lightgbm", "mpd": "mpd_transformer"}
_SHORT = {"xgboost": "xgb", "lightgbm": "lgbm"}


def canonical_model(name: str) -> str:
    """Return the canonical name of a model; a name without an alias is returned as it is.

    Examples
    --------
    >>> canonical_model("xgb"), canonical_model("mpd"), canonical_model("nhits")
    ('xgboost', 'mpd_transformer', 'nhits')
    """
    return _ALIASES.get(name, name)


def short_model(name: str) -> str:
    """Return the name used in ``quantum:*`` keys and in the one-line account.

    Examples
    --------
    >>> short_model("lightgbm"), short_model("patchtst")
    ('lgbm', 'patchtst')
    """
    return _SHORT.get(name, name)


def model_names(name: str) -> tuple[str, ...]:
    """Return all names of a model, the canonical one first.

    Examples
    --------
    >>> model_names("mpd"), model_names("nhits")
    (('mpd_transformer', 'mpd'), ('nhits',))
    """
    canonical = canonical_model(name)
    return (canonical, *(alias for alias, meant in _ALIASES.items() if meant == canonical))
