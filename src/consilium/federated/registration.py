"""Who has joined a session: one participant an owner, under the key that the owner list names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from consilium.domain import InvalidValue, UnknownName, canonical_json
from consilium.domain.checks import require_at_least, require_name
from consilium.federated.owners import OwnerList

TAG = b"consilium/registration/1\n"
VERSION = 1
COMPUTE = ("low", "medium", "high")
MOST_EXAMPLES = 10**12
MOST_NAME = 64
MOST_CAPABILITIES = 64
MOST_CLAIMS = 8
"""Counts of rows that one is remembered to have claimed before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What a participant says of itself when it joins.

    Parameters
    ----------
    participant, owner
        Its id, and who owns it; 1 to 64 characters.
    session
        Which session it joins.
    key
        Public signing key, 32 bytes; the owner's.
    capabilities
        Tasks and modes that it can do: ``digits``, ``sum``.
    examples
        Rows that it claims to have, in [0, 1e12]. Shown, never trusted: weights come from public stake.
    compute
        ``low``, ``medium`` or ``high``, as it claims.
    version
        Of this message.
    signature
        By its key over all the rest.
    """

    participant: str
    owner: str
    session: str
    key: bytes
    capabilities: tuple[str, ...] = ()
    examples: int = 0
    compute: str = "medium"
    version: int = VERSION
    signature: bytes = b""

    def __post_init__(self) -> None:
        for name in ("participant", "owner", "session"):
            value = getattr(self, name)
            require_name(name, value)
            if len(value) > MOST_NAME or not value.isprintable():
                raise InvalidValue(
                    f"{name} must be <= {MOST_NAME} printable characters", repr(value)[:80], "shorten it"
                )
        if self.version != VERSION:
            raise InvalidValue(
                f"version of a registration must be {VERSION}", self.version, "upgrade consilium"
            )
        if self.compute not in COMPUTE:
            raise UnknownName("compute", self.compute, COMPUTE)
        require_at_least("examples", self.examples, 0)
        if type(self.examples) is not int or self.examples > MOST_EXAMPLES:
            raise InvalidValue(
                f"examples must be an integer <= {MOST_EXAMPLES:,}", self.examples, "count rows"
            )
        if len(self.capabilities) > MOST_CAPABILITIES:
            raise InvalidValue(
                f"capabilities must be <= {MOST_CAPABILITIES}", len(self.capabilities), "name tasks and modes"
            )

    def content(self) -> bytes:
        """Return the bytes that are signed."""
        return TAG + canonical_json({**self.as_dict(), "signature": None}).encode()

    def signed(self, private: bytes) -> "Registration":
        """Return it signed."""
        from consilium.federated.primitives import sign

        return replace(self, signature=sign(private, self.content()))

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "participant": self.participant,
            "owner": self.owner,
            "session": self.session,
            "key": self.key.hex(),
            "capabilities": list(self.capabilities),
            "examples": self.examples,
            "compute": self.compute,
            "version": self.version,
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Registration":
        """Read what `as_dict` wrote.

        Raises
        ------
        InvalidValue
            Fields that are missing, too many or wrong.
        """
        try:
            given = {**plain, "capabilities": tuple(str(name) for name in plain.get("capabilities", ()))}
            given |= {name: bytes.fromhex(plain[name]) for name in ("key", "signature")}
            return cls(**given)
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidValue(
                "a registration must have its fields", f"{error}", "see docs/federated.md"
            ) from None
        except ValueError as error:
            if isinstance(error, InvalidValue | UnknownName):
                raise
            raise InvalidValue(
                "key and signature must be hex digits", f"{error}", "write bytes as hex"
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A registration that was accepted.

    Parameters
    ----------
    registration
        What was said.
    first_round
        First round that it may be chosen for: late joiners wait for the next one.
    claimed
        Rows that it claimed before, where it came back with others; the last few, the newest last.
    """

    registration: Registration
    first_round: int
    claimed: tuple[int, ...] = ()

    @property
    def claims(self) -> tuple[int, ...]:
        """Rows that an update of it may name: one that was made before it came back has those of then."""
        return (*self.claimed, self.registration.examples)


def _same_but_claims(one: Registration, other: Registration) -> bool:
    """Return whether two registrations differ at most in what is claimed, and never trusted."""
    told = replace(other, examples=one.examples, compute=one.compute)
    return told.content() == one.content()


