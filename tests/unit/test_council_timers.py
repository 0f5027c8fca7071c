import json

import pytest

from consilium.council.timers import Timers


def test_a_condition_that_stays_true_keeps_its_beginning() -> None:
    first = Timers({}, 100)
    assert first.began("late", True)
    second = Timers(first.memory, 200)
    assert not second.began("late", True)
    assert second.memory == first.memory == {"since": {"late": 100}}


def test_a_condition_that_breaks_begins_anew() -> None:
    memory = {"since": {"late": 100}}
    broken = Timers(memory, 200)
    assert not broken.held("late", False, 50)
    assert broken.memory == {"since": {}}
    again = Timers(broken.memory, 300)
    assert again.began("late", True)
    assert not again.held("late", True, 50)


@pytest.mark.parametrize(("now", "held"), [(149, False), (150, True), (151, True), (99, False)])
def test_a_time_is_over_at_its_end_and_not_where_the_clock_went_back(now: int, held: bool) -> None:
    timers = Timers({"since": {"late": 100}}, now)
    assert timers.held("late", True, 50) is held


def test_the_memory_given_is_left_as_it_was_and_is_plain() -> None:
    memory = {"since": {"late": 100}, "own": 1}
    timers = Timers(memory, 200)
    timers.began("late", False)
    timers.began("lost", True)
    timers.keep("own", None)
    timers.keep("other", [1, 2])
    assert memory == {"since": {"late": 100}, "own": 1}
    assert json.loads(json.dumps(timers.memory)) == {"since": {"lost": 200}, "other": [1, 2]}
    assert timers.recall("own", 7) == 7
