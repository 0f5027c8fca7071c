"""Work at times of day: when it is done, and what ends it."""

import pytest

pytest.importorskip("apscheduler", reason="needs the extra schedule")

from consilium.app.scheduling import repeat
from consilium.domain import DAY_NS, HOUR_NS, DataProblem, UsageError

MIDNIGHT = 1_700_006_400 * 1_000_000_000


class Hands:
    """A clock that moves when somebody sleeps, and rings once it is late enough."""

    def __init__(self, until_ns: int) -> None:
        self.now, self.until = MIDNIGHT, until_ns

    def now_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)
        if self.now >= self.until:
            raise KeyboardInterrupt


@pytest.mark.promise("002", "to come: model retraining schedule")
def test_work_is_done_at_each_time_and_an_interrupt_while_waiting_ends_it() -> None:
    hands = Hands(MIDNIGHT + 3 * DAY_NS)
    done: list[int] = []
    told: list[str] = []
    repeat("0 3 * * *", lambda: done.append(hands.now), clock=hands, tell=told.append, sleep=hands.sleep)
    assert done == [MIDNIGHT + day * DAY_NS + 3 * HOUR_NS for day in range(3)]
    assert told[0] == "next training at 2023-11-15T03:00:00Z"
    assert told[-1] == "the schedule has ended; what was stored stays"


def test_a_time_that_passes_during_work_is_left_out() -> None:
    hands = Hands(MIDNIGHT + 6 * HOUR_NS)
    done: list[int] = []

    def long() -> None:
        done.append(hands.now)
        hands.now += HOUR_NS * 5 // 2

    repeat("0 * * * *", long, clock=hands, tell=lambda _: None, sleep=hands.sleep)
    assert [(at - MIDNIGHT) // HOUR_NS for at in done] == [1, 4]


def test_work_that_fails_is_told_and_the_next_is_done() -> None:
    hands = Hands(MIDNIGHT + 3 * DAY_NS)
    told: list[str] = []
    errors: list[int] = []

    def failing() -> None:
        errors.append(hands.now)
        if len(errors) == 1:
            raise DataProblem("data must be there", "none", "give some")
        raise ZeroDivisionError("division\nby zero")

    repeat("0 3 * * *", failing, clock=hands, tell=told.append, sleep=hands.sleep)
    assert len(errors) == 3
    assert told[1] == "error: data must be there; got none: give some"
    assert told[3] == "error: unexpected ZeroDivisionError: division by zero"


def test_an_interrupt_during_work_passes_on() -> None:
    hands = Hands(MIDNIGHT + 3 * DAY_NS)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repeat("0 3 * * *", interrupted, clock=hands, tell=lambda _: None, sleep=hands.sleep)


@pytest.mark.parametrize("expression", ["", "every night", "0 25 * * *", "* * * *"])
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    hands = Hands(MIDNIGHT + DAY_NS)
    with pytest.raises(UsageError, match=r"--schedule must be five fields of cron, in UTC; got") as refused:
        repeat(expression, lambda: None, clock=hands, tell=lambda _: None, sleep=hands.sleep)
    assert "\n" not in str(refused.value)
