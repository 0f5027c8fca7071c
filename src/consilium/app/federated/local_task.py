"""The task of a session on this machine: what the session settles for all, and the rows that are here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consilium.domain import UsageError
from consilium.federated.tasks import Task, task_class

SYNTHETIC = "synthetic"
"""No learning: to try and to measure the protocol."""

ALLOWED: Mapping[str, tuple[str, ...]] = {
    "digits": ("alpha", "hidden", "seed"),
    "candles": ("model", "sizes", "features", "stride", "test_share", "seed"),
    SYNTHETIC: ("dimension",),
}
"""What a session may settle of a task; nothing else of it comes from outside."""


TREES = ("bagging", "trees", "xgboost", "lightgbm")
"""What is united tree by tree, not averaged number by number."""


def require_known(name: str, options: Mapping[str, Any]) -> None:
    """Refuse a task that no session can carry, and options that none may settle.

    Raises
    ------
    UsageError
        With what can be done instead.
    """
    trees = name if name in TREES else options.get("model")
    if trees in TREES:
        raise UsageError(
            "a session averages the numbers of one network; trees are bagged",
            trees,
            "train a network (candles, model=nhits), or unite trees in one process: federated.tasks.bagging",
        )
    strange = sorted(set(options) - set(ALLOWED.get(name, ())))
    if name in ALLOWED and strange:
        raise UsageError(
            f"options of {name} must be of {', '.join(ALLOWED[name])}", ", ".join(strange), "leave them out"
        )


def local_task(
    name: str,
    options: Mapping[str, Any],
    owners: tuple[str, ...],
    *,
    owner: str,
    data: Path | None = None,
    symbols: tuple[str, ...] | None = None,
) -> Task:
    """Make a session's task with the rows of one owner.

    Parameters
    ----------
    name
        Of the task.
    options
        As the session settles them.
    owners
        All who were admitted: digits are split among them.
    owner
        Whose rows these are.
    data, symbols
        Candles, for tasks that learn from them.

    Raises
    ------
    UsageError
        An option that no session may settle, or no candles where they are needed.
    UnknownName
        No such task.
    """
    require_known(name, options)
    if name == SYNTHETIC:
        from consilium.federated.tasks.synthetic import Synthetic

        return Synthetic(owners, dimension=int(options.get("dimension", 1_000)))
    made = task_class(name)
    if name != "candles":
        found: Task = made(owners, **options)
        return found
    if data is None:
        raise UsageError("the task candles needs --data", "none", "give a file or folder of candles")
    from consilium.market.sources import load_candles

    series = load_candles(data, symbols).series
    candles: Task = made({owner: series}, **options)
    return candles
