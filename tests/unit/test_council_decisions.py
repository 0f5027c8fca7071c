"""Pages of decisions: newest first, without a gap, and bounded where what is asked for is rare."""

from typing import Any

from consilium.app.api.routes.federation import _newest
from consilium.domain import Event
from small_system import MemoryJournal

EVERY: dict[str, str | None] = {"decision_type": None, "role_source": None}


def journal_of(kinds: list[str]) -> MemoryJournal:
    journal = MemoryJournal()
    for number, kind in enumerate(kinds):
        body = {"decision_id": str(number), "decision_type": kind, "role_source": "cro"}
        told = [
            Event(
                event_id=f"{topic}{number}",
                topic=topic,
                stream="council",
                ts_event=number,
                ts_recorded=number,
                payload=body,
            )
            for topic in ("ai.federation.decision_made", "council.policy_changed")
        ]
        journal.append(told)
    return journal


def walked(journal: MemoryJournal, limit: int, wanted: dict[str, str | None]) -> tuple[list[str], int]:
    found: list[str] = []
    before: int | None = 2**53 - 1
    pages = 0
    while before is not None:
        page: list[dict[str, Any]]
        page, before = _newest(journal, before, limit, wanted)
        found += [body["decision_id"] for body in page]
        pages += 1
        assert pages < 2_000
    return found, pages


def test_pages_of_any_size_join_to_all_decisions_newest_first() -> None:
    journal = journal_of(["MODE_CHANGE"] * 1_203)
    for limit in (1, 10, 499, 500, 501, 1_000, 1_203):
        found, _ = walked(journal, limit, EVERY)
        assert found == [str(number) for number in reversed(range(1_203))], limit


def test_a_rare_kind_is_found_over_several_bounded_looks() -> None:
    journal = journal_of(["FREEZE", *["MODE_CHANGE"] * 10_600, "FREEZE", "OVERRIDE"])
    wanted = EVERY | {"decision_type": "FREEZE"}
    page, place = _newest(journal, 2**53 - 1, 10, wanted)
    assert [body["decision_id"] for body in page] == ["10601"]
    assert place is not None  # it has looked at enough for one request, and says where to go on
    assert walked(journal, 10, wanted) == (["10601", "0"], 2)
    assert walked(journal, 10, EVERY | {"role_source": "ceo"})[0] == []
