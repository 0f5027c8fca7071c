"""What a participant agreed to when it joined, kept in its folder: it never changes for that session."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from consilium.domain import DataProblem, OutputProblem, canonical_json, digest
from consilium.domain.files import whole_file
from consilium.federated.agreement import Agreement
from consilium.federated.owners import OwnerList
from consilium.federated.session import Terms

PINNED_FILE: Final = "session.json"
AGREED: Final = ("session", "coordinator", "terms", "options", "owners", "admission_key")


class Pinned:
    """What was met first, and who was said to have joined so far.

    Parameters
    ----------
    folder
        Of the participant.
    met
        What is met now, by the names in AGREED; what JSON can hold.

    Raises
    ------
    DataProblem
        Something else than at the join, or a damaged file.
    OutputProblem
        The folder cannot be written.
    """

    def __init__(self, folder: Path, met: Mapping[str, Any]) -> None:
        self._path = folder / PINNED_FILE
        self._kept: dict[str, Any] = {name: met[name] for name in AGREED}
        known = self._read()
        if known is None:
            self._write()
            return
        for name in AGREED:
            before, now = known.get(name), self._kept[name]
            if canonical_json(before) != canonical_json(now):
                raise DataProblem(
                    f"the {_TOLD[name]} must be as agreed at the join, {_shown(before)}",
                    _shown(now),
                    "ask why; who agrees to it joins anew, with another --store",
                )
        self._kept = known

    @property
    def joined(self) -> frozenset[str]:
        """Who was said to have joined; nobody leaves it."""
        return frozenset(self._kept.get("joined", ()))

    def meet(self, joined: Iterable[str]) -> None:
        """Remember more who joined."""
        every = sorted(self.joined.union(joined))
        if every != self._kept.get("joined"):
            self._kept["joined"] = every
            self._write()

    def _read(self) -> dict[str, Any] | None:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise DataProblem(f"{self._path} must be readable", f"{error}", "put a copy back") from error
        if not isinstance(known, dict):
            raise DataProblem(f"{self._path} must hold what was agreed", "something else", "put a copy back")
        return known

    def _write(self) -> None:
        try:
            with whole_file(self._path) as file:
                file.write(json.dumps(self._kept).encode())
        except OSError as error:
            raise OutputProblem(
                f"what is agreed must be kept in {self._path}", error.strerror or error, "free the disk"
            ) from error


def agreed_of(about: Mapping[str, Any], owners: OwnerList) -> Agreement:
    """Return what is agreed, as it is told now; `Pinned` says whether that is what was agreed at the join.

    Parameters
    ----------
    about
        The coordinator's words.
    owners
        The owner list, verified.

    Raises
    ------
    DataProblem
        Terms or owners that are not what they are announced as.
    """
    terms = Terms.from_dict(about["terms"])
    if terms.digest() != about["terms_digest"]:
        raise DataProblem("terms must have the hash they are announced with", terms.digest()[:16], "ask why")
    owners.require_for(terms.session)
    if owners.digest() != about["owners_digest"]:
        raise DataProblem(
            f"the owner list must be the session's, {about['owners_digest'][:16]}",
            owners.digest()[:16],
            "ask those who admit owners which list is in force",
        )
    return Agreement(
        terms=terms,
        options=dict(about["options"]),
        owners=owners,
        coordinator=bytes.fromhex(about["coordinator"]["key"]),
    )


_TOLD: Final[Mapping[str, str]] = {
    "session": "session",
    "coordinator": "coordinator's key",
    "terms": "terms",
    "options": "options of the task",
    "owners": "owner list",
    "admission_key": "admission key",
}


def _shown(value: Any) -> str:
    return value[:64] if isinstance(value, str) else digest(value)[:16]
