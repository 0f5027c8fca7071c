"""A coordinator that lies, in memory: a real desk, real participants, and an ear for each that bends."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.carriers.https import Outbox
from consilium.app.federated.agreeing import OwnFloors
from consilium.app.federated.member import NetworkMember
from consilium.app.federated.secret_store import FileSecretStore
from consilium.app.federated.session_desk import SessionDesk
from consilium.app.federated.session_folder import SessionFolder
from consilium.domain import ConsiliumError, InvalidValue
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.entropy import SystemEntropy
from consilium.federated.local import LocalPlan
from consilium.federated.messages import Phase, Signed, body_digest
from consilium.federated.owners import Owner, OwnerList
from consilium.federated.primitives import new_signing_key, sign
from consilium.federated.registration import Registration
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.secure_sum.terms import SumParams
from consilium.federated.session import Mode, Terms
from consilium.federated.tasks.synthetic import Synthetic

SECOND = 1_000_000_000
CUT_OFF = 40
Bend = Callable[[Any], Any]


@dataclass
class LyingDesk:
    """One session of owners ``desk01`` to ``deskNN``; a lie is what becomes of an answer on its way to one.

    Parameters
    ----------
    folder
        Of everything.
    admitted
        How many owners the list names.
    joined
        How many of them join; all if not given.
    options
        Of the task.
    terms
        Beside the session's name.
    """

    folder: Path
    admitted: int = 5
    joined: int | None = None
    options: dict[str, Any] = field(default_factory=lambda: {"dimension": 20, "features": "core14"})
    terms: dict[str, Any] = field(default_factory=dict)
    stakes: dict[str, int] = field(default_factory=dict)
    own: dict[str, OwnFloors] = field(default_factory=dict)
    lies: dict[tuple[str, str], Bend] = field(default_factory=dict)
    """By owner ('*': everybody) and what is asked: about, owners, round, model, outbox."""
    told: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    sent: dict[str, list[Signed]] = field(default_factory=lambda: defaultdict(list))
    now: int = SECOND
    idle: Counter[str] = field(default_factory=Counter)
    """How often each asked since anything changed."""

    def __post_init__(self) -> None:
        self.names = tuple(f"desk{number:02}" for number in range(1, self.admitted + 1))
        self.keys = {name: new_signing_key(SystemEntropy()) for name in self.names}
        self.admission = new_signing_key(SystemEntropy())
        self.hub = Identity("coordinator", new_signing_key(SystemEntropy()))
        self.here = self.names[: self.joined or self.admitted]
        self.owners = self.list_of(self.names)
        given: dict[str, Any] = {
            "session": "s1",
            "task": "synthetic",
            "mode": Mode.SUM,
            "rounds": 1,
            "delta": 0.2,
            "cut_off_seconds": CUT_OFF,
            "local": LocalPlan(),
            "failed_rounds": 1,
        }
        agreed = Terms(**given | self.terms)
        kept = SessionCoordinator(agreed, self.owners, np.zeros(self.options["dimension"]))
        self.desk = SessionDesk(
            SessionFolder(self.folder / "desk"),
            kept,
            self.hub,
            owners_text=self.owners.signed(self.admission.private),
            options=self.options,
        )
        self.desk.move("open", now=0)

    def list_of(self, names: tuple[str, ...], ts_issued: int = 0) -> OwnerList:
        return OwnerList(
            owners=tuple(
                Owner(owner=name, key=self.keys[name].public, stake=self.stakes.get(name, 1))
                for name in names
            ),
            ts_issued=ts_issued,
        )

    def signed_list(self, names: tuple[str, ...], ts_issued: int = 0) -> str:
        return self.list_of(names, ts_issued).signed(self.admission.private)

    def lie(self, owner: str, what: str, bend: Bend) -> "LyingDesk":
        self.lies[owner, what] = bend
        return self

    def member(self, owner: str, store: FileSecretStore, **given: Any) -> NetworkMember:
        return NetworkMember(
            Ear(self, owner),
            Identity(owner, self.keys[owner]),
            self.admission.public,
            store,
            lambda _, settled, names: Synthetic(names, dimension=settled["dimension"]),
            told=self.told[owner].append,
            own=self.own.get(owner),
            **given,
        )

    def play(self, *, rounds: int = 1, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Play rounds among all who join; return their reports."""
        stop = threading.Event()
        with ExitStack() as open_stores:
            members = {}
            for name in self.here:
                store = open_stores.enter_context(FileSecretStore(self.folder / name))
                try:
                    members[name] = self.member(name, store)
                except ConsiliumError as refused:
                    self.told[name].append(f"stays away: {refused}")
            threads = [
                threading.Thread(target=self._run, args=(name, one, stop)) for name, one in members.items()
            ]
            for thread in threads:
                thread.start()
            try:
                self._conduct(dict(zip(members, threads, strict=True)), rounds, time.monotonic() + seconds)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
        return self.desk.reports()

    def _run(self, name: str, member: NetworkMember, stop: threading.Event) -> None:
        try:
            member.run(stop.is_set)
        except ConsiliumError as error:
            self.told[name].append(f"ended: {error}")

    def _conduct(self, members: Mapping[str, threading.Thread], rounds: int, end: float) -> None:
        """Let time pass: only where everybody has asked, and nobody has anything to say any more."""
        while len(self.desk.kept.registry) < sum(thread.is_alive() for thread in members.values()):
            assert time.monotonic() < end, self.told
            time.sleep(0.005)
        if self.desk.kept.session.state != "running":
            self.desk.move("running", now=self.now)
        changes: tuple[int, ...] = ()
        while self.desk.kept.session.done < rounds and not self.desk.kept.session.ended:
            assert time.monotonic() < end, self.told
            self.desk.tick(self.now)
            if self.desk.waiting:
                return
            alive = [name for name, thread in members.items() if thread.is_alive()]
            now = (*map(self.desk.bell.mark, self.names), *(len(self.sent[name]) for name in self.names))
            if now != changes:
                changes = now
                self.idle.clear()
            elif all(self.idle[name] > 3 for name in alive):
                self.now += CUT_OFF * SECOND // 20
                self.idle.clear()
            time.sleep(0.003)

    def phases(self, owner: str) -> list[Phase]:
        """Return what an owner sent."""
        return [message.header.phase for message in self.sent[owner]]

    def heard(self, owner: str) -> str:
        return "\n".join(self.told[owner])

    def announced_with(self, **changes: Any) -> Bend:
        """Return a lie about the terms of an attempt, signed as the coordinator signs."""

        def bend(box: Outbox) -> Outbox:
            return replace(box, messages=tuple(map(self._forged(changes), box.messages)))

        return bend

    def _forged(self, changes: Mapping[str, Any]) -> Callable[[bytes], bytes]:
        def forge(raw: bytes) -> bytes:
            message = Signed.decode(raw)
            if message.header.phase is not Phase.ANNOUNCE:
                return raw
            params = replace(SumParams.decode(message.body), **changes)
            body = params.encode()
            header = replace(message.header, params=params.digest, body=body_digest(body))
            return Signed(header, body, sign(self.hub.signing.private, header.encode())).encode()

        return forge


