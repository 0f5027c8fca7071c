"""A second sum of one round, and two sets of terms in one attempt: no update is told by a difference."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consilium.app.federated.secret_store import FileSecretStore
from consilium.domain.errors import InvalidValue
from consilium.federated.messages import Phase, Signed
from consilium.federated.secure_sum.coordinator import SumCoordinator
from consilium.federated.secure_sum.secrets import MemorySecretStore
from consilium.federated.secure_sum.terms import Floors
from secure_sum_cases import HUB, VICTIM, Attempt, attempt, sent_by, told

TURN, NEXT = (3, 0), (3, 1)


def masked_by_all(n: int = 10, *, told_of_survivors: Iterable[str] = (), **given: Any) -> Attempt:
    """Return an attempt in which all sent a masked vector, and only these were asked to acknowledge it."""
    played = attempt(n, turn=TURN, **given)
    asked = set(told_of_survivors)

    def bend(_: str, to: str, message: Signed) -> Iterable[Signed]:
        return [] if message.header.phase is Phase.SURVIVORS and to not in asked else [message]

    played.bend = bend
    # Nobody pulls: who is not told of the survivors waits.
    played.tick()
    for _ in range(8):
        played.deliver()
        played.tick(601)
    assert all(sent_by(played, owner, Phase.MASKED) for owner in played.participants)
    return played


@pytest.mark.promise("003", "shares of one round open one sum: a second attempt cannot be opened beside it")
def test_those_who_did_not_release_yet_are_too_few_for_a_second_sum() -> None:
    # Six release and open the sum of ten; the other four never heard of it, and are asked again.
    first = masked_by_all(told_of_survivors=[f"desk-{i:04d}" for i in range(4, 10)])
    assert first.coordinator.result is not None
    assert len(first.coordinator.result.survivors) == 10
    again = attempt(4, turn=NEXT, stores=first.stores)
    again.tick()
    again.deliver()
    assert again.refused[VICTIM] == [
        "survivors M must be >= 6 after attempt 3.0, whose sum may still come out; got 3: "
        "begin the next round"
    ]
    assert not again.travelled or not sent_by(again, VICTIM, Phase.ADVERTISE)


@pytest.mark.parametrize(("n", "taken"), [(9, True), (7, False)])
def test_so_many_as_leave_too_few_to_open_the_first_sum_may_try_again(n: int, taken: bool) -> None:
    first = masked_by_all()
    again = attempt(n, turn=NEXT, stores=first.stores).run()
    assert (again.coordinator.result is not None) is taken
    if taken:
        (last,) = sent_by(again, VICTIM, Phase.ACK)
        assert last.header.attempt == 1


def test_liars_and_newcomers_do_not_count_as_having_left_the_first_sum() -> None:
    first = masked_by_all(7)
    # 7 - 4 + 1 must have left; of 7 survivors among 10 three may be newcomers.
    assert attempt(10, turn=NEXT, stores=_stores(first, 10)).run().coordinator.result is not None
    first = masked_by_all(7)
    few = attempt(10, turn=NEXT, stores=_stores(first, 10), delta=0.4)
    few.tick()
    few.deliver()
    assert few.refused[VICTIM][0].startswith("survivors M must be >= 7 after attempt 3.0")
    first = masked_by_all()
    floors = replace(Floors.of(9, 0.0, 0.34), colluders=1)
    liars = attempt(9, turn=NEXT, stores=first.stores, floors=floors)
    liars.tick()
    liars.deliver()
    assert liars.refused[VICTIM][0].startswith("survivors M must be >= 7 after attempt 3.0")


def _stores(played: Attempt, n: int) -> dict[str, MemorySecretStore]:
    names = [f"desk-{i:04d}" for i in range(n)]
    return {name: played.stores.get(name, MemorySecretStore()) for name in names}


def test_an_attempt_is_not_gone_on_with_after_a_later_one_was_begun() -> None:
    first = masked_by_all()
    survivors = first.coordinator.outbox(VICTIM)
    assert [message.header.phase for message in survivors] == [Phase.ACKS] or survivors == []
    again = attempt(10, turn=NEXT, stores=first.stores)
    again.tick()
    again.deliver()
    lie = first.lie(Phase.SURVIVORS, first.coordinator._board.survivors())
    assert told(first, lie).startswith("only the last attempt begun, 3.1, may go on; got 3.0")
    assert not sent_by(first, VICTIM, Phase.ACK)
    records = first.stores[VICTIM].records(first.params.identity)
    with pytest.raises(InvalidValue, match=r"only the last attempt begun, 3\.1, may go on; got 3\.0"):
        first.make(VICTIM).restore(records)


def test_what_was_released_is_known_after_a_restart(tmp_path: Path) -> None:
    stores: dict[str, Any] = {f"desk-{i:04d}": MemorySecretStore() for i in range(6)}
    with FileSecretStore(tmp_path / VICTIM) as store:
        first = attempt(6, turn=TURN, stores={**stores, VICTIM: store}).run()  # type: ignore[dict-item]
        assert first.coordinator.result is not None
    with FileSecretStore(tmp_path / VICTIM) as store:
        again = attempt(6, turn=NEXT, stores={**stores, VICTIM: store})  # type: ignore[dict-item]
        again.tick()
        again.deliver()
        assert again.refused[VICTIM][0].startswith("an update must be in one sum; shares of attempt 3.0 are")


def test_a_participant_put_back_to_before_its_release_finds_nobody_for_a_second_sum() -> None:
    first = attempt(6, turn=TURN).run()
    assert first.coordinator.result is not None
    # Its whole store comes from an old copy: it cannot know of the first sum. All others do.
    again = attempt(6, turn=NEXT, stores={**first.stores, VICTIM: MemorySecretStore()}).run()
    assert again.coordinator.result is None
    assert sent_by(again, VICTIM, Phase.ADVERTISE)
    assert not sent_by(again, "desk-0001", Phase.ADVERTISE)
    assert not sent_by(again, VICTIM, Phase.MASKED)


def test_a_restored_participant_that_trained_from_something_else_leaves_the_attempt() -> None:
    played = attempt(8)
    played.until(Phase.LEAVES, VICTIM)
    machine = played.make(VICTIM)
    machine._model_digest = b"m" * 32
    with pytest.raises(InvalidValue, match=r"owner list and plan must have the digest 6d6d6d6d6d6d6d6d"):
        machine.restore(played.stores[VICTIM].records(played.params.identity))
    machine = played.make(VICTIM)
    machine._floors = replace(machine._floors, survivors=8)
    with pytest.raises(InvalidValue, match=r"survivors M must be >= 8, this participant's floor; got 6"):
        machine.restore(played.stores[VICTIM].records(played.params.identity))


def test_two_sets_of_terms_in_one_attempt_end_without_anybody_masking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = attempt(6)
    other = replace(played.params, model_digest=b"m" * 32)

    def bend(sender: str, to: str, message: Signed) -> Iterable[Signed]:
        """Sign all for the victim anew, as if its terms were those of all."""
        if (sender, to) != (HUB, VICTIM):
            return [message]
        phase = message.header.phase
        body = other.encode() if phase is Phase.ANNOUNCE else bytes(message.body)
        return [played.lie(phase, body, root=message.header.root, params=other.digest)]

    def believe(machine: SumCoordinator, message: Signed) -> int:
        return machine._cohort.index_of(message.header.sender)

    monkeypatch.setattr(SumCoordinator, "_authenticate", believe)
    played.bend = bend
    played.run()
    assert sent_by(played, VICTIM, Phase.ADVERTISE)
    for owner in played.participants:
        assert "must be signed by it; got swapped keys" in played.aborted[owner], owner
    assert not [m for _, _, m in played.travelled if m.header.phase in (Phase.SHARES, Phase.MASKED)]


def test_of_a_thousand_so_many_must_leave_the_first_sum_that_no_rest_can_open_it() -> None:
    from consilium.federated.secure_sum.checks import check_second
    from consilium.federated.secure_sum.terms import SumParams

    def params(n: int, attempt: int) -> SumParams:
        return SumParams.plan(
            session="s", round=1, attempt=attempt, cohort=bytes(32), participants=n, dimension=2,
            clip_int=4096, gamma=0.1, delta=0.05, colluders=100,
        )  # fmt: skip

    floors = Floors.of(1000, 0.1, 0.05)
    # Each of 1,000 shares with 62 at t = 46: fewer than 504 may be left, 100 of them liars.
    check_second(params(950, 1), params(1000, 0), 0, floors)
    check_second(params(630, 1), params(1000, 0), 0, floors)
    with pytest.raises(InvalidValue, match=r"survivors M must be >= 597 after attempt 1\.0"):
        check_second(params(600, 1), params(1000, 0), 0, floors)
