"""What a coordinator must find again after a kill: the session as it stands, and the attempt that is on."""

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from consilium.app.federated.record_log import RecordLog
from consilium.domain import ConsiliumError, DataProblem, OutputProblem
from consilium.domain.files import private_folder, whole_file
from consilium.federated.effects import Persist

STATE_FILE: Final = "session.npz"
OWNERS_FILE: Final = "owners.json"
REPORTS_FILE: Final = "reports.log"
ATTEMPT_FOLDER: Final = "attempt"
RECORDS_FILE: Final = "records.log"
TRIAL_FILE: Final = ".trial"
SPARE: Final = 65_536
VERSION: Final = 1


class SessionFolder:
    """One session on the disk: its state in one file, put in place whole, and the records of one attempt.

    Nothing in it is secret.

    Parameters
    ----------
    path
        The folder; made at the first write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log: RecordLog | None = None

    def save(self, state: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        """Write down a session as it stands.

        Parameters
        ----------
        state
            As `SessionCoordinator.state` returns it: arrays as they are, the rest as JSON can hold it.
        about
            What else is to be found again.

        Raises
        ------
        OutputProblem
            The disk does not take it; the file before stays.
        """
        arrays = {"parameters": state["parameters"]}
        arrays |= {f"optimizer/{name}": value for name, value in state["optimizer_state"].items()}
        plain = {
            name: value for name, value in state.items() if name not in ("parameters", "optimizer_state")
        }
        text = json.dumps({"version": VERSION, "state": plain, "about": dict(about)})
        held = io.BytesIO()
        np.savez(held, allow_pickle=False, plain=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)
        content = held.getvalue()
        self._write(STATE_FILE, hashlib.sha256(content).digest() + content)

    def load(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return state and about as they were saved.

        Raises
        ------
        DataProblem
            There is none, or it is damaged or of a newer version.
        """
        try:
            raw = (self.path / STATE_FILE).read_bytes()
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from error
        content = raw[32:]
        if hashlib.sha256(content).digest() != raw[:32]:
            raise self._unreadable("damage: its checksum is another")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            told = json.loads(file["plain"].tobytes())
            if told["version"] != VERSION:
                raise self._unreadable(f"version {told['version']}, this is {VERSION}: upgrade consilium")
            state = dict(told["state"])
            state["parameters"] = file["parameters"]
            state["optimizer_state"] = {
                name.removeprefix("optimizer/"): file[name]
                for name in file.files
                if name.startswith("optimizer/")
            }
        return state, dict(told["about"])

    def require_room(self) -> None:
        """Try whether the disk takes as much as the next save writes, and a little more; it is gone again.

        Raises
        ------
        OutputProblem
            It does not: a session that is read back from here would fail at its next step.
        """
        state = self.path / STATE_FILE
        try:
            self._write(TRIAL_FILE, bytes(SPARE + (state.stat().st_size if state.exists() else 0)))
        finally:
            (self.path / TRIAL_FILE).unlink(missing_ok=True)

    def write_owners(self, text: str) -> None:
        """Keep the signed owner list as it came."""
        self._write(OWNERS_FILE, text.encode())

    def owners(self) -> str:
        """Return the signed owner list."""
        try:
            return (self.path / OWNERS_FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(str(error)) from error

    def add_report(self, report: Mapping[str, Any]) -> None:
        """Keep the report of a round."""
        with RecordLog(self.path / REPORTS_FILE) as log:
            log.append(json.dumps(dict(report)).encode())

    def reports(self, since: int = 1) -> list[dict[str, Any]]:
        """Return the reports from a round on, the oldest first; of what was reported twice the last one."""
        if not (self.path / REPORTS_FILE).exists():
            return []
        with RecordLog(self.path / REPORTS_FILE) as log:
            found = {row["number"]: row for row in map(json.loads, log.records)}
        return [found[number] for number in sorted(found) if number >= since]

    def begin_attempt(self, name: str) -> None:
        """Make room for the records of an attempt; those of the one before go."""
        self.end_attempt()
        for other in self.path.glob(f"{ATTEMPT_FOLDER}-*"):
            shutil.rmtree(other, ignore_errors=True)
        self._log = RecordLog(self._attempt(name) / RECORDS_FILE)

    def resume_attempt(self, name: str) -> list[bytes]:
        """Open the records of an attempt again, and return them: slots first, for they hang on no order."""
        self.end_attempt()
        folder = self._attempt(name)
        self._log = RecordLog(folder / RECORDS_FILE)
        slots = [path.read_bytes() for path in sorted(folder.glob("*.slot"))]
        return [*slots, *self._log.records]

    def keep(self, name: str, effect: Persist) -> None:
        """Do what Persist asks; it is on the disk when `sync` returns, which comes before anybody is told.

        Raises
        ------
        OutputProblem
            The disk does not take it, or the attempt is over.
        """
        if effect.slot:
            self._write(f"{ATTEMPT_FOLDER}-{name}/{effect.slot}.slot", effect.record)
        elif self._log is None:
            raise OutputProblem(
                f"a record of attempt {name} must be kept in {self.path}",
                "its log is closed",
                "nothing was sent that depends on it; the session is read back from its folder",
            )
        else:
            self._log.append(effect.record, durable=False)

    def sync(self) -> None:
        """Return when all that `keep` was given before is on the disk.

        Raises
        ------
        OutputProblem
            It is not.
        """
        log = self._log
        if log is not None:
            log.sync()

    def end_attempt(self) -> None:
        """Let go of the records of the attempt."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _attempt(self, name: str) -> Path:
        return self.path / f"{ATTEMPT_FOLDER}-{name}"

    def _write(self, name: str, content: bytes) -> None:
        try:
            private_folder(self.path)
            with whole_file(self.path / name) as file:
                file.write(content)
        except OSError as error:
            raise OutputProblem(
                f"{name} must be kept in {self.path}",
                error.strerror or error,
                "free the disk or mend its permissions",
            ) from error

    def _unreadable(self, why: str) -> ConsiliumError:
        return DataProblem(
            f"the session of {self.path} must be readable", why, "restore the folder from a copy"
        )
