"""One process whose machine's clock is set back: it says so, once in the journal."""

from pathlib import Path

import pytest

from consilium.domain import SECOND_NS
from live_system_cases import system_of, until


class Shifted:
    """The machine's clock, set by a test."""

    def __init__(self, now: int) -> None:
        self.now = now

    def now_ns(self) -> int:
        """Return what it was set to."""
        return self.now


@pytest.mark.promise("001", "a clock that is set back is told by /readyz and refused by one row")
def test_a_service_whose_clock_is_set_back_says_so_once(tmp_path: Path) -> None:
    system = system_of(tmp_path, council={"enabled": True, "tick_s": 0.02})
    clock = Shifted(system.clock.now_ns())
    system.clock = clock

    def refused() -> int:
        return len(system.journal.read(topics=["council.report_refused"]))

    with system:
        until(lambda: "engine" not in system.troubles and system.council.now == clock.now)
        clock.now -= 600 * SECOND_NS
        until(lambda: refused() == 1)
        assert "the machine's clock is 600 s behind what was heard" in system.ready()["engine"]
        looked = system._looked_at
        until(lambda: system._looked_at > looked + 0.2)  # many looks later
        assert refused() == 1
        clock.now += 601 * SECOND_NS
        until(lambda: "clock" not in system.troubles)
        assert "behind" not in system.ready()["engine"]
