"""One person may tighten: whatever is asked last, without a second one, never makes more allowed later."""

from typing import Any

import numpy as np
import pytest

import council_meet as force
from consilium.council.rules import CouncilRules
from consilium.domain import CouncilCommanded
from consilium.domain.time import MINUTE_NS
from council_voices import Voices

MINUTES = (None, 1, 5, 30, 60)
SYMBOLS = ("ADA", "BTC", "ETH")


def asked(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Return what one person may ask for, of the kinds that bound."""
    action = str(rng.choice(["mode", "risk", "profile", "universe"]))
    payload: dict[str, Any] = {"duration_minutes": MINUTES[rng.integers(len(MINUTES))]}
    if action == "mode":
        payload["mode"] = str(rng.choice(["SHADOW", "PAUSED", "REDUCING", "EMERGENCY", "LIVE"]))
    elif action == "profile":
        payload["profile"] = str(rng.choice(["MICRO", "LOW", "NORMAL"]))
    elif action == "universe":
        payload["symbols"] = [str(one) for one in rng.permutation(SYMBOLS)[: rng.integers(1, 4)]]
    else:
        payload["max_leverage"] = float(rng.choice([1.0, 2.0, 5.0, 10.0]))
        payload["max_exposure_pct"] = float(rng.choice([0.2, 0.9]))
    return action, payload


def told(desk: Voices, number: int, action: str, payload: dict[str, Any]) -> None:
    """Give a command that is refused as often as it may be."""
    desk.council.handle(
        CouncilCommanded(
            command_id=f"one-{number}", action=action, payload=payload, reason="a test asks", person="ann",
            ts_event=desk.now,
        )
    )  # fmt: skip


@pytest.mark.promise("001", "what one person asks for alone loosens nothing, now or later")
@pytest.mark.parametrize("seed", range(60))
def test_no_command_of_one_person_ever_allows_more_than_the_others_would_without_it(seed: int) -> None:
    rng = np.random.default_rng([71, seed])
    with_it, without = (
        Voices(rules=CouncilRules(start_profile="NORMAL", universe=SYMBOLS), roles={}) for _ in range(2)
    )
    commands = [(at, *asked(rng)) for at in sorted(int(at) for at in rng.integers(0, 40, 6))]
    left_out = len(commands) - 1
    for minute in range(150):
        for desk in (with_it, without):
            desk.says(MINUTE_NS)
            for number, (at, action, payload) in enumerate(commands):
                if at == minute and (desk is with_it or number != left_out):
                    told(desk, number, action, payload)
        mine, other = with_it.council.policy, without.council.policy
        assert force.no_looser(mine, other) == [], (minute, commands, left_out)
        assert force.TIGHTNESS.index(mine.mode) >= force.TIGHTNESS.index(other.mode), (commands, left_out)
        assert mine.entry <= other.entry
        assert mine.strategy_exit <= other.strategy_exit
