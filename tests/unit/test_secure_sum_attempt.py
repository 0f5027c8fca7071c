"""Whole attempts: who survives is summed exactly, in one group or several."""

import numpy as np
import pytest

from consilium.federated.messages import Phase
from consilium.federated.secure_sum.coordinator import Stage
from secure_sum_cases import HUB, attempt


@pytest.mark.parametrize("n", [4, 6, 20])
def test_the_sum_of_all_is_exact(n: int) -> None:
    played = attempt(n, real=True).run()
    result = played.coordinator.result
    assert result is not None
    assert played.coordinator.stage is Stage.OVER
    assert result.survivors == tuple(sorted(played.vectors))
    np.testing.assert_array_equal(result.total, played.total(result.survivors))
    assert not played.refused
    assert not played.aborted


def test_those_who_drop_out_before_the_vector_are_not_in_the_sum_and_later_ones_are() -> None:
    played = attempt(20, delta=0.2)
    played.drop_at(
        {
            "desk-0001": Phase.ADVERTISE,
            "desk-0003": Phase.MASKED,
            "desk-0007": Phase.ACK,
            "desk-0009": Phase.RELEASE,
        }
    )
    result = played.run().coordinator.result
    assert result is not None
    assert set(played.vectors) - set(result.survivors) == {"desk-0001", "desk-0003"}
    assert result.dropped == ("desk-0003",)
    np.testing.assert_array_equal(result.total, played.total(result.survivors))


def test_groups_have_a_sum_each() -> None:
    played = attempt(40, groups=2, delta=0.3).run()
    result = played.coordinator.result
    assert result is not None
    assert len(result.groups) == 2
    for group in result.groups:
        np.testing.assert_array_equal(group.total, played.total(group.survivors))
    assert sum(len(group.survivors) for group in result.groups) == 40


def test_too_few_survivors_end_the_attempt_with_nothing_released() -> None:
    played = attempt(6, delta=0.17)
    played.drop_at({"desk-0000": Phase.MASKED, "desk-0001": Phase.MASKED})
    played.run()
    assert played.coordinator.result is None
    assert played.aborted[HUB] == "survivors must be >= 5; got 4: start a new attempt"
    assert all(message.header.phase < Phase.SURVIVORS for _, _, message in played.travelled)
