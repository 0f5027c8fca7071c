"""A participant as a process: it trains on rows that stay, and takes part in sums until the session ends."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from consilium.app.carriers.https import Outbox
from consilium.app.federated import due
from consilium.app.federated.agreeing import OwnFloors, floors_of
from consilium.app.federated.announced import asked_in, plan_of
from consilium.app.federated.carrier import Carrier
from consilium.app.federated.kept_controls import KeptControls
from consilium.app.federated.pinned import Pinned, agreed_of
from consilium.app.federated.secret_store import FileSecretStore
from consilium.app.federated.showing import BufferedTurns, Showing
from consilium.app.federated.trained_update import Trained, TrainedFrom
from consilium.domain import DataProblem, InvalidValue, UsageError, digest
from consilium.federated.agreement import model_digest
from consilium.federated.effects import Aborted, Effect, Finished, Persist, Refused, Send, Tick
from consilium.federated.entropy import Entropy, SystemEntropy
from consilium.federated.learner import Learner, masked_input
from consilium.federated.messages import Signed
from consilium.federated.owners import OwnerList
from consilium.federated.primitives import forget_keys
from consilium.federated.registration import Registration
from consilium.federated.roster import Cohort
from consilium.federated.roster import Member as Admitted
from consilium.federated.rounds import RoundPlan
from consilium.federated.sampling import version_of
from consilium.federated.secure_sum.memory import Identity, Memory
from consilium.federated.secure_sum.participant import SumParticipant
from consilium.federated.session import ENDED, Mode
from consilium.federated.tasks.task import Task

WAIT_S: Final = 5.0

Floats = NDArray[np.float64]
MakeTask = Callable[[str, Mapping[str, Any], tuple[str, ...]], Task]
"""Makes a task of its name, the session's options and the names of all owners."""


