"""One attempt of the secure sum, played to its end: every byte counted, every second booked."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any, Protocol

from consilium.app.federated.crowd import Answer
from consilium.federated.effects import EVERYONE, Aborted, Effect, Finished, Persist, Refused, Send, Tick
from consilium.federated.envelope import Signed
from consilium.federated.secure_sum.coordinator import Stage, SumCoordinator
from consilium.federated.secure_sum.recovery import SumResult

PHASES = {
    Stage.START: "advertise",
    Stage.ADVERTISE: "advertise",
    Stage.REVEAL: "groups",
    Stage.SHARES: "shares",
    Stage.MASKED: "masked",
    Stage.ACK: "survivors",
    Stage.RELEASE: "release",
}
AT_ONCE = 256
"""Messages to deliver at a time: what waits longer waits in the coordinator, not encoded."""


class Deliverer(Protocol):
    """Participants that answer."""

    def answers(self, messages: Iterable[tuple[str, bytes]]) -> Iterator[Answer]:
        """Deliver messages; yield what the receivers answer."""
        ...

    def drop(self, owners: Iterable[str]) -> None:
        """Let some fall silent for good."""
        ...


@dataclass(slots=True)
class PhaseFigures:
    """What one phase took; bytes are lengths of encoded messages."""

    phase: str
    wall_s: float = 0.0
    server_cpu_s: float = 0.0
    participant_cpu_s: float = 0.0
    update_cpu_s: float = 0.0
    upload_bytes: int = 0
    download_bytes: int = 0
    messages: int = 0

    def add(self, other: "PhaseFigures") -> None:
        """Add what the same phase took another time."""
        for name in self.__slots__[1:]:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Played:
    """What came of an attempt.

    Parameters
    ----------
    phases
        In their order.
    result
        The sum, or None.
    failed
        Why there is none.
    released
        Whether shares were out when it failed.
    troubles
        Why a participant left or was refused, by its name.
    journal_bytes
        What the coordinator wrote down.
    """

    phases: list[PhaseFigures] = field(default_factory=list)
    result: SumResult | None = None
    failed: str = ""
    released: bool = False
    troubles: dict[str, str] = field(default_factory=dict)
    journal_bytes: int = 0


Moved = Callable[[str, int, int], None]


class Stageplay:
    """Drives a coordinator and its participants; nobody waits for a clock.

    Parameters
    ----------
    coordinator
        Of the attempt, not yet started.
    owners
        Of the attempt.
    crowd
        The participants.
    dropped
        Who falls silent after the shares and before the masked vectors.
    deadline_ns
        Of the longest stage: by so much the clock moves on when nobody has anything left to say.
    moved
        Called with (phase, done, total).
    """

    def __init__(
        self,
        coordinator: SumCoordinator,
        owners: Sequence[str],
        crowd: Deliverer,
        *,
        dropped: Collection[str] = (),
        deadline_ns: int,
        moved: Moved | None = None,
    ) -> None:
        self._coordinator, self._owners, self._crowd = coordinator, owners, crowd
        self._dropped, self._silent = frozenset(dropped), frozenset[str]()
        self._deadline, self._now = deadline_ns, 0
        self._moved: Moved = moved or _still
        self._waiting: deque[tuple[str, Signed | bytes]] = deque()
        self._played = Played()
        self._figures: dict[str, PhaseFigures] = {}
        self._over = False

    def play(self) -> Played:
        """Return what came of it."""
        self._hand(Tick(self._now))
        while not self._over:
            began, figures = perf_counter(), self._phase()
            if not self._silent and self._dropped and self._coordinator.stage is Stage.MASKED:
                self._silent = self._dropped
                self._crowd.drop(self._silent)
            letters = self._take(figures)
            if letters:
                self._deliver(letters, figures)
            else:
                self._now += self._deadline
                self._hand(Tick(self._now))
            figures.wall_s += perf_counter() - began
        self._played.phases = list(self._figures.values())
        return self._played

    def _phase(self) -> PhaseFigures:
        name = PHASES[self._coordinator.stage]
        return self._figures.setdefault(name, PhaseFigures(name))

    def _take(self, figures: PhaseFigures) -> list[tuple[str, bytes]]:
        """Return what is delivered next, encoded; what is for those who fell silent is gone."""
        letters: list[tuple[str, bytes]] = []
        while self._waiting and len(letters) < AT_ONCE:
            owner, message = self._waiting.popleft()
            if owner in self._silent:
                continue
            began = process_time()
            data = message if isinstance(message, bytes) else message.encode()
            figures.server_cpu_s += process_time() - began
            figures.download_bytes += len(data)
            letters.append((owner, data))
        return letters

    def _deliver(self, letters: list[tuple[str, bytes]], figures: PhaseFigures) -> None:
        """Deliver letters, and hand each answer to the coordinator as it comes."""
        for answer in self._crowd.answers(letters):
            figures.participant_cpu_s += answer.cpu_s
            figures.update_cpu_s += answer.update_s
            if answer.trouble:
                self._played.troubles[answer.owner] = answer.trouble
            for data in answer.sent:
                figures.upload_bytes += len(data)
                figures.messages += 1
                self._hand(data)
            self._moved(figures.phase, figures.messages, figures.messages + len(self._waiting))

    def _hand(self, event: Tick | bytes) -> None:
        """Let the coordinator act."""
        figures, began = self._phase(), process_time()
        decoded = Signed.decode(event) if isinstance(event, bytes) else event
        effects = self._coordinator.handle(decoded)
        figures.server_cpu_s += process_time() - began
        sends: list[tuple[str, Signed | bytes]] = []
        for effect in effects:
            if isinstance(effect, Send):
                sends += self._addressed(effect)
            else:
                self._note(effect)
        # What answers one goes out before what is for all: letters do not pile up.
        self._waiting.extendleft(reversed(sends))

    def _addressed(self, effect: Send) -> list[tuple[str, Signed | bytes]]:
        if effect.to != EVERYONE:
            return [(effect.to, effect.message)]
        data = effect.message.encode()
        return [(owner, data) for owner in self._owners]

    def _note(self, effect: Effect) -> None:
        played = self._played
        if isinstance(effect, Persist):
            played.journal_bytes += len(effect.record)
        elif isinstance(effect, Refused):
            played.troubles[effect.sender] = effect.why
        elif isinstance(effect, Finished):
            played.result, self._over = effect.result, True
        elif isinstance(effect, Aborted):
            played.failed, played.released, self._over = effect.why, effect.released, True


def _still(phase: str, done: int, total: int) -> None:
    """Say nothing."""
    del phase, done, total
