"""A participant of one attempt: a pure machine that answers the coordinator, or refuses."""

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.federated.effects import Aborted, Effect, Finished, Persist, Refused, Send, Tick
from consilium.federated.entropy import Entropy
from consilium.federated.messages import NO_ROOT, Header, Phase, Signed, body_digest
from consilium.federated.primitives import sign
from consilium.federated.roster import Cohort, Member
from consilium.federated.secure_sum import checks
from consilium.federated.secure_sum.memory import Evidence, Identity, Memory
from consilium.federated.secure_sum.secrets import SecretStore
from consilium.federated.secure_sum.steps import Steps
from consilium.federated.secure_sum.terms import Floors, SumParams

_ANSWERS: dict[Phase, Phase] = {
    Phase.ANNOUNCE: Phase.ADVERTISE,
    Phase.ROSTER: Phase.ASK,
    Phase.GROUP: Phase.ASK,
    Phase.LEAVES: Phase.SHARES,
    Phase.INBOX: Phase.MASKED,
    Phase.SURVIVORS: Phase.ACK,
    Phase.ACKS: Phase.RELEASE,
}


class SumParticipant:
    """One owner's side of one attempt.

    `handle` takes the coordinator's messages and ticks and returns effects, Persist before Send. A message
    that is not the coordinator's, or not of this attempt, is `Refused` and changes nothing; one that is and
    breaks the protocol ends the attempt (`Aborted`), and nothing is sent in it any more.

    Parameters
    ----------
    session
        The session it takes part in.
    identity
        Its owner's name and signing key.
    coordinator
        Name and public key of the coordinator.
    cohort
        The admitted owners drawn for this round, as this participant knows them.
    floors
        What it asks of the terms.
    entropy
        Of the operating system, but in simulations.
    store
        Its SecretStore; whoever carries this machine writes the records of Persist(secret=True) there, before
        it goes on.
    vector
        Shape (d,), integers: what it adds to the sum; may come later by `provide`.
    model_digest
        Of the model it trained from, where it wants to be sure.
    """

    def __init__(
        self,
        *,
        session: str,
        identity: Identity,
        coordinator: tuple[str, Member],
        cohort: Cohort,
        floors: Floors,
        entropy: Entropy,
        store: SecretStore,
        vector: NDArray[np.int64] | None = None,
        model_digest: bytes | None = None,
    ) -> None:
        self._session, self._identity, self._cohort = session, identity, cohort
        self._coordinator, self._coordinator_key = coordinator
        self._floors, self._store, self._model_digest = floors, store, model_digest
        self._steps = Steps(cohort.index_of(identity.owner), cohort, entropy, Memory(), vector)
        self._waiting: Signed | None = None
        self._evidence: list[Evidence] = []
        self._began: int | None = None

    def __repr__(self) -> str:
        return f"SumParticipant({self._identity.owner!r}, expects {self._memory.expects.name})"

    @property
    def _memory(self) -> Memory:
        return self._steps.memory

    @property
    def params(self) -> SumParams | None:
        """The terms, once they are announced and accepted."""
        return self._memory.params

    @property
    def expects(self) -> Phase:
        """The phase whose message comes next."""
        return self._memory.expects

    @property
    def aborted(self) -> str:
        """Why the attempt is over for this participant; empty while it is not."""
        return self._memory.aborted

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Pairs of signed headers of one phase that say different things: proof of equivocation."""
        return tuple(self._evidence)

    def restore(self, records: list[bytes]) -> "SumParticipant":
        """Return to where the records of the SecretStore end.

        Raises
        ------
        InvalidValue
            Damaged records, or fewer than the SecretStore counts: then this is a copy, and the other went on.
        Also a later attempt that was begun, and terms that are not what this participant asks of them now.
        """
        self._steps.memory = Memory.restored(records)
        if self._memory.params is not None:
            self._check_clone()
            self._check_terms(self._memory.params)
        return self

    def provide(self, vector: NDArray[np.int64]) -> list[Effect]:
        """Take the vector, where it was not there from the start, and go on where it was waited for.

        Raises
        ------
        InvalidValue
            A vector that does not fit the terms.
        """
        if self._memory.params is not None:
            checks.check_vector(self._memory.params, vector)
        self._steps.vector = vector
        waiting, self._waiting = self._waiting, None
        return self.handle(waiting) if waiting is not None else []

    def resend(self) -> list[Effect]:
        """Return what was sent last once more, byte for byte: after a restart, or where no answer comes."""
        last = self._memory.last
        return [] if self._memory.aborted or last is None else [Send(self._coordinator, last)]

    def handle(self, event: Signed | Tick) -> list[Effect]:
        """Take a message or the time; return effects in order."""
        if isinstance(event, Tick):
            return self._tick(event.now)
        if self._memory.aborted:
            return [Refused(event.header.sender, f"this attempt is over: {self._memory.aborted}")]
        phase = event.header.phase
        try:
            self._authenticate(event)
            known = self._memory.seen.get(phase)
            if known is None and phase not in (self._memory.expects, Phase.RECEIPT):
                raise checks.phase_error(phase, self._memory.expects.name)
        except InvalidValue as problem:
            return [Refused(event.header.sender, str(problem))]
        if self._cloned():
            return [Aborted(self._memory.aborted, self._memory.released)]
        if known is not None:
            return self._again(known, event)
        try:
            return self._take(event)
        except InvalidValue as problem:
            return self._abort(str(problem))

    def _take(self, message: Signed) -> list[Effect]:
        phase = message.header.phase
        if phase is Phase.RECEIPT:
            return []
        if phase is Phase.INBOX and self._steps.vector is None:
            self._waiting = message
            return []
        body = self._accept(message) if phase is Phase.ANNOUNCE else self._steps.run(phase, message.body)
        if phase is Phase.ROSTER:
            checks.check_root(message.header.root, self._memory.root)
        grouped = phase is Phase.ROSTER and self._memory.terms.groups > 1
        answer = self._signed(Phase.REVEAL if grouped else _ANSWERS[phase], body)
        self._memory.note(message, answer)
        persist = Persist(self._memory.record(message), secret=True)
        self._memory.forget(phase)
        effects: list[Effect] = [persist, Send(self._coordinator, answer)]
        return [*effects, Finished()] if phase is Phase.ACKS else effects

    def _accept(self, message: Signed) -> bytes:
        """Check the terms against what this participant asks of them; return its fresh keys."""
        params = SumParams.decode(message.body)
        header = message.header
        if (header.session, header.round, header.attempt, header.params) != (*params.identity, params.digest):
            raise InvalidValue(
                "a header must name its terms", header.params.hex()[:16], "sign the terms sent"
            )
        checks.check_fresh(params, self._session, self._store.latest(self._session))
        self._check_unreleased(params)
        self._check_terms(params)
        if self._steps.vector is not None:
            checks.check_vector(params, self._steps.vector)
        return self._steps.advertise(params)

    def _check_terms(self, params: SumParams) -> None:
        """Refuse terms that are not what this participant agreed to and holds."""
        checks.check_floors(params, self._floors)
        checks.check_cohort(params, self._cohort)
        if self._model_digest not in (None, params.model_digest):
            raise InvalidValue(
                "model, optimizer's state, terms, options, owner list and plan must have the digest "
                f"{(self._model_digest or b'').hex()[:16]}, as they are held here",
                params.model_digest.hex()[:16],
                "compare them with other owners: somebody was told something else",
            )

    def _check_unreleased(self, params: SumParams) -> None:
        """Refuse a second sum of one update where the first may be out: their difference tells of it."""
        for attempt in range(params.attempt):
            records = self._store.records((params.session, params.round, attempt))
            earlier = Memory.restored(records)
            if earlier.released:
                raise InvalidValue(
                    f"an update must be in one sum; shares of attempt {params.round}.{attempt} are out",
                    f"attempt {params.attempt}",
                    "begin the next round",
                )
            if earlier.masked:
                newcomers = len(set(self._cohort.owners) - set(earlier.cohort))
                checks.check_second(params, earlier.terms, newcomers, self._floors)

    def _authenticate(self, message: Signed) -> None:
        """Refuse what the coordinator did not sign, or not for this attempt."""
        header, memory = message.header, self._memory
        if memory.params is None:
            checks.check_opening(header, self._session, self._coordinator, self._coordinator_key)
        else:
            root = header.root if header.phase <= Phase.ROSTER else memory.root
            # Other terms for this attempt are no stray message: they are a second announcement.
            terms = header.params if header.phase is Phase.ANNOUNCE else memory.params.digest
            sender = (self._coordinator, self._coordinator_key.key_epoch)
            checks.check_header(header, memory.params, sender, terms, root)
        checks.check_signature(message, self._coordinator_key)

    def _again(self, known: tuple[Header, bytes], message: Signed) -> list[Effect]:
        """Answer a repeated message with the stored bytes; keep two that differ as evidence."""
        before, signature = known
        if before == message.header:
            return [Send(self._coordinator, self._memory.answers[message.header.phase])]
        pair = (before.encode() + signature, message.header.encode() + message.signature)
        self._evidence.append(pair)
        why = InvalidValue(
            f"a phase must have one message; {message.header.phase.name} began with {before.body.hex()[:16]}",
            message.header.body.hex()[:16],
            "show both signed headers: the coordinator told two things",
        )
        return [Persist(pair[0] + pair[1], secret=False), *self._abort(str(why))]

    def _abort(self, why: str) -> list[Effect]:
        if self._memory.params is None:
            # Nothing was begun: another announcement of this session may still be a good one.
            return [Refused(self._coordinator, why)]
        record = self._memory.abort_record(why)
        return [Persist(record, secret=True), Aborted(why, self._memory.released)]

    def _cloned(self) -> bool:
        try:
            self._check_clone()
        except InvalidValue as problem:
            # Without a record: that would stop the one this was copied from.
            self._memory.aborted = str(problem)
        return bool(self._memory.aborted)

    def _check_clone(self) -> None:
        if self._memory.params is not None:
            identity = self._memory.params.identity
            checks.check_counter(self._memory.written, self._store.counter(identity))
            checks.check_latest(identity, self._store.latest(identity[0]))

    def _signed(self, phase: Phase, body: bytes) -> Signed:
        root = NO_ROOT if phase is Phase.ADVERTISE else self._memory.root
        header = self._header(phase, body_digest(body), root)
        return Signed(header, body, sign(self._identity.signing.private, header.encode()))

    def _header(self, phase: Phase, body: bytes, root: bytes) -> Header:
        terms, identity = self._memory.terms, self._identity
        return Header(*terms.identity, phase, identity.owner, identity.key_epoch, terms.digest, root, body)

    def _tick(self, now: int) -> list[Effect]:
        memory = self._memory
        if memory.params is None or memory.aborted or memory.released:
            return []
        if self._began is None:
            self._began = now
        most = sum(memory.params.deadlines)
        if now - self._began <= most or self._cloned():
            return []
        why = InvalidValue(f"an attempt must end within {most} ns", now - self._began, "start a new attempt")
        return self._abort(str(why))
