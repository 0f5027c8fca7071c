"""The last stage of a secret round over a network: shares may be out, so the round must come to its end."""

from pathlib import Path

import numpy as np
import pytest

from consilium.federated.messages import Phase, Signed
from desk_cases import World, kill, nothing, world
from round_cases import expected


def hold_releases(made: World, *names: str) -> list[str]:
    """Lose the released shares of these; return who released."""
    seen: list[str] = []

    def lost(owner: str, message: Signed) -> bool:
        if message.header.phase is Phase.RELEASE:
            seen.append(owner)
            return owner in names
        return False

    made.lost = lost
    return seen


@pytest.mark.promise("003", "a coordinator that dies in the last stage of a round finishes it all the same")
def test_a_coordinator_that_is_killed_in_the_last_stage_finishes_the_round_once(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.join()
        seen = hold_releases(made, "desk3")
        made.start()
        made.until(lambda: made.stage == "release" and len(set(seen)) == 5, "all have released but one")
        kill(made)
        made.lost = nothing
        made.until(lambda: made.kept.session.done >= 1, "the round is over")
        made.desk.move("s1", "paused", reason="enough")
        made.until(lambda: made.desk.of("s1").summary()["round"] is None, "the last round is over")
        reports = made.desk.of("s1").reports()
        assert [len(report["survivors"]) for report in reports] == [5] * len(reports)
        assert [report["failed"] for report in reports] == [""] * len(reports)
        assert reports[0]["participation"]["attempts"] == 1
        played = expected(made.names, 40, len(reports))
        np.testing.assert_allclose(made.kept.parameters, played, atol=len(reports) * 1.5 / 65_536)


def test_a_pause_in_the_last_stage_lets_the_round_end_and_never_opens_it_again(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.join()
        seen = hold_releases(made, "desk3")
        made.start()
        made.until(lambda: made.stage == "release" and len(set(seen)) == 5, "all have released but one")
        paused = made.desk.move("s1", "paused", reason="lunch")
        assert (paused["state"], paused["round"]["stage"], paused["done"]) == ("paused", "release", 0)
        made.lost = nothing
        made.until(lambda: made.kept.session.done == 1, "the round is over")
        assert made.desk.of("s1").summary()["round"] is None
        assert made.kept.session.state == "paused"
        (report,) = made.desk.of("s1").reports()
        assert (report["failed"], len(report["survivors"])) == ("", 5)
        made.desk.move("s1", "running", reason="back")
        made.until(lambda: made.kept.session.done >= 2, "the next round is over")


def test_a_round_whose_shares_are_out_fails_and_its_updates_are_not_summed_again(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.join()
        seen = hold_releases(made, *made.names)
        made.start()
        made.until(lambda: len(set(seen)) == 5, "all have released")
        made.clock.ahead_ns = 3_600 * 10**9
        made.until(lambda: made.kept.session.done >= 1, "the round is over")
        made.desk.move("s1", "cancelled", reason="enough")
        report = made.desk.of("s1").reports()[0]
        assert "shares may be out, so the updates are not used again" in report["failed"]
        assert report["participation"]["attempts"] == 1
        assert report["version"] == report["base_version"]


def test_the_last_round_of_a_session_that_is_paused_completes_it(tmp_path: Path) -> None:
    with world(tmp_path, rounds=1) as made:
        made.join()
        hold_releases(made, "desk1")
        made.start()
        made.until(lambda: made.stage == "release", "the last stage")
        made.desk.move("s1", "paused", reason="lunch")
        made.lost = nothing
        made.until(lambda: made.kept.session.ended, "the session ends")
        assert made.kept.session.state == "completed"
