"""Carries a secure sum inside this process: encoded bytes from hand to hand, in the order they were sent."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from consilium.domain import InvalidValue
from consilium.federated.effects import EVERYONE, Aborted, Effect, Finished, Persist, Refused, Send, Tick
from consilium.federated.messages import Signed
from consilium.federated.secure_sum.coordinator import Stage, SumCoordinator
from consilium.federated.secure_sum.participant import SumParticipant
from consilium.federated.secure_sum.recovery import SumResult
from consilium.federated.secure_sum.secrets import SecretStore
from consilium.federated.secure_sum.terms import SumParams

Lose = Callable[[str, Signed], bool]
"""Whether a participant's message is lost, and its sender with it: for rehearsals of dropouts."""


@dataclass(kw_only=True, eq=False)
class Side:
    """One participant: its machine, and the store that is its own."""

    machine: SumParticipant
    store: SecretStore


@dataclass(kw_only=True, eq=False)
class Carried:
    """What came of an attempt.

    Parameters
    ----------
    result
        The sum; None where it ended without.
    why
        Why there is none.
    released
        Whether shares may be out.
    reasons
        By owner, why it is not in the sum: what was refused, or where it fell silent.
    doubts
        By owner, the first message of the coordinator that it refused, and went on.
    faults
        By owner, why it is at fault beyond doubt.
    uploaded, downloaded
        Bytes of encoded messages to and from the coordinator.
    """

    result: SumResult | None = None
    why: str = ""
    released: bool = False
    reasons: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    uploaded: int = 0
    downloaded: int = 0


class MemoryCarrier:
    """Plays one attempt to its end. When nothing moves, time does: to the deadline of the stage.

    Parameters
    ----------
    params
        The terms.
    hub
        Name of the coordinator.
    coordinator
        Its machine.
    sides
        By owner.
    keep
        Where the coordinator's public records go, in order; nowhere if not given.
    lose
        Rehearses dropouts; nothing is lost if not given.
    now
        UTC nanoseconds at the beginning.
    """

    def __init__(
        self,
        params: SumParams,
        hub: str,
        coordinator: SumCoordinator,
        sides: Mapping[str, Side],
        *,
        keep: Callable[[Persist], None] | None = None,
        lose: Lose | None = None,
        now: int = 0,
    ) -> None:
        self.params, self.hub, self.coordinator, self.sides = params, hub, coordinator, dict(sides)
        self.now = now
        self._keep, self._lose = keep, lose
        self._queue: deque[tuple[str, bytes]] = deque()
        self._gone: set[str] = set()
        self._told = Carried()

    def run(self) -> Carried:
        """Play; return what came of it."""
        for deadline in (0, *self.params.deadlines, *self.params.deadlines):
            if deadline:
                self._note_silent()
            self.now += deadline
            self._do(self.hub, self.coordinator.handle(Tick(self.now)))
            self._deliver()
            if self.coordinator.stage is Stage.OVER:
                break
        else:
            raise InvalidValue("an attempt must end by its deadlines", "one that goes on", "report this")
        return self._told

    def _note_silent(self) -> None:
        stage = self.coordinator.stage.name.lower()
        for owner in self.coordinator.waits_for():
            why = f"nothing came in stage {stage} of attempt {self.params.attempt}"
            self._told.reasons.setdefault(owner, why)

    def _deliver(self) -> None:
        while self._queue:
            to, data = self._queue.popleft()
            if to in self._gone:
                continue
            machine = self.coordinator if to == self.hub else self.sides[to].machine
            self._do(to, machine.handle(Signed.decode(data)))

    def _do(self, who: str, effects: list[Effect]) -> None:
        """Do what a machine asks, in order: what is to be kept is kept before what is to be sent is sent."""
        for effect in effects:
            match effect:
                case Persist(record, secret=True):
                    self.sides[who].store.append(self.params.identity, record)
                case Persist():
                    if self._keep is not None and who == self.hub:
                        self._keep(effect)
                case Send(to, message):
                    self._send(who, to, message)
                case Refused(sender, why):
                    told = self._told.reasons if who == self.hub else self._told.doubts
                    told.setdefault(sender if who == self.hub else who, why)
                case Aborted():
                    self._abort(who, effect)
                case Finished(result) if who == self.hub:
                    self._told.result, self._told.faults = result, result.faults

    def _send(self, who: str, to: str, message: Signed) -> None:
        if who != self.hub and self._lose is not None and (who in self._gone or self._lose(who, message)):
            self._gone.add(who)
            return
        data = message.encode()
        receivers = sorted(self.sides) if to == EVERYONE else [to]
        for one in receivers:
            self._queue.append((one, data))
        if who == self.hub:
            self._told.downloaded += len(data) * len(receivers)
        else:
            self._told.uploaded += len(data)

    def _abort(self, who: str, end: Aborted) -> None:
        if who == self.hub:
            self._told.why, self._told.released, self._told.faults = end.why, end.released, end.faults
        else:
            self._told.reasons.setdefault(who, end.why)
