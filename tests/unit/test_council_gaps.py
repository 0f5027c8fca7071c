"""What fell over a gap has fallen: the last value before a window is in force when it begins."""

import numpy as np
import pytest

from consilium.council.windows import InForce
from consilium.domain import Decision
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from council_voices import Voices


def test_a_fall_over_a_weekend_is_seen_by_the_emergency_stop_and_by_the_risk_officer() -> None:
    desk = Voices()
    desk.says(interval_ns=HOUR_NS, nav=1.0)
    told = desk.says(66 * HOUR_NS, interval_ns=HOUR_NS, nav=0.91)
    briefing = desk.council.briefing
    assert briefing.portfolio.ess_loss == 0.09
    assert briefing.portfolio.drawdown_rise == 0.09
    assert briefing.ess == "CRITICAL"
    assert {"F5", "R1"} <= {hold.rule for hold in desk.council.holds.values()}
    assert any(isinstance(one, Decision) and one.rule == "F5" for one in told)


def test_a_fall_of_friday_is_over_on_monday() -> None:
    desk = Voices()
    desk.says(interval_ns=HOUR_NS, nav=1.0)
    desk.says(HOUR_NS, interval_ns=HOUR_NS, nav=0.97)
    desk.says(65 * HOUR_NS, interval_ns=HOUR_NS, nav=0.97)
    assert desk.council.briefing.portfolio.ess_loss == 0.0
    assert desk.council.briefing.portfolio.drawdown_rise == 0.0


@pytest.mark.parametrize("highest", [True, False])
def test_the_extreme_in_force_is_that_of_all_marks(highest: bool) -> None:
    span, bucket = 600, 10
    for seed in range(40):
        rng = np.random.default_rng(seed)
        window, marks, now = InForce(span_ns=span, bucket_ns=bucket, highest=highest), [], 0
        for _ in range(150):
            now += int(rng.choice([1, 3, 12, 60, 700], p=[0.3, 0.3, 0.2, 0.15, 0.05]))
            marks.append((now, float(rng.integers(0, 20))))
            window.add(*marks[-1])
            for at in (now, now + int(rng.integers(0, 900))):
                best = max if highest else min
                exact = best(in_force(marks, at - span))
                slack = best(in_force(marks, at - span - bucket))
                value = window.value(at)
                assert value is not None
                assert value in (exact, slack) or exact <= value <= slack or slack <= value <= exact
        assert len(window.state()) <= span // bucket + 3
        again = InForce(span_ns=span, bucket_ns=bucket, highest=highest)
        again.restore(window.state())
        assert again.state() == window.state()


def in_force(marks: list[tuple[int, float]], since: int) -> list[float]:
    """Return every value that was in force at or after an instant."""
    ends = [*(ts for ts, _ in marks[1:]), 2**62]
    return [value for (_, value), end in zip(marks, ends, strict=True) if end > since]


def test_a_day_of_seconds_takes_little_memory() -> None:
    window, rng = InForce(span_ns=DAY_NS, bucket_ns=MINUTE_NS), np.random.default_rng(1)
    for second in range(0, 2 * 86_400, 7):
        window.add(second * SECOND_NS, 1.0 - second * 1e-7 + float(rng.normal(0, 1e-9)))
    assert len(window.state()) <= 24 * 60 + 3
