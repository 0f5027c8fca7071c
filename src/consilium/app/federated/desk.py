"""The coordinator of a service's sessions: it begins rounds, keeps deadlines, and goes on after a kill."""

import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from consilium.app.federated.joinable import require_joinable
from consilium.app.federated.judging import Judge
from consilium.app.federated.local_task import require_known
from consilium.app.federated.reopening import reopened
from consilium.app.federated.seen_desk import desk_for
from consilium.app.federated.session_desk import SessionDesk
from consilium.app.federated.session_folder import STATE_FILE, SessionFolder
from consilium.app.federated.set_aside import SetAside
from consilium.domain import (
    Clock,
    ConsiliumError,
    DataProblem,
    InvalidValue,
    OutputProblem,
    UnknownName,
    UsageError,
)
from consilium.domain.files import private_folder, whole_file
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.entropy import SystemEntropy
from consilium.federated.owners import OwnerList
from consilium.federated.primitives import KEY_SIZE, KeyPair, new_signing_key, signing_public
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.session import Terms

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
KEY_FILE: Final = "coordinator.key"
TICK_S: Final = 0.1
MOST_SESSIONS: Final = 64

CHANGED: Final = "network.session_changed"
CLOSED: Final = "network.round_closed"
JUDGED: Final = "network.round_judged"

Tell = Callable[[str, str, Mapping[str, Any]], None]
"""Takes topic, stream and payload of what happened."""

log = structlog.get_logger("consilium.network")


