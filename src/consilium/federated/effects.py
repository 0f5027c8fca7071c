"""What a machine of the protocols asks of those who carry it: always Persist before Send."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consilium.federated.envelope import Signed

EVERYONE = "*"
"""Receiver of what all participants of the attempt get."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The time, UTC nanoseconds: machines have no clock of their own."""

    now: int


@dataclass(frozen=True, slots=True)
class Persist:
    """Keep a record, durably, before the next effect.

    Parameters
    ----------
    record
        Bytes to append; a machine is restored from its records in order.
    secret
        Whether it belongs in the participant's SecretStore; all else may be read by everybody.
    slot
        Where it is not empty, this record replaces the earlier one of the same slot.
    """

    record: bytes = field(repr=False)
    secret: bool
    slot: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """Deliver a message to a participant, to the coordinator, or to EVERYONE."""

    to: str
    message: Signed


@dataclass(frozen=True, slots=True)
class Finished:
    """The attempt is over and went well; the coordinator's carries the sum."""

    result: Any = None


@dataclass(frozen=True, slots=True)
class Aborted:
    """The attempt is over without a sum.

    Parameters
    ----------
    why
        One line: bound, value, cure.
    released
        Whether a share may have been released: then no retry may use the update without a new charge.
    faults
        By owner, why it is at fault beyond doubt.
    """

    why: str
    released: bool = False
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """A message was not accepted and changed nothing.

    Parameters
    ----------
    sender
        Whom its header names.
    why
        One line: bound, value, cure.
    proven
        Whether it is the sender's own, of this attempt: only then it may be held against it.
    """

    sender: str
    why: str
    proven: bool = False


Effect = Persist | Send | Finished | Aborted | Refused
