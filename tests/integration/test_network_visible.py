"""Rounds over a network whose updates the coordinator sees, and rounds that wait for nobody."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.app.federated.seen_desk import SeenDesk
from consilium.domain import InvalidValue
from consilium.federated.session import Buffering, Mode
from desk_cases import World, kill, world
from round_cases import expected, final, network


def contradictions(made: World) -> int:
    desk = made.desk.of("s1")
    assert isinstance(desk, SeenDesk)
    return len(desk.seen.evidence())


@pytest.mark.promise("003", "visible rounds over a network survive a kill of the coordinator, and count once")
def test_a_coordinator_that_is_killed_comes_to_the_same_model_in_visible_rounds(tmp_path: Path) -> None:
    with world(tmp_path, 4, mode=Mode.VISIBLE) as made:
        made.join()
        made.start()
        for _ in range(3):
            before = made.kept.session.done
            made.until(lambda before=before: made.kept.session.done > before, "a round")  # type: ignore[misc]
            kill(made)
        made.until(lambda: made.kept.session.done >= 7, "rounds after the last kill")
        made.desk.move("s1", "paused", reason="enough")
        reports = made.desk.of("s1").reports()
        assert [report["number"] for report in reports] == list(range(1, len(reports) + 1))
        assert [len(report["survivors"]) for report in reports] == [4] * len(reports)
        assert all(report["clip_enforced"] and not report["failed"] for report in reports)
        played = expected(made.names, 40, len(reports))
        np.testing.assert_allclose(made.kept.parameters, played, rtol=1e-12, atol=1e-12)


def test_a_participant_that_comes_back_sends_what_it_had_signed(tmp_path: Path) -> None:
    with world(tmp_path, 3, mode=Mode.VISIBLE, cut_off_seconds=600) as made:
        made.join("desk1", "desk2")
        made.start()
        time.sleep(0.3)
        made.join("desk3")
        made.until(lambda: made.kept.session.done >= 2, "two rounds of all three")
        # A round that is dropped is begun anew, and the same bytes serve it.
        made.desk.move("s1", "paused", reason="lunch")
        done = made.kept.session.done
        made.desk.move("s1", "running", reason="back")
        made.until(lambda: made.kept.session.done >= done + 2, "two rounds more")
        assert contradictions(made) == 0
        assert all(not report["failed"] for report in made.desk.of("s1").reports())


def test_buffered_rounds_go_on_with_who_is_ready_also_after_a_kill(tmp_path: Path) -> None:
    with world(tmp_path, 4, mode=Mode.VISIBLE, buffering=Buffering(size=3)) as made:
        made.join("desk1", "desk2", "desk3")
        made.start()
        made.until(lambda: made.kept.session.done >= 3, "three cohorts")
        kill(made)
        made.join("desk4")
        made.until(lambda: made.kept.session.done >= 9, "cohorts after the kill")
        made.desk.move("s1", "paused", reason="enough")
        reports = made.desk.of("s1").reports()
        assert all(not report["failed"] and len(report["survivors"]) == 3 for report in reports)
        assert all(a["version"] == b["base_version"] for a, b in pairwise(reports))
        assert any("desk4" in report["survivors"] for report in reports)
        assert contradictions(made) == 0


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"mode": Mode.GROUPED}, "must be in mode sum or visible; got mode grouped: run grouped"),
        ({"buffering": Buffering(size=3)}, "must be in mode visible; got mode sum: its members train from"),
    ],
)
def test_what_several_machines_cannot_carry_is_refused(
    terms: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidValue, match=said), world(tmp_path, 3, **terms):
        pass


@pytest.mark.long
def test_five_processes_finish_visible_rounds_over_https_whoever_is_killed(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    with network(tmp_path) as net:
        net.create(rounds=40, cut_off_seconds=600, mode="visible", dimension=3_000)
        for name in net.names:
            net.start_participant(name)
        net.until(lambda: net.joined() == 5, "all have joined")
        with net.client() as client:
            client.start_session("s1", "go")
        for name in ("coordinator", "desk2", "coordinator", "desk4"):
            time.sleep(float(rng.uniform(0.2, 1.0)))
            net.kill(name)
            if name == "coordinator":
                net.start_coordinator()
            else:
                net.start_participant(name)
        net.until_state("completed")
        with net.client() as client:
            reports = client.session_reports("s1").reports
        assert [len(report["survivors"]) for report in reports] == [5] * 40
        np.testing.assert_allclose(final(net), expected(net.names, 3_000, 40), rtol=1e-9, atol=1e-9)


@pytest.mark.long
def test_buffered_rounds_over_https_wait_for_nobody(tmp_path: Path) -> None:
    with network(tmp_path) as net:
        net.create(rounds=30, mode="visible", buffering={"size": 3}, cut_off_seconds=600)
        for name in net.names:
            net.start_participant(name)
        net.until(lambda: net.joined() == 5, "all have joined")
        with net.client() as client:
            client.start_session("s1", "go")
        net.kill("desk5")
        net.kill("coordinator")
        net.start_coordinator()
        net.start_participant("desk5")
        net.until_state("completed")
        with net.client() as client:
            reports = client.session_reports("s1").reports
        assert [len(report["survivors"]) for report in reports] == [3] * 30
        assert not any(report["failed"] for report in reports)