class Ear:
    """Carries to the desk what one owner asks and says, and back what the liar makes of the answer."""

    def __init__(self, liar: LyingDesk, owner: str) -> None:
        self._liar, self._owner = liar, owner
        self.session = "s1"

    def expect(self, *, owners: int, dimension: int) -> None:
        del owners, dimension

    def _bent(self, what: str, answer: Any) -> Any:
        lies = self._liar.lies
        bend = lies.get((self._owner, what)) or lies.get(("*", what))
        return answer if bend is None else bend(answer)

    def about(self) -> dict[str, Any]:
        found: dict[str, Any] = self._bent("about", self._liar.desk.about())
        return found

    def owners(self) -> str:
        return str(self._bent("owners", self._liar.desk.owners_text))

    def register(self, registration: Mapping[str, Any]) -> int:
        return self._liar.desk.register(Registration.from_dict(registration)).first_round

    def round(self) -> dict[str, Any]:
        desk = self._liar.desk
        with desk.guard.held():
            stands = {
                "state": str(desk.kept.session.state),
                "done": desk.kept.session.done,
                "round": desk.plan(),
            }
        if stands["round"] is not None:
            stands["round"] = self._bent("round", stands["round"])
        return stands

    def reports(self, since: int = 1) -> list[dict[str, Any]]:
        return self._liar.desk.reports(since)

    def model(self) -> dict[str, NDArray[np.float64]]:
        found: dict[str, NDArray[np.float64]] = self._bent("model", dict(self._liar.desk.model()[1]))
        return found

    def outbox(self, owner: str, *, have: int = -1, wait_s: float = 0.0) -> Outbox:
        del wait_s
        shown = self._liar.desk.outbox(owner)
        if have == shown.change:
            self._liar.idle[owner] += 1
            time.sleep(0.005)
        box = Outbox(change=shown.change, attempt=shown.attempt, messages=shown.messages)
        found: Outbox = self._bent("outbox", box)
        return found

    def send(self, message: bytes) -> None:
        signed = Signed.decode(message)
        self._liar.sent[self._owner].append(signed)
        try:
            self._liar.desk.take(signed)
        except InvalidValue as refused:
            raise InvalidValue("the coordinator must accept what is sent", str(refused), "see it") from None

    def send_update(self, update: bytes) -> None:
        raise InvalidValue("updates are seen in mode visible only", f"{len(update)} bytes", "mask them")
