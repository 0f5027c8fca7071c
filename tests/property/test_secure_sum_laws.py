"""Laws of a whole attempt: whoever drops out when, the sum is exact or there is none."""

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.federated.messages import Phase
from secure_sum_cases import HUB, Attempt, attempt

STEPS = (Phase.ADVERTISE, Phase.ASK, Phase.SHARES, Phase.MASKED, Phase.ACK, Phase.RELEASE)
leaving = st.one_of(st.none(), st.none(), st.sampled_from(STEPS))


def expected(played: Attempt, leaves: dict[int, Phase | None]) -> tuple[bool, set[int]]:
    """Return by the rules of the design, for a complete graph, whether there is a sum, and of whom."""
    n, t, m = played.params.participants, played.params.threshold, played.params.survivors

    def still(phase: Phase) -> set[int]:
        return {i for i in range(n) if leaves[i] is None or leaves[i] > phase}  # type: ignore[operator]

    present, shared, alive = still(Phase.ADVERTISE), still(Phase.SHARES), still(Phase.MASKED)
    enough = (
        min(len(present), len(shared), len(alive)) >= m and len(present) - 1 >= t and len(shared) - 1 >= t
    )
    held = all(len(still(p) - {i}) >= t for i in shared for p in (Phase.MASKED, Phase.ACK, Phase.RELEASE))
    return enough and held, alive


def check(played: Attempt) -> None:
    result = played.coordinator.result
    if result is None:
        assert played.coordinator.aborted
        return
    np.testing.assert_array_equal(result.total, played.total(result.survivors))
    assert len(result.survivors) >= played.params.survivors


@settings(max_examples=50)
@given(st.lists(leaving, min_size=4, max_size=9), st.integers(0, 10**6), st.booleans())
def test_any_dropouts_give_the_exact_sum_or_none_as_the_thresholds_say(
    pattern: list[Phase | None], seed: int, shuffled: bool
) -> None:
    n = len(pattern)
    played = attempt(n, 3, delta=0.26, seed=seed)
    played.order = random.Random(seed) if shuffled else None  # noqa: S311  # an order of messages
    leaves = dict(enumerate(pattern))
    played.drop_at({f"desk-{i:04d}": phase for i, phase in leaves.items() if phase is not None})
    played.run()
    whole, alive = expected(played, leaves)
    result = played.coordinator.result
    assert (result is not None) == whole
    check(played)
    if result is not None:
        assert result.survivors == tuple(f"desk-{i:04d}" for i in sorted(alive))
    elif len(alive) < played.params.survivors:
        assert not [m for _, _, m in played.travelled if m.header.phase is Phase.RELEASE]


@settings(max_examples=10)
@given(st.lists(leaving, min_size=16, max_size=24), st.integers(0, 10**6))
def test_any_dropouts_among_few_neighbours_give_the_exact_sum_or_none(
    pattern: list[Phase | None], seed: int
) -> None:
    played = attempt(len(pattern), 3, delta=0.3, seed=seed, degree=(8, 5))
    played.order = random.Random(seed)  # noqa: S311  # an order of messages
    owners = {f"desk-{i:04d}": phase for i, phase in enumerate(pattern) if phase is not None}
    played.drop_at(owners)
    played.run()
    check(played)
    if not owners:
        assert played.coordinator.result is not None


@settings(max_examples=6)
@given(st.lists(leaving, min_size=24, max_size=32), st.integers(0, 10**6))
def test_groups_fall_alone(pattern: list[Phase | None], seed: int) -> None:
    played = attempt(len(pattern), 3, groups=2, delta=0.4, seed=seed)
    played.drop_at({f"desk-{i:04d}": phase for i, phase in enumerate(pattern) if phase is not None})
    result = played.run().coordinator.result
    if result is None:
        assert played.aborted[HUB]
        return
    for group in result.groups:
        assert len(group.survivors) >= played.params.survivors
        np.testing.assert_array_equal(group.total, played.total(group.survivors))
    assert {g.group for g in result.groups}.isdisjoint(result.fallen)