class Registry:
    """All who joined one session.

    Parameters
    ----------
    session
        Its id.
    owners
        Who was admitted.
    needs
        Capabilities without which nobody is chosen: the task and the mode.
    """

    def __init__(self, session: str, owners: OwnerList, needs: Iterable[str] = ()) -> None:
        self.session = session
        self.owners = owners
        self.needs = tuple(needs)
        self._joined: dict[str, Joined] = {}
        self._of_owner: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._joined)

    @property
    def joined(self) -> Mapping[str, Joined]:
        """By participant, in the order of joining."""
        return dict(self._joined)

    def register(self, registration: Registration, *, first_round: int) -> Joined:
        """Accept a registration; the same one again gives the same answer.

        Rows grow while a session goes on: who comes back with another count, or on another machine, joined
        before all the same, and what it claims now is shown from then on.

        Raises
        ------
        UnknownName
            Its owner was not admitted.
        InvalidValue
            Another session, a key that is not the owner's, a wrong signature, a missing capability, a
            participant that is registered otherwise, or a second participant of one owner.
        """
        earlier = self._joined.get(registration.participant)
        self._require_admitted(registration)
        if earlier is not None:
            if earlier.registration.content() == registration.content():
                return earlier
            if _same_but_claims(earlier.registration, registration):
                claimed = earlier.claims[-MOST_CLAIMS:]
                newer = replace(earlier, registration=registration, claimed=claimed)
                self._joined[registration.participant] = newer
                return newer
            raise InvalidValue(
                f"participant {registration.participant} is registered with other words",
                f"owner {registration.owner}",
                "join under a name of your own, or with the first registration",
            )
        other = self._of_owner.get(registration.owner)
        if other is not None:
            raise InvalidValue(
                "an owner may have 1 participant in a session",
                f"{registration.participant} beside {other}",
                "join once",
            )
        joined = Joined(registration=registration, first_round=first_round)
        self._joined[registration.participant] = joined
        self._of_owner[registration.owner] = registration.participant
        return joined

    def _require_admitted(self, registration: Registration) -> None:
        from consilium.federated.primitives import verify

        if registration.session != self.session:
            raise InvalidValue(f"session must be {self.session}", registration.session, "join that one")
        owner = self.owners.of(registration.owner)
        if registration.key != owner.key:
            raise InvalidValue(
                f"key of {registration.owner} must be that of the owner list",
                registration.key.hex()[:16],
                "sign with the admitted key",
            )
        if not verify(owner.key, registration.signature, registration.content()):
            raise InvalidValue(
                f"a registration must be signed by {registration.owner}", "another signature", "sign it again"
            )
        missing = [name for name in self.needs if name not in registration.capabilities]
        if missing:
            raise InvalidValue(
                f"capabilities must hold {', '.join(self.needs)}",
                ", ".join(registration.capabilities) or "none",
                f"add {', '.join(missing)} if {registration.participant} can do it",
            )

    def eligible(self, round_number: int) -> tuple[str, ...]:
        """Return who may be chosen for a round, in the order of ids."""
        return tuple(sorted(name for name, one in self._joined.items() if one.first_round <= round_number))

    def may(self, participant: str, round_number: int) -> bool:
        """Return whether one may be chosen for a round."""
        joined = self._joined.get(participant)
        return joined is not None and joined.first_round <= round_number

    def weights(self, cap: float) -> dict[str, int]:
        """Return the weight table of all who joined: public stake, capped per owner."""
        return {name: self.weight(name, cap) for name in self._joined}

    def weight(self, participant: str, cap: float) -> int:
        """Return the weight of one who joined; see `weights`."""
        return self.owners.weight(self._joined[participant].registration.owner, cap)

    def claims(self) -> dict[str, tuple[int, ...]]:
        """Return the rows that an update of each may name; see `Joined.claims`."""
        return {name: one.claims for name, one in self._joined.items()}

    def state(self) -> list[dict[str, Any]]:
        """Return what JSON can hold; public all of it."""
        return [
            {
                "registration": one.registration.as_dict(),
                "first_round": one.first_round,
                "claimed": list(one.claimed),
            }
            for one in self._joined.values()
        ]

    def restore(self, state: Iterable[Mapping[str, Any]]) -> None:
        """Take back what `state` returned, checked as if it came anew."""
        self._joined.clear()
        self._of_owner.clear()
        for one in state:
            said = Registration.from_dict(one["registration"])
            joined = self.register(said, first_round=int(one["first_round"]))
            self._joined[said.participant] = replace(joined, claimed=tuple(one.get("claimed", ())))
