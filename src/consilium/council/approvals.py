"""What needs two persons: loosenings that wait for the second, and reviews."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from consilium.council.rules import CouncilRules
from consilium.domain import ConsiliumError, CouncilCommanded
from consilium.domain.time import DAY_NS, SECOND_NS, to_iso


class PermissionRefused(ConsiliumError):
    """Asked for by one who may not, or of one who may not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A loosening that waits for its second person.

    Parameters
    ----------
    approval_id
        Follows from the command's id.
    action, payload, reason, person
        Of the command: of its payload only what would loosen.
    ts_event, expires_at
        When it was asked for, and when it is dropped.
    """

    approval_id: str
    command_id: str
    action: str
    payload: Mapping[str, Any]
    reason: str
    person: str
    key_id: str
    ts_event: int
    expires_at: int

    def state(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def second_person(
    command: CouncilCommanded, first: str, asked_at: int, now: int, rules: CouncilRules
) -> None:
    """Refuse a second voice that is the first one's, unless the desk has one operator and a day has passed.

    Raises
    ------
    PermissionRefused
        The same person; too early, or not freshly authenticated, on a desk of one.

    Examples
    --------
    >>> asks = CouncilCommanded(command_id="c", action="approve", payload={}, reason="ok", person="ada",
    ...                         ts_event=7)
    >>> second_person(asks, "ada", 0, 7, CouncilRules())
    Traceback (most recent call last):
    ...
    consilium.council.approvals.PermissionRefused: a second person must agree; got ada twice: ask another one
    """
    if command.person != first:
        return
    if not rules.one_person:
        raise PermissionRefused("a second person must agree", f"{first} twice", "ask another one")
    if now - asked_at < DAY_NS:
        raise PermissionRefused(
            "a desk of one operator must wait 24 h",
            f"{(now - asked_at) / DAY_NS * 24:.1f} h",
            f"ask again from {to_iso(asked_at + DAY_NS)}",
        )
    age_s = (now - command.authenticated_at) / SECOND_NS
    if not 0 <= age_s <= rules.fresh_auth_s:
        raise PermissionRefused(
            f"authentication must be no older than {rules.fresh_auth_s:g} s", f"{age_s:.0f} s", "log in again"
        )


class Reviews:
    """Who has reviewed what, since it was last triggered."""

    def __init__(self) -> None:
        self.given: dict[str, list[tuple[str, int]]] = {}

    def check(self, what: str, command: CouncilCommanded, now: int, rules: CouncilRules) -> None:
        """Refuse a review by one who reviewed it already."""
        mine = [ts for person, ts in self.given.get(what, ()) if person == command.person]
        if mine:
            second_person(command, command.person, mine[-1], now, rules)

    def add(self, what: str, person: str, now: int) -> int:
        """Take a review; return how many there are."""
        self.given.setdefault(what, []).append((person, now))
        return len(self.given[what])

    def forget(self, what: str, until: int) -> bool:
        """Forget reviews that were given at an instant or before; return whether there were any."""
        given = self.given.get(what, [])
        kept = [(person, ts) for person, ts in given if ts > until]
        if kept:
            self.given[what] = kept
        else:
            self.given.pop(what, None)
        return len(kept) < len(given)

    def clear(self, *what: str) -> bool:
        """Forget reviews; return whether there were any."""
        forgotten = [name for name in what if self.given.pop(name, None) is not None]
        return bool(forgotten)

    def persons(self) -> dict[str, tuple[str, ...]]:
        """Return persons by what they reviewed; on a desk of one, who did again a day later, so named."""
        return {what: _voices([person for person, _ in given]) for what, given in sorted(self.given.items())}

    def state(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return {what: [list(one) for one in given] for what, given in sorted(self.given.items())}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        self.given = {what: [(str(person), int(ts)) for person, ts in given] for what, given in state.items()}


def _voices(persons: list[str]) -> tuple[str, ...]:
    """Name each voice apart.

    Examples
    --------
    >>> _voices(["ada", "bob", "ada"])
    ('ada', 'bob', 'ada, review 2')
    """
    counts = [persons[:place].count(person) + 1 for place, person in enumerate(persons)]
    return tuple(
        person if count == 1 else f"{person}, review {count}"
        for person, count in zip(persons, counts, strict=True)
    )
