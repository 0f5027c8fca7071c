"""Sessions that really train, through real secure sums, in one process."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from consilium.domain import InvalidValue
from consilium.federated.envelope import Phase, Signed
from consilium.federated.local import LocalPlan
from consilium.federated.session import Buffering, Mode, SessionState
from federated_world import digits_world


def _losing(owner: str, phase: Phase) -> Any:
    def lose(sender: str, message: Signed) -> bool:
        return sender == owner and message.header.phase >= phase

    return lose


@pytest.mark.promise("003", "Distributed model aggregation using weighted averaging")
@pytest.mark.parametrize("optimizer", ["fedavg", "fedprox", "fedadam", "scaffold"])
def test_a_session_learns_digits_through_exact_secret_sums(optimizer: str) -> None:
    world = digits_world(
        6, optimizer=optimizer, rounds=4, clip=4.0, local=LocalPlan(epochs=3, learning_rate=0.01)
    )
    before = world.kept.parameters.copy()
    played = list(world.rounds())
    assert [one.max_abs_error for one in played] == [0] * 4
    figures = [one.report.performance for one in played]
    assert figures[-1] is not None
    assert figures[-1]["accuracy"] > (0.3 if optimizer == "fedadam" else 0.7)
    assert not np.array_equal(world.kept.parameters, before)
    assert world.kept.session.state is SessionState.COMPLETED
    assert played[-1].report.version == world.kept.version != played[-1].report.base_version


def test_a_secret_round_moves_the_model_as_a_visible_one_does_but_for_the_rounding() -> None:
    ends = []
    for mode in (Mode.SUM, Mode.VISIBLE):
        world = digits_world(5, mode=mode, rounds=2, clip=2.0, stakes={"d01": 30}, owner_cap=1.0)
        list(world.rounds())
        ends.append(world.kept.parameters)
    difference = np.abs(ends[0] - ends[1]).max()
    assert 0.0 < difference < 2 * 2 * 2.0 / 65_536


def test_the_first_round_of_scaffold_is_that_of_fedavg() -> None:
    """Its controls are still zero, and a clip that cuts nothing leaves the parameters alone."""
    ends = []
    for optimizer in ("scaffold", "fedavg"):
        world = digits_world(4, mode=Mode.VISIBLE, optimizer=optimizer, clip=1e6, rounds=2)
        world.round()
        first = world.kept.parameters.tobytes()
        world.round()
        ends.append((first, world.kept.parameters.tobytes()))
    assert ends[0][0] == ends[1][0]
    assert ends[0][1] != ends[1][1]


@pytest.mark.parametrize("phase", [Phase.ADVERTISE, Phase.SHARES, Phase.MASKED, Phase.ACK, Phase.RELEASE])
def test_a_round_goes_on_without_who_falls_silent(phase: Phase) -> None:
    world = digits_world(6, lose=_losing("d02", phase), rounds=1)
    played = world.round()
    assert played.max_abs_error == 0
    assert played.report.failed == ""
    # Who sent its vector is in the sum, whatever becomes of it afterwards.
    counted = phase > Phase.MASKED
    assert ("d02-1" in played.report.survivors) is counted
    assert [one.participant for one in played.report.excluded] == ([] if counted else ["d02-1"])
    if not counted:
        assert "nothing came in stage" in played.report.excluded[0].reason


def test_with_too_many_silent_nothing_is_revealed_and_the_model_stays() -> None:
    world = digits_world(5, absent=lambda name, _: name in ("d00-1", "d01-1", "d02-1"), rounds=2)
    before = world.kept.parameters.copy()
    played = world.round()
    assert played.max_abs_error is None
    assert "a round needs >= 3 participants; got 2" in played.report.failed
    assert played.report.version == played.report.base_version
    assert np.array_equal(world.kept.parameters, before)


@pytest.mark.parametrize("mode", [Mode.SUM, Mode.VISIBLE])
def test_a_participant_whose_training_diverges_withdraws_and_the_round_goes_on(mode: Mode) -> None:
    world = digits_world(6, mode=mode, rounds=1)
    learner = world.seats["d04-1"].learner
    learner.terms = replace(learner.terms, local=LocalPlan(epochs=1, learning_rate=1e308))
    with np.errstate(all="ignore"):
        played = world.round()
    assert played.report.failed == ""
    assert len(played.report.survivors) == 5
    (left,) = played.report.excluded
    assert left.participant == "d04-1"
    assert left.reason.startswith(
        "the training of d04-1 must stay finite; got NaN or inf in its parameters: lower"
    )


def test_a_session_fails_when_rounds_in_a_row_give_nothing() -> None:
    world = digits_world(5, absent=lambda *_: True, rounds=9, failed_rounds=2)
    assert len(list(world.rounds())) == 2
    assert world.kept.session.state is SessionState.FAILED
    assert world.kept.session.reason == "2 rounds in a row gave nothing"


def test_a_straggler_of_one_round_is_in_the_next() -> None:
    world = digits_world(6, absent=lambda name, number: (name, number) == ("d03-1", 1), rounds=2)
    first, second = world.rounds()
    assert "d03-1" not in first.report.survivors
    assert "d03-1" in first.report.next_round_eligibility
    assert "d03-1" in second.report.survivors


def test_a_sample_is_asked_and_the_others_rest() -> None:
    world = digits_world(8, sample_fraction=0.5, rounds=3)
    chosen = [set(one.report.weights) for one in world.rounds()]
    assert all(len(ids) == 4 for ids in chosen)
    assert len(set.union(*chosen)) > 4


def test_a_buffered_session_learns_from_cohorts_of_old_and_new_models() -> None:
    world = digits_world(6, buffering=Buffering(size=4), rounds=4, clip=2.0)
    played = list(world.rounds())
    assert [one.report.participation.chosen for one in played] == [4] * 4
    assert [one.max_abs_error for one in played] == [0] * 4
    buffer = world.kept.buffer
    assert buffer is not None
    assert len(buffer.state()["versions"]) == 5


def test_a_buffered_session_that_is_seen_merges_what_came_from_older_models() -> None:
    world = digits_world(5, mode=Mode.VISIBLE, buffering=Buffering(size=3), rounds=3)
    played = list(world.rounds())
    assert all(not one.report.failed and len(one.report.survivors) == 3 for one in played)


def test_groups_are_refused_with_figures_where_no_size_meets_the_bounds() -> None:
    world = digits_world(20, mode=Mode.GROUPED, gamma=0.1, delta=0.1)
    with pytest.raises(InvalidValue, match=r"groups must have >= 20 members to hide each.*20 participants"):
        world.round()


@pytest.mark.promise("003", "grouped: groups that are drawn unevenly give their sums")
def test_a_grouped_round_sums_each_group_apart_and_none_falls_for_its_size() -> None:
    world = digits_world(100, mode=Mode.GROUPED, rounds=1, delta=0.05)
    plan = world.kept.open_round(0)
    assert plan is not None
    assert plan.plan.groups == 2
    world.kept.round = None
    played = world.round()
    assert played.max_abs_error == 0
    assert played.report.failed == ""
    assert len(played.report.survivors) == 100
    assert played.report.excluded == ()


def test_controls_follow_only_updates_that_counted() -> None:
    world = digits_world(4, optimizer="scaffold", lose=_losing("d01", Phase.MASKED), rounds=1)
    world.round()
    assert not world.seats["d01-1"].learner.control.any()
    counted = [world.seats[f"d0{number}-1"].learner.control for number in (0, 2, 3)]
    server = world.kept.optimizer_state["control"]
    # c = 3/4 of the survivors' mean: the mean of all four, of which one is zero. The sum was rounded.
    np.testing.assert_allclose(server, np.sum(counted, axis=0) / 4, atol=1e-4)


def test_the_clip_follows_the_middle_of_the_norms() -> None:
    wide = digits_world(5, adapt_clip=True, clip=100.0, rounds=3)
    clips = [one.report.clip for one in wide.rounds()]
    assert clips[0] > clips[1] > clips[2]
    narrow = digits_world(5, adapt_clip=True, clip=1e-3, rounds=3)
    played = list(narrow.rounds())
    assert played[0].report.clip < played[1].report.clip
    assert played[0].report.share_below == 0.0
    assert not played[0].report.clip_enforced


@pytest.mark.promise(
    "003", "a round's result: performance, participation, privacy metrics and next-round eligibility"
)
def test_a_report_tells_all_that_the_seed_asks_and_claims_are_marked() -> None:
    world = digits_world(4, rounds=1)
    plain = world.round().report.as_dict()
    assert {
        "performance",
        "participation",
        "privacy",
        "next_round_eligibility",
        "excluded",
        "threats",
    } <= set(plain)
    assert plain["privacy"] is None
    assert "no epsilon" in plain["privacy_note"]
    assert plain["claimed"]["d00-1"]["examples"] > 0
    assert any("Mode sum, 4 participants" in line for line in plain["threats"])
    assert not plain["clip_enforced"]
    assert (plain["terms"], plain["owners"]) == (world.kept.terms.digest(), world.kept.owners.digest())


def test_nothing_secret_is_in_the_state_or_the_repr_of_a_session() -> None:
    world = digits_world(4, rounds=1)
    world.round()
    told = repr(world.kept.state()) + repr(world.kept.session) + repr(world.hub)
    for seat in world.seats.values():
        assert seat.identity.signing.private.hex() not in told
        assert repr(seat.identity.signing.private)[2:-1] not in told
    assert repr(world.hub.signing.private)[2:-1] not in told
