"""The options that say how models are taught."""

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from consilium.domain import UsageError, canonical_model

Epochs = Annotated[int | None, typer.Option("--epochs", help="Most epochs of each network.")]
Stride = Annotated[
    int | None, typer.Option("--stride", help="Learn from every N-th bar of each symbol (default 1).")
]
Tune = Annotated[
    int | None,
    typer.Option("--tune", help="Search the parameters of each model in N trials (default 0: none)."),
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="Where networks learn: auto (default; CUDA if there), cpu, cuda, cuda:1."),
]
Precision = Annotated[
    str | None, typer.Option("--precision", help="Of networks: auto (default), fp32, bf16 or fp16.")
]
Recompute = Annotated[
    bool | None,
    typer.Option(
        "--recompute/--no-recompute",
        help="Networks compute inner results again on the way back: slower, in less memory.",
        show_default="no",
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="MODEL.NAME=VALUE",
        help="A parameter of one model, such as nhits.learning_rate=1e-4; give it again for more.",
    ),
]


def parameters_of(given: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read parameters of models; values are JSON, or else words.

    Raises
    ------
    UsageError
        Not of the form MODEL.NAME=VALUE, or one that is given twice.

    Examples
    --------
    >>> parameters_of(["nhits.pools=[1, 2]", "patchtst.head=flatten"])
    {'nhits': {'pools': (1, 2)}, 'patchtst': {'head': 'flatten'}}
    """
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        place, equals, value = text.partition("=")
        model, dot, name = place.strip().partition(".")
        if not (equals and dot and model and name):
            raise UsageError(
                "--set must be MODEL.NAME=VALUE", f"'{text}'", "write --set nhits.learning_rate=1e-4"
            )
        of_model = found.setdefault(canonical_model(model), {})
        if name in of_model:
            raise UsageError("each parameter may be set once", f"'{place}' twice", "remove one of them")
        of_model[name] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        read = json.loads(text)
    except ValueError:
        return text
    return tuple(read) if isinstance(read, list) else read