class NetworkMember:
    """One owner's participant.

    What it must not forget is in its store before it is sent: after a kill, the same command goes on.

    Parameters
    ----------
    carrier
        Reaches the coordinator.
    identity
        Owner's name and signing key.
    admission_key
        Public key that signs the owner list, known from elsewhere than the coordinator.
    store
        Its secrets.
    make_task
        Makes the task: name, options of the session, names of all owners.
    told
        Hears what happens, in lines.
    owners
        The signed owner list, where its owner has it from elsewhere than the coordinator.
    own
        What its owner asks beyond the terms.
    entropy
        Of keys; the operating system's.

    Raises
    ------
    UsageError, DataProblem, InvalidValue
        The session is another one than before, the owner was not admitted, terms that cannot be taken.
    """

    def __init__(
        self,
        carrier: Carrier,
        identity: Identity,
        admission_key: bytes,
        store: FileSecretStore,
        make_task: MakeTask,
        *,
        told: Callable[[str], None],
        owners: OwnerList | None = None,
        own: OwnFloors | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self._entropy = SystemEntropy() if entropy is None else entropy
        if not self._entropy.real:
            raise UsageError(
                "keys must come from the operating system", "a seeded generator", "simulate instead"
            )
        self._carrier, self._identity, self._store, self._told = carrier, identity, store, told
        self._own = OwnFloors() if own is None else own
        about = carrier.about()
        if owners is None:
            owners = OwnerList.from_text(carrier.owners(), admission_key)
        self._agreed = agreed_of(about, owners)
        self._terms, self._owners = self._agreed.terms, self._agreed.owners
        self._require(carrier.session)
        coordinator = about["coordinator"]
        self._coordinator = str(coordinator["name"]), Admitted(self._agreed.coordinator)
        self._pinned = Pinned(store.folder, self._met(coordinator, admission_key))
        carrier.expect(owners=len(self._owners.owners), dimension=about["dimension"])
        self.task = self._made(make_task, int(about["dimension"]))
        self._learner = Learner(identity.owner, self.task, self._terms)
        self._controls = KeptControls(self._learner, store, self._terms.session)
        self._showing = Showing(carrier, identity, store, self._terms.session, told)
        self._turns: BufferedTurns | None = None
        if self._terms.buffering is not None:
            self._turns = BufferedTurns(
                carrier, self._showing, self._learner, self._terms, told, keep=self._controls.keep
            )
        self._known = TrainedFrom(store, self._terms.session)
        self._trained: Trained | None = None
        self._spent: set[int] = set()
        """Rounds in which shares may be out: their update is not summed again."""
        self._done = 0

    def _met(self, coordinator: Mapping[str, Any], admission_key: bytes) -> dict[str, Any]:
        """Return what is agreed, as it is kept."""
        return {
            "session": self._terms.session,
            "coordinator": coordinator,
            "terms": self._terms.as_dict(),
            "options": self._agreed.options,
            "owners": self._owners.digest(),
            "admission_key": admission_key.hex(),
        }

    def _made(self, make_task: MakeTask, dimension: int) -> Task:
        names = tuple(one.owner for one in self._owners.owners)
        task = make_task(self._terms.task, self._agreed.options, names)
        if task.dimension != dimension:
            raise InvalidValue(
                f"the task must have the {dimension} numbers of the session's model",
                task.dimension,
                "use the session's options",
            )
        return task

    def _require(self, session: str) -> None:
        """Refuse another session than was asked for, another key than the admitted one, and weak terms."""
        if self._terms.session != session:
            raise DataProblem(
                f"the session must be {session}", self._terms.session, "ask the coordinator why"
            )
        if self._terms.mode is Mode.VISIBLE and not self._own.visible:
            raise InvalidValue(
                "the mode must hide this owner's updates, unless --visible is given",
                "visible",
                "give --visible if the coordinator may read every update",
            )
        if self._terms.mode is not Mode.VISIBLE and (
            self._terms.mode is not Mode.SUM or self._terms.buffering is not None
        ):
            raise InvalidValue(
                "a session whose updates are hidden must be in mode sum, without a buffer",
                f"{self._terms.mode}, buffer {self._terms.buffering}",
                "ask for one",
            )
        identity = self._identity
        if identity.owner not in self._owners:
            raise InvalidValue(
                f"an owner must be in the owner list of session {session}",
                repr(identity.owner),
                "ask who signs the list to admit it",
            )
        if self._owners.of(identity.owner).key != identity.signing.public:
            raise InvalidValue(
                f"the key of {identity.owner} must be the admitted one",
                identity.signing.public.hex()[:16],
                "give the key file whose public half is in the owner list",
            )
        if self._terms.gamma < self._own.gamma:
            raise InvalidValue(
                f"gamma of the terms must be >= {self._own.gamma:g}, as --gamma asks",
                f"{self._terms.gamma:g}",
                "ask for terms that withstand more colluding owners, or lower --gamma",
            )

    def run(self, stop: Callable[[], bool] = lambda: False) -> str:
        """Take part until the session ends; return the state that it ended in."""
        stands = self._carrier.round()
        if stands["state"] in ENDED:
            # It ended while this participant was away: whether the last update counted is still told.
            return self._ended(stands)
        try:
            first = self._carrier.register(self._registration().as_dict())
        except InvalidValue:
            stands = self._carrier.round()
            if stands["state"] in ENDED:
                return self._ended(stands)
            raise
        self._told(f"joined {self._terms.session} as {self._identity.owner}: chosen from round {first} on")
        self._told(
            f"agreed to {self._terms.task} in mode {self._terms.mode}, terms {self._terms.digest()}, "
            f"options {digest(self._agreed.options)[:16]}, owner list {self._owners.digest()}"
        )
        have = -1
        tried: set[tuple[int, int]] = set()
        while not stop():
            stands = self._carrier.round()
            if stands["state"] in ENDED:
                return self._ended(stands)
            self._settle(int(stands["done"]))
            on = None if self._turns is not None else stands["round"]
            if self._turns is not None:
                self._turns.turn(stands)
            if on is not None and (on["number"], on["attempt"]) not in tried and self._asked(on):
                tried.add((on["number"], on["attempt"]))
                try:
                    self._take_part(on, stop)
                except (InvalidValue, DataProblem) as left_out:
                    # A round that was missed, or that breaks what was agreed: the next one may be good.
                    self._told(f"round {on['number']} without this participant: {left_out}")
                have = -1
            else:
                have = self._carrier.outbox(self._identity.owner, have=have, wait_s=WAIT_S).change
        return "stopped"

    def _ended(self, stands: Mapping[str, Any]) -> str:
        self._settle(int(stands["done"]))
        return str(stands["state"])

    def _registration(self) -> Registration:
        owner = self._identity.owner
        return Registration(
            participant=owner,
            owner=owner,
            session=self._terms.session,
            key=self._identity.signing.public,
            capabilities=(self._terms.task, str(self._terms.mode)),
            examples=self.task.examples(owner),
        ).signed(self._identity.signing.private)

    def _asked(self, on: Mapping[str, Any]) -> bool:
        mine = [row for row in on["members"] if row["owner"] == self._identity.owner]
        return bool(mine) and bool(mine[0]["asked"]) and on["number"] not in self._spent

    # One attempt.

    def _take_part(self, on: Mapping[str, Any], stop: Callable[[], bool]) -> None:
        over = self._store.ended(self._terms.session)
        if on["number"] <= over:
            raise InvalidValue(f"a round must come after {over}, which is over", on["number"], "ask why")
        plan = plan_of(
            on, self._agreed, dimension=self.task.dimension, joined=self._pinned.joined, own=self._own
        )
        if plan.mode is Mode.VISIBLE:
            self._pinned.meet(plan.eligible)
            self._show(plan)
            return
        asked = asked_in(on)
        floors = floors_of(
            self._agreed, participants=len(asked), dimension=plan.dimension + plan.with_bit, own=self._own
        )
        attempt = (self._terms.session, plan.number, int(on["attempt"]))
        base = plan.member(self._identity.owner).base_version
        records = self._store.records(attempt)
        # Who has masked adds nothing more: it answers at once, and others may wait for just that.
        model = self._known.of(plan, base) if Memory.restored(records).masked else ""
        made = None if model else self._update(plan)
        machine = SumParticipant(
            session=self._terms.session,
            identity=self._identity,
            coordinator=self._coordinator,
            cohort=Cohort({owner: Admitted(self._owners.of(owner).key) for owner in asked}),
            floors=floors,
            entropy=self._entropy,
            store=self._store,
            vector=None if made is None else masked_input(made.update, made.within, plan, self._entropy),
            model_digest=self._agreed.digest(plan, model if made is None else made.model),
        )
        machine.restore(records)
        self._told(f"round {plan.number}, attempt {attempt[2]}: among {len(asked)} participants")
        self._play(machine, attempt, stop)
        forget_keys()
        if machine.params is not None:
            # The announcement that was taken binds who has joined.
            self._pinned.meet(plan.eligible)

    def _show(self, plan: RoundPlan) -> None:
        """Send the update of a round: the one that was kept for it, or a new one."""
        raw = self._showing.kept(plan.number)
        if raw is None:
            raw = self._showing.keep(self._update(plan).update, plan.number)
        self._showing.send(raw, plan.number)

    def _play(self, machine: SumParticipant, attempt: tuple[str, int, int], stop: Callable[[], bool]) -> None:
        """Answer what comes until the attempt is over at the coordinator, or left here.

        Who has released its shares stays too: a coordinator that is killed then asks for them once more.
        """
        waiting, box = due.Due(), Outbox(change=-1)
        while not stop():
            # What was answered and is still there may have to be answered again soon.
            wait_s = due.AGAIN_S if box.messages else WAIT_S
            box = self._carrier.outbox(self._identity.owner, have=box.change, wait_s=wait_s)
            if box.attempt != attempt[1:]:
                return
            new = waiting.of(box.messages, machine.params)
            mine = [one for one in new if (one.header.round, one.header.attempt) == attempt[1:]]
            events: list[Signed | Tick] = [*mine, Tick(time.time_ns())]
            if any(self._do(machine.handle(one), attempt) for one in events):
                return
            if mine and machine.params is None:
                # Its announcement was refused: another one of this attempt would be a second.
                return

    def _do(self, effects: list[Effect], attempt: tuple[str, int, int]) -> bool:
        """Do what the machine asks; True where it left the attempt."""
        for effect in effects:
            match effect:
                case Persist(record, secret=True):
                    self._store.append(attempt, record)
                case Persist():
                    self._told("the coordinator signed two things: both are kept as evidence")
                    self._store.append((f"evidence:{attempt[0]}", *attempt[1:]), effect.record)
                case Send(_, message):
                    self._send(message)
                case Refused(_, why):
                    self._told(f"refused: {why}")
                case Aborted(why, released):
                    self._told(f"left round {attempt[1]}: {why}")
                    if released:
                        self._spent.add(attempt[1])
                    return True
                case Finished():
                    self._spent.add(attempt[1])
        return False

    def _send(self, message: Signed) -> None:
        try:
            self._carrier.send(message.encode())
        except InvalidValue as refused:
            # A stage may be over, or the attempt: the next outbox tells.
            self._told(str(refused))

    # Training.

    def _update(self, plan: RoundPlan) -> Trained:
        """Train for a round, once: a second attempt sums the same update."""
        base = plan.member(self._identity.owner).base_version
        known = self._trained
        if known is not None and (known.number, known.base, known.clip) == (plan.number, base, plan.clip):
            return known
        arrays = self._carrier.model()
        parameters = arrays.pop("parameters", np.zeros(0))
        if version_of(parameters) != base:
            raise DataProblem(
                "the model must be the one of the round",
                version_of(parameters)[:16],
                "the next round is tried",
            )
        state = {name.removeprefix("optimizer/"): value for name, value in arrays.items()}
        began = time.monotonic()
        update, within = self._learner.update(plan.number, parameters, base, state, clip=plan.clip)
        self._controls.keep()
        self._told(f"round {plan.number}: trained in {time.monotonic() - began:.1f} s")
        made = Trained(
            number=plan.number,
            clip=plan.clip,
            base=base,
            model=model_digest(parameters, state),
            update=update,
            within=within,
        )
        if plan.mode is not Mode.VISIBLE:
            self._known.keep(made)
        self._trained = made
        return made

    def _settle(self, done: int) -> None:
        """Tell the learner whether its last update counted; forget the secrets of rounds that are over."""
        if done == self._done:
            return
        if not self._done <= done <= self._terms.rounds:
            raise DataProblem(
                f"rounds that are over must lie in [{self._done}, {self._terms.rounds}]", done, "ask why"
            )
        number = self._controls.open_round if self._trained is None else self._trained.number
        # Whether an update of a buffered session counted is not told by the round it was trained for.
        if number is not None and number <= done and self._turns is None:
            self._learn_of(number)
        self._store.end(self._terms.session, done)
        self._done = done

    def _learn_of(self, number: int) -> None:
        reports = {report["number"]: report for report in self._carrier.reports(since=number)}
        report = reports.get(number)
        counted = report is not None and not report["failed"] and self._identity.owner in report["survivors"]
        self._learner.settle(number, counted=counted)
        self._controls.keep()
        self._trained = None
        told = "counted" if counted else f"did not count ({'' if report is None else report['failed']})"
        self._told(f"round {number}: closed, own update {told}")
