"""A coordinator's desk and its participants in one process: all but the HTTP between them is real."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from consilium.app.carriers.https import Outbox
from consilium.app.federated.agreeing import OwnFloors
from consilium.app.federated.desk import NetworkDesk
from consilium.app.federated.local_task import local_task
from consilium.app.federated.member import NetworkMember
from consilium.app.federated.secret_store import FileSecretStore
from consilium.domain import InvalidValue, OutputProblem
from consilium.federated.entropy import SystemEntropy
from consilium.federated.messages import Signed
from consilium.federated.owners import Owner, OwnerList
from consilium.federated.primitives import KeyPair, new_signing_key
from consilium.federated.registration import Registration
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.session import Terms


class WallClock:
    ahead_ns = 0

    def now_ns(self) -> int:
        return time.time_ns() + self.ahead_ns


def nothing(owner: str, message: Signed) -> bool:
    """What is lost where all is well."""
    del owner, message
    return False


def _told(found: Any) -> Any:
    """What JSON makes of it."""
    return json.loads(json.dumps(found))


class DirectCarrier:
    """Asks a desk without HTTP; one that is away is asked again."""

    def __init__(self, world: "World", owner: str) -> None:
        self._world, self._owner = world, owner
        self.session = "s1"

    def expect(self, *, owners: int, dimension: int) -> None:
        del owners, dimension

    def _asked(self, act: Callable[[Any], Any]) -> Any:
        end = time.monotonic() + 30.0
        while True:
            try:
                return act(self._world.desk)
            except OutputProblem:
                assert time.monotonic() < end, "the desk stays away"
                time.sleep(0.02)

    def about(self) -> dict[str, Any]:
        found: dict[str, Any] = _told(self._asked(lambda desk: desk.of("s1").about()))
        return found

    def owners(self) -> str:
        return str(self._asked(lambda desk: desk.of("s1").owners_text))

    def register(self, registration: Mapping[str, Any]) -> int:
        said = Registration.from_dict(registration)
        joined = self._asked(lambda desk: desk.guarded("s1", lambda kept: kept.register(said)))
        return int(joined.first_round)

    def round(self) -> dict[str, Any]:
        def look(desk: Any) -> Any:
            kept = desk.of("s1")
            session = kept.kept.session
            return {"state": str(session.state), "done": session.done, "round": kept.plan()}

        found: dict[str, Any] = _told(self._asked(look))
        return found

    def reports(self, since: int = 1) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = _told(self._asked(lambda desk: desk.of("s1").reports(since)))
        return found

    def model(self) -> dict[str, Any]:
        found: dict[str, Any] = self._asked(lambda desk: desk.of("s1").model()[1])
        return found

    def outbox(self, owner: str, *, have: int = -1, wait_s: float = 0.0) -> Outbox:
        end = time.monotonic() + min(wait_s, 0.3)
        while True:
            shown = self._asked(lambda desk: desk.guarded("s1", lambda kept: kept.outbox(owner)))
            if shown.change != have or time.monotonic() > end:
                return Outbox(change=shown.change, attempt=shown.attempt, messages=shown.messages)
            time.sleep(0.005)

    def send(self, message: bytes) -> None:
        signed = Signed.decode(message)
        if self._world.lost(self._owner, signed):
            return
        self._asked(lambda desk: desk.guarded("s1", lambda kept: kept.take(signed)))

    def send_update(self, update: bytes) -> None:
        self._asked(lambda desk: desk.guarded("s1", lambda kept: kept.take_update(update)))


def kill(made: "World") -> None:
    """Go on from what is on the disk, as after a kill of the coordinator."""
    old = made.desk
    old._stop.set()
    assert old._thread is not None
    old._thread.join()
    again = made.folder / f"desk-{len(list(made.folder.glob('desk*')))}"
    # Nothing may be told after the copy that is not in it.
    with old.of("s1").guard.held():
        shutil.copytree(old.folder, again)
        old.stop()
    made.desk = NetworkDesk(again, made.clock)
    made.desk.start()


@dataclass
class World:
    """One desk, its owners, and what is lost between them."""

    folder: Path
    count: int = 5
    at: Path | None = None
    keys: dict[str, KeyPair] = field(default_factory=dict)
    lost: Callable[[str, Signed], bool] = nothing
    stopped: threading.Event = field(default_factory=threading.Event)
    lines: dict[str, list[str]] = field(default_factory=dict)
    failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        entropy = SystemEntropy()
        self.names = tuple(f"desk{number}" for number in range(1, self.count + 1))
        self.keys = {name: new_signing_key(entropy) for name in self.names}
        self.admission = new_signing_key(entropy)
        owners = tuple(Owner(owner=name, key=key.public) for name, key in self.keys.items())
        self.admitted = OwnerList(owners=owners)
        self.clock = WallClock()
        self.desk = NetworkDesk(self.at or self.folder / "desk", self.clock)
        self._threads: dict[str, threading.Thread] = {}
        self._left: dict[str, threading.Event] = {}
        self.members: dict[str, NetworkMember] = {}

    def create(self, dimension: int = 40, **terms: Any) -> None:
        given: dict[str, Any] = {"task": "synthetic", "rounds": 100_000, "delta": 0.2, **terms}
        options = {"dimension": dimension} if given["task"] == "synthetic" else {}
        self.desk.create(
            Terms(session="s1", **given),
            self.admitted.signed(self.admission.private),
            self.admission.public,
            local_task(given["task"], options, self.names, owner=self.names[0]).initial(),
            options=options,
        )

    @property
    def kept(self) -> Any:
        return self.desk.of("s1").kept

    @property
    def stage(self) -> str:
        on = self.desk.of("s1").summary()["round"]
        return "" if on is None else str(on["stage"])

    def join(self, *names: str) -> None:
        """Let participants run, each in a thread of its own."""
        for name in names or self.names:
            self._left[name] = threading.Event()
            thread = threading.Thread(target=self._run, args=(name, self._left[name]), daemon=True)
            self._threads[name] = thread
            thread.start()
        self.until(lambda: len(self.kept.registry) >= len(self._threads), "all have joined")

    def leave(self, name: str) -> None:
        """Let one participant end, as after a kill between two steps."""
        self._left[name].set()
        self._threads.pop(name).join(30.0)

    def member(self, name: str, carrier: DirectCarrier, store: FileSecretStore) -> NetworkMember:
        return NetworkMember(
            carrier,
            Identity(name, self.keys[name]),
            self.admission.public,
            store,
            lambda task, options, owners: local_task(task, options, owners, owner=name),
            told=self.lines.setdefault(name, []).append,
            own=OwnFloors(visible=True),
        )

    def _run(self, name: str, left: threading.Event) -> None:
        try:
            with FileSecretStore(self.folder / f"store-{name}") as store:
                member = self.member(name, DirectCarrier(self, name), store)
                self.members[name] = member
                member.run(lambda: self.stopped.is_set() or left.is_set())
        except BaseException as error:  # noqa: BLE001 - told by the test that waits
            self.failures.append(error)

    def start(self) -> None:
        self.desk.start()
        self.desk.move("s1", "running", reason="go")

    def until(self, holds: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            if self.failures:
                raise self.failures[0]
            assert time.monotonic() < end, f"not within {seconds} s: {what}; {self.lines}"
            time.sleep(0.005)

    def pause(self) -> int:
        """Pause, and return how many rounds are over when nothing is on and everybody knows."""
        self.desk.move("s1", "paused", reason="a test looks")
        self.until(lambda: self.desk.of("s1").summary()["round"] is None, "no round is on")
        done = int(self.kept.session.done)
        self.until(lambda: all(one._done == done for one in self.members.values()), "all know")
        return done

    def refused(self, act: Callable[[Any], Any]) -> str:
        try:
            act(self.desk.of("s1"))
        except InvalidValue as refused:
            return str(refused)
        raise AssertionError("it was not refused")

    def close(self) -> None:
        self.stopped.set()
        for thread in self._threads.values():
            thread.join(20.0)
        self.desk.stop()


@contextmanager
def world(folder: Path, count: int = 5, *, desk: Path | None = None, **terms: Any) -> Iterator[World]:
    """A desk whose session is open, and owners with keys."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr("consilium.app.federated.due.AGAIN_S", 0.2)
        made = World(folder, count, desk)
        stack.callback(made.close)
        made.create(**terms)
        yield made
