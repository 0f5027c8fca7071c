"""The owner list: who may take part, signed by the admission key, which is not the coordinator's.

A JSON file until the dao keeps it: ``{"format": "consilium owners", "version": 1, "ts_issued": ...,
"owners": [{"owner": "desk-1", "key": "<64 hex>", "stake": 100}, ...], "signature": "<128 hex>"}``; with
``"session"`` where it is for one session only.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from consilium.domain import DataProblem, InvalidValue, OutputProblem, UnknownName, canonical_json, digest
from consilium.domain.checks import require_at_least, require_name

FORMAT, VERSION = "consilium owners", 1
TAG = b"consilium/owners/1\n"
KEY_BYTES, SIGNATURE_BYTES = 32, 64
MOST_OWNERS = 100_000
MOST_BYTES = 64 << 20
MOST_STAKE = 1 << 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """One who was admitted.

    Parameters
    ----------
    owner
        Name, not empty.
    key
        Public signing key (Ed25519), 32 bytes.
    stake
        Public stake, an integer in [0, 2^53]; 1. It weighs, claimed rows never do.
    """

    owner: str
    key: bytes
    stake: int = 1

    def __post_init__(self) -> None:
        require_name("owner", self.owner)
        if len(self.key) != KEY_BYTES:
            raise InvalidValue(
                f"key of {self.owner} must have {KEY_BYTES} bytes", len(self.key), "give its key"
            )
        require_at_least(f"stake of {self.owner}", self.stake, 0)
        if type(self.stake) is not int or self.stake > MOST_STAKE:
            raise InvalidValue(f"stake of {self.owner} must be an integer <= 2^53", self.stake, "correct it")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerList:
    """Who was admitted, and when the list was issued.

    Parameters
    ----------
    owners
        In the order of names; names and keys differ.
    ts_issued
        UTC nanoseconds.
    session
        The one session that it is for; empty for any.

    Examples
    --------
    >>> admitted = OwnerList(owners=(Owner(owner="a", key=b"1" * 32), Owner(owner="b", key=b"2" * 32)))
    >>> admitted.weights(cap=0.5)
    {'a': 1, 'b': 1}
    """

    owners: tuple[Owner, ...]
    ts_issued: int = 0
    session: str = ""
    _by_name: Mapping[str, Owner] = field(init=False, repr=False, compare=False)
    _whole: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.owners) <= MOST_OWNERS:
            raise InvalidValue(
                f"an owner list must have 1 to {MOST_OWNERS:,} owners", len(self.owners), "admit owners"
            )
        object.__setattr__(self, "owners", tuple(sorted(self.owners, key=lambda one: one.owner)))
        object.__setattr__(self, "_by_name", {one.owner: one for one in self.owners})
        object.__setattr__(self, "_whole", sum(one.stake for one in self.owners))
        for what, values in (
            ("names", [one.owner for one in self.owners]),
            ("keys", [one.key.hex() for one in self.owners]),
        ):
            twice = _repeated(values)
            if twice is not None:
                raise InvalidValue(f"{what} of owners must differ", f"{twice} twice", "admit each owner once")

    def __contains__(self, owner: object) -> bool:
        return owner in self._by_name

    def of(self, owner: str) -> Owner:
        """Return an owner by name.

        Raises
        ------
        UnknownName
            It was not admitted.
        """
        if owner not in self._by_name:
            raise UnknownName("owner", owner, self._by_name)
        return self._by_name[owner]

    def weights(self, cap: float) -> dict[str, int]:
        """Return the weight table of a session: ``min(stake, floor(cap * all stake))``, 0 for none at stake.

        Parameters
        ----------
        cap
            Most of all stake that counts for one owner, in (0, 1].
        """
        return {one.owner: self.weight(one.owner, cap) for one in self.owners}

    def weight(self, owner: str, cap: float) -> int:
        """Return the weight of one owner; see `weights`."""
        return min(self.of(owner).stake, max(1, int(cap * self._whole)))

    def require_for(self, session: str) -> None:
        """Refuse a list that was issued for another session.

        Raises
        ------
        DataProblem
            It names another one.
        """
        if self.session not in ("", session):
            raise DataProblem(
                f"the owner list must be for session {session}",
                self.session,
                "ask those who admit owners for a list of this session",
            )

    def digest(self) -> str:
        """Return the hash that reports carry, so that all can compare which list was used."""
        return digest(self._content())

    def signed(self, private: bytes) -> str:
        """Return the text of the file, signed by the admission key's private half."""
        from consilium.federated.primitives import sign

        content = self._content()
        signature = sign(private, _signed_bytes(content))
        return json.dumps({**content, "signature": signature.hex()}, indent=1) + "\n"

    def _content(self) -> dict[str, Any]:
        owners = [{"owner": one.owner, "key": one.key.hex(), "stake": one.stake} for one in self.owners]
        content = {"format": FORMAT, "version": VERSION, "ts_issued": self.ts_issued, "owners": owners}
        return content | ({"session": self.session} if self.session else {})

    @classmethod
    def from_text(cls, text: str, admission_key: bytes, *, where: str = "the owner list") -> Self:
        """Read and verify what `signed` wrote.

        Parameters
        ----------
        text
            JSON.
        admission_key
            Public half of the key that admits, known from elsewhere than the file.
        where
            What errors call it.

        Raises
        ------
        DataProblem
            Not such a list, another version, a field that is wrong, or a signature that is not the key's.
        """
        from consilium.federated.primitives import verify

        content, signature = _parsed(text, where)
        if not verify(admission_key, signature, _signed_bytes(content)):
            raise DataProblem(
                f"{where} must be signed by the admission key {admission_key.hex()[:16]}",
                "another signature",
                "get the list from those who admit owners, and check the key",
            )
        try:
            owners = tuple(
                Owner(owner=str(row["owner"]), key=_hex(row["key"]), stake=row.get("stake", 1))
                for row in content["owners"]
            )
            session = str(content.get("session", ""))
            return cls(owners=owners, ts_issued=int(content["ts_issued"]), session=session)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataProblem(f"{where} must name owners with keys", f"{error}", "issue it again") from None


