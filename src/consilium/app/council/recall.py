"""A decision as the journal alone can explain it: what led to it, what it met, and what it changed."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from consilium.app.council.port import Row
from consilium.app.council.tally import CONFLICT, DECISION, POLICY
from consilium.domain import ConsiliumError, UnknownName

_PAGE = 1_000
_BESIDE = 200
"""Rows after a decision in which what followed from it is looked for."""


class UnknownDecision(UnknownName):
    """A decision that the journal does not have.

    Examples
    --------
    >>> str(UnknownDecision("d1"))
    "decision must be one of the journal's; got 'd1': see `consilium council decisions`"
    """

    def __init__(self, decision_id: str) -> None:
        self.kind, self.name, self.known = "decision", decision_id, []
        bound, cure = "decision must be one of the journal's", "see `consilium council decisions`"
        ConsiliumError.__init__(self, bound, f"'{decision_id}'", cure)


class RecalledJournal(Protocol):
    """What is read of the journal."""

    def read(
        self,
        after: int = 0,
        limit: int = 1000,
        *,
        topics: Collection[str] | None = None,
        newest_first: bool = False,
        before: int | None = None,
    ) -> Sequence[Row]:
        """Return rows between two places."""

    def find(self, event_id: str) -> Row | None:
        """Return the row of an event."""


def recalled(journal: RecalledJournal, decision_id: str) -> dict[str, Any]:
    """Explain a decision from the journal.

    Raises
    ------
    UnknownName
        No such decision.
    """
    row = _row_of(journal, decision_id)
    body = {**_payload(row), "offset": row.offset}
    beside = journal.read(row.offset - 1, _BESIDE, topics=[CONFLICT, POLICY])
    return {
        "decision": body,
        "cause": _cause_of(journal, row),
        "conflicts": [
            dict(_payload(other))
            for other in beside
            if other.event.topic == CONFLICT
            and decision_id in (_payload(other).get("winner_id"), _payload(other).get("loser_id"))
        ],
        "policy": next(
            (
                _payload(other).get("policy")
                for other in beside
                if other.event.topic == POLICY and decision_id in _payload(other).get("decisions", ())
            ),
            None,
        ),
        "overridden_by": _override_of(journal, row, decision_id),
    }


def _row_of(journal: RecalledJournal, decision_id: str) -> Row:
    before: int | None = None
    while rows := journal.read(0, _PAGE, topics=[DECISION], newest_first=True, before=before):
        for row in rows:
            if _payload(row).get("decision_id") == decision_id:
                return row
        before = rows[-1].offset
        if len(rows) < _PAGE:
            break
    raise UnknownDecision(decision_id[:100])


def _cause_of(journal: RecalledJournal, row: Row) -> dict[str, Any] | None:
    cause = journal.find(row.event.cause_id) if row.event.cause_id else None
    if cause is None:
        return None
    return {"offset": cause.offset, "topic": cause.event.topic, "payload": dict(_payload(cause))}


def _override_of(journal: RecalledJournal, row: Row, decision_id: str) -> str | None:
    for later in journal.read(row.offset, _BESIDE, topics=[DECISION]):
        if _payload(later).get("overrides") == decision_id:
            return str(_payload(later).get("decision_id"))
    return None


def _payload(row: Row) -> Mapping[str, Any]:
    payload = row.event.payload
    return payload if isinstance(payload, Mapping) else {}
