"""What the council remembers for as long as it matters, and no longer."""

from consilium.domain.time import DAY_NS
from council_voices import Voices


def test_a_rebase_stands_for_a_source_that_measures_from_a_peak_of_its_own() -> None:
    desk = Voices()
    desk.says(drawdown=0.12, interval_ns=DAY_NS)
    desk.review("rebase")
    for _ in range(65):
        desk.says(after=DAY_NS, drawdown=0.12, interval_ns=DAY_NS)
        assert desk.council.briefing.portfolio.drawdown_rebased == 0.0


def test_the_researcher_forgets_what_it_asked_for_after_a_week() -> None:
    desk = Voices()
    desk.says(drawdown=0.07, interval_ns=DAY_NS)
    for _ in range(7):
        asked = desk.council.state()["chamber"]["memories"]["researcher"].get("asked", {})
        assert asked
        desk.says(after=DAY_NS, drawdown=0.0, interval_ns=DAY_NS)
    assert "asked" not in desk.council.state()["chamber"]["memories"]["researcher"]