def read_owners(path: Path, admission_key: bytes) -> OwnerList:
    """Read a signed owner list from a file.

    Raises
    ------
    DataProblem
        It cannot be read, is larger than 64 MiB, or is refused by `OwnerList.from_text`.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise DataProblem(f"{path} must be <= {MOST_BYTES:,} bytes", f"{size:,}", "give an owner list")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        told = getattr(error, "strerror", None) or "not UTF-8"
        raise DataProblem(
            "an owner list must be a readable file", f"{path} ({told})", "give its path"
        ) from None
    return OwnerList.from_text(text, admission_key, where=str(path))


def write_owners(path: Path, owners: OwnerList, private: bytes) -> None:
    """Write a signed owner list, whole or not at all.

    Raises
    ------
    OutputProblem
        The place cannot be written.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(owners.signed(private), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise OutputProblem(
            "an owner list needs a writable place", f"{path} ({error.strerror or error})", "choose another"
        ) from None


def _parsed(text: str, where: str) -> tuple[dict[str, Any], bytes]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataProblem(f"{where} must be JSON", f"{error}", "give the file as it was issued") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataProblem(f"{where} must be in the format '{FORMAT}'", "another file", "give an owner list")
    if content.get("version") != VERSION:
        raise DataProblem(
            f"{where} must have version {VERSION}", content.get("version"), "upgrade, or reissue it"
        )
    try:
        signature = bytes.fromhex(str(content.pop("signature", "")))
        _signed_bytes(content)
    except (ValueError, InvalidValue):
        signature = b""
    if len(signature) != SIGNATURE_BYTES:
        raise DataProblem(
            f"{where} must carry a signature of {SIGNATURE_BYTES} bytes", len(signature), "sign it"
        )
    return content, signature


def _signed_bytes(content: Mapping[str, Any]) -> bytes:
    return TAG + canonical_json(content).encode()


def _hex(value: object) -> bytes:
    return bytes.fromhex(str(value))


def _repeated(values: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
