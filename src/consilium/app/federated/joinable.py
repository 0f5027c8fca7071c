"""Whether a session could ever begin: looked at when it is created, not when all have joined."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from consilium.app.federated.local_task import ALLOWED, SYNTHETIC, local_task
from consilium.domain import ConsiliumError, InvalidValue
from consilium.federated.owners import OwnerList
from consilium.federated.parameters import count_of, degree_for, ring_for
from consilium.federated.sampling import sample_size
from consilium.federated.session import Mode, Terms

_WHOLE: Final = ("dimension", "hidden", "seed", "stride")
_NUMBERS: Final = ("alpha", "test_share")
_MOST: Final = 2**53


class Unjoinable(InvalidValue):
    """Terms under which no round could ever begin."""


def require_joinable(terms: Terms, options: Mapping[str, Any], owners: OwnerList, numbers: int) -> None:
    """Refuse a session that nobody can join, or whose rounds could not begin if all joined.

    The numbers of a model on candles are not looked at: its network is made where the candles are.

    Parameters
    ----------
    terms, options
        Of the session, and of its task.
    owners
        Who is admitted.
    numbers
        Of the first model.

    Raises
    ------
    Unjoinable
        With the value, the bound and what to do.
    """
    _require_options(terms.task, options)
    names = tuple(one.owner for one in owners.owners)
    if terms.task != "candles":
        wanted = _dimension(terms.task, options, names)
        if numbers != wanted:
            raise Unjoinable(
                f"the first model of task {terms.task} must have the {wanted:,} numbers of its options",
                f"{numbers:,}",
                "make it with the options of the session",
            )
    _require_enough(terms, sum(owners.weight(name, terms.owner_cap) > 0 for name in names), len(names))


def _require_options(task: str, options: Mapping[str, Any]) -> None:
    if task not in ALLOWED:
        raise Unjoinable(f"task must be one of {', '.join(sorted(ALLOWED))}", repr(task), "choose one")
    for name, value in options.items():
        whole = type(value) is int and abs(value) <= _MOST
        if name in _WHOLE and not whole:
            raise Unjoinable(f"option {name} must be a whole number", f"{value!r}"[:80], "correct it")
        if name in _NUMBERS and not (whole or (type(value) is float and isfinite(value))):
            raise Unjoinable(f"option {name} must be a number", f"{value!r}"[:80], "correct it")
        if name in ("model", "features") and not isinstance(value, str):
            raise Unjoinable(f"option {name} must be a name", f"{value!r}"[:80], "correct it")
        if name == "sizes" and not isinstance(value, Mapping):
            raise Unjoinable("option sizes must name sizes", f"{value!r}"[:80], "correct it")


def _dimension(task: str, options: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """Return the numbers of a task's model, made as each participant makes it."""
    if task == SYNTHETIC and not 1 <= options.get("dimension", 1) <= _MOST:
        raise Unjoinable("option dimension must be >= 1", options["dimension"], "correct it")
    try:
        return local_task(task, options, names, owner=names[0]).dimension
    except ConsiliumError as error:
        raise _unjoinable(error) from error


def _require_enough(terms: Terms, weighted: int, admitted: int) -> None:
    """Refuse numbers with which no round can begin though all who have stake joined."""
    if weighted < terms.least_participants:
        raise Unjoinable(
            f"least_participants must be <= {weighted}, the admitted owners with stake",
            f"{terms.least_participants:,}",
            "ask for fewer, or admit more owners",
        )
    if terms.buffering is not None and terms.buffering.size > weighted:
        raise Unjoinable(
            f"the size of a buffer must be <= {weighted}, the admitted owners with stake",
            f"{terms.buffering.size:,}",
            "lower it: one update of each waits at most",
        )
    if terms.mode is Mode.VISIBLE:
        return
    chosen = sample_size(weighted, terms.sample_fraction, terms.least_participants)
    try:
        degree_for(chosen, terms.gamma, terms.delta, colluders=count_of(terms.gamma, admitted))
        ring_for(chosen, terms.clip_int)
    except InvalidValue as error:
        raise _unjoinable(error) from error


def _unjoinable(error: ConsiliumError) -> Unjoinable:
    return Unjoinable(error.bound, error.value, error.cure)
