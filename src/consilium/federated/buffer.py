"""Rounds that wait for nobody: who is ready goes into the next cohort, with a weight fixed beforehand."""

from collections.abc import Iterable, Mapping
from typing import Any

from consilium.domain import InvalidValue
from consilium.federated.rounds import Member
from consilium.federated.session import Buffering


class Buffer:
    """Collects participants who have trained, until there are enough for a cohort.

    Staleness is counted, and all weights are fixed, when the cohort is formed: before anybody masks, so that
    they hang on nothing that an update says. While one cohort sums, the next one fills.

    Parameters
    ----------
    buffering
        Size of a cohort, exponent, and the most that an update may be behind.
    versions
        Every version so far, the newest last: their places tell staleness.

    References
    ----------
    Nguyen et al. (2022), FedBuff, algorithm 1.
    """

    def __init__(self, buffering: Buffering, versions: tuple[str, ...]) -> None:
        self.buffering = buffering
        self._versions = list(versions)
        self._ready: dict[str, str] = {}
        self._summing: frozenset[str] = frozenset()
        self._taken: dict[str, int] = {}
        """Round in which each was merged last."""

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def ready(self) -> Mapping[str, str]:
        """Who waits, and from which version."""
        return dict(self._ready)

    def add(self, participant: str, base_version: str, *, number: int | None = None) -> None:
        """Note that a participant has an update from a version; the same again changes nothing.

        Parameters
        ----------
        participant, base_version
            Who, and what it trained from.
        number
            Round that it trained for: an update that was merged is not ready again. None where the carrier
            sees to that.

        Raises
        ------
        InvalidValue
            A version that never was or is too old, another version than it said before, a participant whose
            update is being summed, or a round that is merged already.
        """
        merged = self._taken.get(participant, 0)
        if number is not None and number <= merged:
            raise InvalidValue(
                f"an update of {participant} must be trained after round {merged}, in which its last one was",
                f"for round {number}",
                "train from the newest model",
            )
        self._staleness(participant, base_version)
        earlier = self._ready.get(participant)
        if earlier == base_version:
            return
        if earlier is not None:
            raise InvalidValue(
                f"{participant} may wait with 1 update",
                f"a second, from {base_version[:16]}",
                "wait for the first",
            )
        if participant in self._summing:
            raise InvalidValue(f"{participant} must not be in a running cohort", "it is", "wait for its end")
        self._ready[participant] = base_version

    def cohort(self, weights: Mapping[str, int]) -> tuple[Member, ...] | None:
        """Form a cohort of those who were ready first, or return None where there are too few.

        Those who have become too stale while they waited leave the buffer.

        Parameters
        ----------
        weights
            Public weight of each participant.
        """
        if self._summing:
            return None
        for name, version in list(self._ready.items()):
            if self._behind(version) > self.buffering.most_stale:
                del self._ready[name]
        if len(self._ready) < self.buffering.size:
            return None
        first = sorted(list(self._ready)[: self.buffering.size])
        members = tuple(
            Member(
                participant=name,
                weight=weights[name],
                base_version=self._ready[name],
                staleness=self._behind(self._ready[name]),
            )
            for name in first
        )
        for name in first:
            del self._ready[name]
        self._summing = frozenset(first)
        return members

    def drop(self, participant: str) -> None:
        """Let a participant wait no more."""
        self._ready.pop(participant, None)

    def ended(self, version: str | None, *, number: int | None = None) -> None:
        """Note that the running cohort is over.

        Parameters
        ----------
        version
            What it led to; None where it failed.
        number
            Of its round; None where the round was dropped, and its updates may come again.
        """
        if number is not None:
            self._taken |= dict.fromkeys(self._summing, number)
        self._summing = frozenset()
        if version is not None:
            self._versions.append(version)

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"versions": list(self._versions), "ready": dict(self._ready), "taken": dict(self._taken)}

    def restore(self, state: Mapping[str, Any], *, summing: Iterable[str] = ()) -> None:
        """Take back what `state` returned, and who is in the cohort that is on."""
        self._versions, self._ready = list(state["versions"]), dict(state["ready"])
        self._taken = {name: int(number) for name, number in state.get("taken", {}).items()}
        self._summing = frozenset(summing)

    def _behind(self, version: str) -> int:
        newest_first = self._versions[::-1]
        return newest_first.index(version) if version in newest_first else len(self._versions)

    def _staleness(self, participant: str, version: str) -> int:
        if version not in self._versions:
            raise InvalidValue(
                "base_version must be a version of this session",
                f"{version[:16]!r}",
                "fetch the newest model",
            )
        behind = self._behind(version)
        if behind > self.buffering.most_stale:
            raise InvalidValue(
                f"an update of {participant} may be <= {self.buffering.most_stale} versions behind",
                behind,
                "train on the newest model",
            )
        return behind