class NetworkDesk:
    """Coordinates the sessions of one data folder.

    Parameters
    ----------
    folder
        Where sessions are kept, each in a folder of its name; made when the first one is.
    clock
        Time of deadlines.
    tell
        Hears what changed, after it is kept; may fail without harm.

    Raises
    ------
    DataProblem, OutputProblem
        The coordinator's key cannot be read or made.
    """

    def __init__(self, folder: Path, clock: Clock, tell: Tell | None = None) -> None:
        self.folder, self._clock, self._tell = folder, clock, tell
        self._lock = threading.RLock()
        self._desks: dict[str, SessionDesk] = {}
        self._aside = SetAside()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._hub: Identity | None = None
        for state in sorted(folder.glob(f"*/{STATE_FILE}")):
            self._open(state.parent.name)

    @property
    def troubles(self) -> dict[str, str]:
        """Why a session cannot go on, by its name."""
        return self._aside.why

    # Life.

    def start(self) -> None:
        """Let time pass for all sessions, in the background."""
        self._thread = threading.Thread(target=self._run, name="network-desk", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is on goes on after the next start."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)
        with self._lock:
            desks = list(self._desks.values())
        for desk in desks:
            desk.close()

    def tick(self) -> None:
        """Let the time that the clock shows come to every session."""
        with self._lock:
            names = sorted({*self._desks, *self.troubles})
        for name in names:
            try:
                if self._aside.due(name, self.folder / name):
                    self._open(name)
                elif name in self._desks:
                    self._guarded(name, lambda desk: desk.tick(self._clock.now_ns()))
            except OutputProblem:
                continue  # it was set aside, and that was said
            except ConsiliumError as error:
                log.warning("a session waits", session=name, why=str(error))
            except Exception:  # whatever it was, the other sessions go on
                log.exception("a session failed at its tick", session=name)

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            self.tick()

    # What can be asked.

    @property
    def hub(self) -> Identity:
        """The coordinator's name and key, made at its first use."""
        with self._lock:
            if self._hub is None:
                self._hub = Identity("coordinator", _key_of(self.folder / KEY_FILE))
            return self._hub

    def sessions(self) -> list[dict[str, Any]]:
        """Return how every session stands."""
        with self._lock:
            desks = dict(self._desks)
        return [desks[name].summary() for name in sorted(desks) if not desks[name].guard.broken]

    def of(self, session: str) -> SessionDesk:
        """Return one session.

        Raises
        ------
        UnknownName
            There is none of this name.
        OutputProblem
            It cannot go on: its disk does not take what it must keep.
        """
        with self._lock:
            why = self.troubles.get(session)
            if why is not None:
                raise OutputProblem(f"session {session} must keep what it does", why, "mend its folder")
            if session not in self._desks:
                raise UnknownName("session", session, self._desks)
            desk = self._desks[session]
        if desk.guard.broken:
            self._put_aside(session, desk)
            desk.guard.require()
        return desk

    # What can be done.

    def create(
        self,
        terms: Terms,
        owners_text: str,
        admission_key: bytes,
        parameters: NDArray[np.float64],
        *,
        options: Mapping[str, Any] | None = None,
        judge_data: str | None = None,
    ) -> dict[str, Any]:
        """Begin a session: it is open for those who were admitted.

        Parameters
        ----------
        terms
            What is agreed.
        owners_text, admission_key
            The signed owner list, and the public key that signs it.
        parameters
            The first model, shape (d,).
        options
            Of the task.
        judge_data
            Candles on this machine, for the task candles: models are judged on them.

        Raises
        ------
        Unjoinable
            Terms under which no round could begin if all who are admitted joined.
        InvalidValue, DataProblem, UsageError
            A name that is taken or unfit, an owner list that is not signed by the key, a task or terms that
            this desk cannot carry, candles that no model can be judged on; nothing is begun then.
        """
        name = terms.session
        _require_name(name)
        require_known(terms.task, options or {})
        owners = OwnerList.from_text(owners_text, admission_key)
        judge = Judge(terms.task, options or {}, tuple(one.owner for one in owners.owners), data=judge_data)
        require_joinable(terms, options or {}, owners, len(parameters))
        if judge_data is not None:
            judge(parameters)
        with self._lock:
            self._require_room(name)
            folder, kept = SessionFolder(self.folder / name), SessionCoordinator(terms, owners, parameters)
            desk = desk_for(kept)(
                folder,
                kept,
                self.hub,
                owners_text=owners_text,
                options=options,
                judge=judge,
                told=self._told,
                judged=self._judged,
            )
            desk.admission_key = admission_key
            folder.write_owners(owners_text)
            desk.move("open", now=self._clock.now_ns())
            self._desks[name] = desk
        self._changed(desk)
        return desk.summary()

    def _require_room(self, name: str) -> None:
        if name in self._desks or name in self.troubles:
            raise InvalidValue("a session's name must be new", name, "choose another name")
        going = sum(not desk.kept.session.ended for desk in self._desks.values())
        if going >= MOST_SESSIONS:
            raise InvalidValue(
                f"a desk may have {MOST_SESSIONS} sessions that have not ended",
                going + 1,
                "cancel one, or wait until one ends",
            )

    def move(self, session: str, to: str, *, reason: str = "") -> dict[str, Any]:
        """Start, pause, resume or cancel a session.

        Raises
        ------
        InvalidValue, UnknownName
            A move that is not allowed, or no such session.
        """
        desk = self.of(session)
        self._guarded(session, lambda kept: kept.move(to, now=self._clock.now_ns(), reason=reason))
        self._changed(desk)
        return desk.summary()

    def guarded(self, session: str, act: Callable[[SessionDesk], Any]) -> Any:
        """Do something to a session; where its disk fails, it is read back from there before it goes on."""
        return self._guarded(session, act)

    def _guarded(self, name: str, act: Callable[[SessionDesk], Any]) -> Any:
        desk = self.of(name)
        try:
            return act(desk)
        finally:
            if desk.guard.broken:
                self._put_aside(name, desk)

    def _put_aside(self, name: str, desk: SessionDesk) -> None:
        """Drop what is in memory, which is ahead of the disk: only what the disk has counts."""
        with self._lock:
            if self._desks.get(name) is desk:
                del self._desks[name]
                self._set_aside(name, desk.guard.broken, damaged=False)

    def _set_aside(self, name: str, why: str, *, damaged: bool) -> None:
        news = self._aside.put(name, why, self.folder / name, damaged=damaged)
        if news and not self._stop.is_set():
            log.warning("a session waits", session=name, why=why)

    def _open(self, name: str) -> None:
        """Read a session from its folder."""
        folder = self.folder / name
        with self._lock:
            try:
                if name in self.troubles:
                    SessionFolder(folder).require_room()
                desk = reopened(SessionFolder(folder), self.hub, self._told, self._judged)
            except ConsiliumError as error:
                # Files that another process has look as before when it lets go of them.
                damaged = not isinstance(error, OutputProblem | UsageError)
                why = str(error.value) if isinstance(error, OutputProblem) else str(error)
                self._set_aside(name, why, damaged=damaged)
                return
            self._aside.take_back(name)
            self._desks[name] = desk

    def _told(self, report: Any) -> None:
        plain = report.as_dict()
        log.info(
            "round closed",
            session=report.session,
            round=report.number,
            survivors=len(report.survivors),
            failed=report.failed,
        )
        self._hear(CLOSED, report.session, plain)
        desk = self._desks.get(report.session)
        if desk is not None and desk.kept.session.ended:
            self._changed(desk)

    def _judged(self, report: Mapping[str, Any]) -> None:
        names = ("session", "number", "version", "performance", "performance_note")
        self._hear(JUDGED, report["session"], {name: report[name] for name in names})

    def _changed(self, desk: SessionDesk) -> None:
        summary = desk.summary()
        log.info("session changed", session=summary["session"], state=summary["state"])
        self._hear(CHANGED, summary["session"], summary)

    def _hear(self, topic: str, session: str, payload: Mapping[str, Any]) -> None:
        if self._tell is None:
            return
        try:
            self._tell(topic, f"network:{session}", payload)
        except ConsiliumError as error:
            log.warning("the journal was not told", topic=topic, session=session, why=str(error))


def _require_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidValue(
            "a session's name must be 1 to 64 of letters, digits, '.', '_' and '-'", repr(name), "rename it"
        )
    if name.lower() == KEY_FILE:
        raise InvalidValue(f"a session's name must not be {KEY_FILE}, the desk's own file", name, "rename it")


def _key_of(path: Path) -> KeyPair:
    """Return the signing key of a file, made at first use and readable by its owner alone."""
    try:
        if not path.exists():
            private_folder(path.parent)
            fresh = new_signing_key(SystemEntropy())
            with whole_file(path) as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(fresh.private)
        private = path.read_bytes()
    except OSError as error:
        raise OutputProblem(
            f"a key must be kept in {path}", error.strerror or error, "mend its folder"
        ) from error
    if len(private) != KEY_SIZE:
        raise DataProblem(f"{path} must have {KEY_SIZE} bytes", len(private), "put the right key file back")
    return KeyPair(private, signing_public(private))
