"""Errors that say the bound, the value and the cure in one line."""

from collections.abc import Iterable
from difflib import get_close_matches


class ConsiliumError(Exception):
    """Base of all errors that a user can cure.

    Parameters
    ----------
    bound
        What must hold, as a sentence without a full stop: ``"quantity must be > 0"``.
    value
        What came instead: ``"-1"``.
    cure
        What to do about it: ``"give a positive quantity"``.

    Examples
    --------
    >>> str(ConsiliumError("quantity must be > 0", "-1", "give a positive quantity"))
    'quantity must be > 0; got -1: give a positive quantity'
    """

    exit_code = 1

    def __init__(self, bound: str, value: object, cure: str) -> None:
        self.bound = bound
        self.value = value
        self.cure = cure
        super().__init__(f"{bound}; got {value}: {cure}")


class InvalidValue(ConsiliumError, ValueError):
    """A value outside its bound."""


class UsageError(ConsiliumError):
    """A command was called in a way that cannot work (exit code 2)."""

    exit_code = 2


class UnknownName(UsageError, LookupError):
    """A name that is in no table; says which are (of many the nearest), and which was probably meant.

    Parameters
    ----------
    kind
        What was looked for: ``"rule"``, ``"model"``, ``"symbol"``.
    name
        The name that was not found.
    known
        The names that exist.

    Examples
    --------
    >>> str(UnknownName("rule", "smart_vot", ["smart_vote", "weighted_voting"]))
    "rule must be one of smart_vote, weighted_voting; got 'smart_vot': did you mean 'smart_vote'?"
    """

    LISTED = 30
    NEAREST = 5

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.known = sorted(known)
        close = get_close_matches(name.lower(), [k.lower() for k in self.known], n=1, cutoff=0.5)
        meant = [k for k in self.known if close and k.lower() == close[0]]
        listed = ", ".join(self.known) or "(none)"
        if len(self.known) > self.LISTED:
            listed = f"{len(self.known)}, as {', '.join(self._nearest())}"
        cure = f"did you mean '{meant[0]}'?" if meant else f"choose one of the known {_several(kind)}"
        super().__init__(f"{kind} must be one of {listed}", f"'{name}'", cure)

    def _nearest(self) -> list[str]:
        """Return a few of the known names: the most alike first, then the first in order."""
        alike = get_close_matches(
            self.name.lower(), [k.lower() for k in self.known], n=self.NEAREST, cutoff=0.3
        )
        near = sorted((k for k in self.known if k.lower() in alike), key=lambda k: alike.index(k.lower()))
        return [*near, *(k for k in self.known if k not in near)][: self.NEAREST]


def _several(kind: str) -> str:
    """Return the plural of a kind: of its first noun where it is one of something.

    Examples
    --------
    >>> _several("rule"), _several("interval of spot"), _several("--dates")
    ('rules', 'intervals of spot', 'values of --dates')
    """
    if kind.startswith("--"):
        return f"values of {kind}"
    noun, of, rest = kind.partition(" of ")
    return (f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s") + of + rest


class DataProblem(ConsiliumError):
    """Market data that cannot be used as it is."""


class ArtefactRefused(ConsiliumError):
    """A stored model that is damaged, foreign or made for something else."""


class OutputProblem(ConsiliumError):
    """A result could not be written."""


class OutcomeUnknown(OutputProblem):
    """A result may have been written or not; it is not to be done anew before that is known."""
