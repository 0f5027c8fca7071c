"""Why owners are left out of the attempt that follows: what they themselves sent, or that nothing came."""

from collections.abc import Mapping

from consilium.federated.secure_sum.coordinator import SumCoordinator

MOST_REASONS = 1000


class Reasons:
    """The first reason of each owner of an attempt.

    Parameters
    ----------
    named
        Participant by owner.

    Examples
    --------
    >>> reasons = Reasons({"desk1": "p-1"})
    >>> reasons.note("desk1", "a reason")
    >>> reasons.note("a stranger", "another")
    >>> reasons.of_participants()
    {'p-1': 'a reason'}
    """

    def __init__(self, named: Mapping[str, str]) -> None:
        self._named = named
        self._found: dict[str, str] = {}

    def note(self, owner: str, why: str) -> None:
        """Remember why an owner is left out."""
        if owner in self._named and len(self._found) < MOST_REASONS:
            self._found.setdefault(owner, why)

    def note_silent(self, machine: SumCoordinator, now: int) -> None:
        """Remember who is missing when a stage ends by its deadline."""
        if machine.late(now):
            for owner in machine.waits_for():
                self.note(owner, f"nothing came in stage {machine.stage.name.lower()}")

    def of_participants(self) -> dict[str, str]:
        """Return the reasons by participant."""
        return {self._named[owner]: why for owner, why in self._found.items()}
