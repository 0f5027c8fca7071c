"""Runs of losing closes, as far as reports let them be known (F3)."""

import pytest

from consilium.council.service import CouncilService
from consilium.domain import Decision
from consilium.domain.time import MINUTE_NS
from council_voices import Voices


def frozen_by_f3(desk: Voices, run: int | None, closes: int | None, source: str = "account:paper") -> bool:
    told = desk.says(MINUTE_NS, source=source, consecutive_losses=run, losing_closes=closes)
    return any(isinstance(one, Decision) and one.rule == "F3" for one in told)


def test_a_run_that_was_broken_and_made_again_between_two_reports_freezes_again() -> None:
    desk = Voices()
    assert not frozen_by_f3(desk, 4, 14)
    assert frozen_by_f3(desk, 5, 15)
    assert not frozen_by_f3(desk, 5, 15), "no further close"
    assert frozen_by_f3(desk, 5, 20), "a gain, and five losses"
    assert frozen_by_f3(desk, 6, 21)
    assert not frozen_by_f3(desk, 0, 21)
    assert not frozen_by_f3(desk, 4, 29)


def test_a_run_without_a_count_of_closes_is_seen_where_it_grows() -> None:
    desk = Voices()
    assert [frozen_by_f3(desk, run, None) for run in (4, 5, 5, 6, 0, 5)] == [
        False, True, False, True, False, True,
    ]  # fmt: skip


def test_a_run_that_is_left_out_for_once_is_no_new_one() -> None:
    desk = Voices()
    assert [frozen_by_f3(desk, run, None) for run in (5, None, 5, 6)] == [True, False, False, True]


def test_another_source_s_run_freezes_beside_a_longer_one_that_stands() -> None:
    desk = Voices()
    assert frozen_by_f3(desk, 9, None)
    assert not frozen_by_f3(desk, 4, None, "outside:a")
    assert frozen_by_f3(desk, 5, None, "outside:a")


@pytest.mark.parametrize("closes", [None, 30])
def test_a_restart_forgets_no_run(closes: int | None) -> None:
    desk = Voices()
    frozen_by_f3(desk, 5, closes)
    fresh = CouncilService()
    fresh.restore(desk.council.state())
    assert fresh.state_hash() == desk.council.state_hash()
    desk.council = fresh
    assert not frozen_by_f3(desk, 5, closes)
