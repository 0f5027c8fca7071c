"""A figure that is unknown for a while neither begins nor ends what it measures."""

from consilium.domain import Decision
from consilium.domain.time import HOUR_NS, MINUTE_NS, SECOND_NS
from council_voices import Voices


def test_a_blip_is_no_onset_of_a_standing_exposure() -> None:
    desk = Voices()
    desk.says(exposure=0.86, positions=1)
    leverage = desk.council.policy.max_leverage
    assert leverage == 5.0
    for _ in range(3):
        desk.waits(70 * SECOND_NS)
        desk.says(exposure=0.86, positions=1)
    assert desk.council.policy.max_leverage == leverage
    desk.says(after=MINUTE_NS, exposure=0.2, positions=1)
    desk.says(after=MINUTE_NS, exposure=0.86, positions=1)
    assert desk.council.policy.max_leverage == 2.5, "it was known to end, and set on again"


def test_a_blip_freezes_no_second_time_after_a_rebase() -> None:
    desk = Voices()
    desk.says(interval_ns=HOUR_NS)
    for nav in (10_000.0, 8_800.0):
        desk.says(after=MINUTE_NS, equity=nav, interval_ns=HOUR_NS)
    for _ in range(26):
        desk.says(after=HOUR_NS, equity=8_800.0, interval_ns=HOUR_NS)
    desk.review("rebase")
    desk.review()
    for _ in range(3):
        desk.says(after=HOUR_NS, equity=8_800.0, interval_ns=HOUR_NS)
    assert desk.mode != "FROZEN"
    desk.waits(3 * HOUR_NS)
    told = desk.says(equity=8_800.0, interval_ns=HOUR_NS)
    assert not [one for one in told if isinstance(one, Decision) and one.kind == "FREEZE"]
    assert desk.mode != "FROZEN"
