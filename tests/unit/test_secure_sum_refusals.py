"""What a participant refuses, whatever the coordinator says: each with the value, the bound and the cure."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from consilium.domain.errors import InvalidValue
from consilium.federated.effects import Aborted, Tick
from consilium.federated.entropy import SystemEntropy
from consilium.federated.envelope import Signed
from consilium.federated.messages import Phase, Survivors
from consilium.federated.primitives import new_signing_key, sign
from consilium.federated.secure_sum.terms import Floors
from secure_sum_cases import VICTIM, attempt, sent_by, told

# Terms.


@pytest.mark.parametrize(
    ("floor", "words"),
    [
        ({"participants": 21}, "participants N must be >= 21, this participant's floor; got 20: leave"),
        ({"survivors": 20}, "survivors M must be >= 20, this participant's floor; got 16: leave"),
        ({"neighbours": 20}, "neighbours k must be >= 20, this participant's floor; got 19: leave"),
        ({"threshold": 11}, "threshold t must be >= 11, this participant's floor; got 10: leave"),
        ({"margin": 2}, "margin 2 t - k must be >= 2, this participant's floor; got 1: leave"),
        ({"noise_variance": 9}, "noise variance must be >= 9, this participant's floor; got 0: leave"),
        ({"clip_int": 4095}, "clip_int must be <= 4095, this participant's bound; got 4096: leave"),
        ({"dimension": 4}, "dimension must be <= 4, this participant's bound; got 5: leave"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_terms_below_the_participants_own_floors_are_refused(floor: dict[str, int], words: str) -> None:
    floors = replace(Floors.of(20, 0.0, 0.2), **floor)
    played = attempt(20, delta=0.2, floors=floors)
    played.tick()
    played.deliver()
    assert played.refused[VICTIM][0].startswith(words)
    assert not sent_by(played, VICTIM, Phase.ADVERTISE)


def test_a_lowered_threshold_under_a_kept_number_of_neighbours_is_refused() -> None:
    played = attempt(20, gamma=0.2, delta=0.2)
    assert played.params.threshold == 12
    lowered = replace(played.params, threshold=10)
    message = played.lie(Phase.ANNOUNCE, lowered.encode(), params=lowered.digest)
    assert "threshold t must be >= 12, this participant's floor; got 10" in told(played, message)


def test_more_groups_than_agreed_are_refused() -> None:
    played = attempt(40, groups=2, delta=0.3, floors=Floors.of(20, 0.0, 0.3))
    played.tick()
    played.deliver()
    assert "groups must be <= 1, this participant's bound; got 2" in played.refused[VICTIM][0]


def test_terms_under_which_no_sum_is_safe_do_not_exist() -> None:
    params = attempt(20, delta=0.2).params
    unsafe: list[tuple[dict[str, Any], str]] = [
        ({"threshold": 9}, r"threshold must lie in \[10, 19\]; got 9"),
        ({"survivors": 10}, r"survivors must lie in \[11, 20\]; got 10"),
        ({"clip_int": 2**31 // 20}, r"N \(C \+ 1 \+ R\) must be < 2\^31"),
        ({"neighbours": 20}, r"neighbours must lie in \[1, 19\]"),
    ]
    for changes, words in unsafe:
        with pytest.raises(InvalidValue, match=words):
            replace(params, **changes)


def test_another_cohort_than_the_admitted_one_is_refused() -> None:
    played = attempt()
    other = replace(played.params, cohort=bytes(32))
    message = played.lie(Phase.ANNOUNCE, other.encode(), params=other.digest)
    assert told(played, message).startswith("cohort must be ")


def test_another_model_than_the_one_trained_from_is_refused() -> None:
    played = attempt()
    played.participants[VICTIM]._model_digest = b"m" * 32
    message = played.lie(Phase.ANNOUNCE, played.params.encode())
    assert told(played, message).startswith(
        "model, optimizer's state, terms, options, owner list and plan must have the digest 6d6d6d6d"
    )


def test_terms_that_the_header_does_not_name_are_refused() -> None:
    played = attempt()
    message = played.lie(Phase.ANNOUNCE, played.params.encode(), params=b"p" * 32)
    assert told(played, message).startswith("a header must name its terms")


# Who speaks, and about which attempt.


def test_a_wrong_signature_is_refused_and_changes_nothing() -> None:
    played = attempt()
    message = played.until(Phase.ROSTER, VICTIM)
    forged = replace(message, signature=bytes(64))
    assert told(played, forged) == (
        "signature must be that of 'hub'; got another: sign with the registered key"
    )
    played.give(VICTIM, message)
    assert played.participants[VICTIM].expects is Phase.LEAVES


def test_a_signature_of_somebody_else_is_refused() -> None:
    played = attempt()
    message = played.until(Phase.ROSTER, VICTIM)
    stranger = new_signing_key(SystemEntropy())
    forged = replace(message, signature=sign(stranger.private, message.header.encode()))
    assert "signature must be that of 'hub'" in told(played, forged)


def test_a_body_that_was_changed_on_its_way_is_refused() -> None:
    played = attempt()
    message = played.until(Phase.SURVIVORS, VICTIM)
    changed = bytearray(message.body)
    changed[0] ^= 1
    assert told(played, replace(message, body=bytes(changed))).startswith(
        "body of a message must have digest"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"session": "other"}, "session of a message must be s; got other"),
        ({"round": 2}, "round of a message must be 1; got 2"),
        ({"attempt": 1}, "attempt of a message must be 0; got 1"),
        ({"sender": VICTIM}, "sender of a message must be hub; got desk-0002"),
        ({"key_epoch": 3}, "key_epoch of a message must be 0; got 3"),
        ({"params": bytes(32)}, "params of a message must have digest"),
        ({"root": b"r" * 32}, "root of a message must have digest"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_messages_of_another_attempt_are_refused(changes: dict[str, Any], words: str) -> None:
    played = attempt()
    message = played.until(Phase.SURVIVORS, VICTIM)
    assert told(played, played.lie(Phase.SURVIVORS, bytes(message.body), **changes)).startswith(words)
    assert not played.aborted
    assert told(played, message) == ""
    assert played.participants[VICTIM].expects is Phase.ACKS


def test_a_replayed_round_is_refused() -> None:
    first = attempt(turn=(3, 0)).run()
    again = attempt(turn=(3, 0), stores=first.stores)
    again.tick()
    again.deliver()
    assert again.refused[VICTIM] == [
        "round and attempt must come after 3.0, which was begun; got 3.0: "
        "start a new attempt: none is played twice"
    ]
    earlier = attempt(turn=(2, 7), stores=first.stores)
    earlier.tick()
    earlier.deliver()
    assert "must come after 3.0" in earlier.refused[VICTIM][0]
    assert attempt(turn=(4, 0), stores=first.stores).run().coordinator.result is not None


def test_a_second_sum_of_a_round_whose_shares_are_out_is_refused() -> None:
    first = attempt(turn=(3, 0)).run()
    assert first.coordinator.result is not None
    # A coordinator that calls it failed and drops one owner would read that owner's update from two sums.
    again = attempt(turn=(3, 1), stores=first.stores)
    again.tick()
    again.deliver()
    assert again.refused[VICTIM] == [
        "an update must be in one sum; shares of attempt 3.0 are out; got attempt 1: begin the next round"
    ]
    assert not sent_by(again, VICTIM, Phase.ADVERTISE)


def test_a_second_attempt_of_a_round_that_ended_before_any_share_was_out_is_taken() -> None:
    first = attempt(turn=(3, 0))
    first.tick()
    again = attempt(turn=(3, 1), stores=first.stores).run()
    assert again.coordinator.result is not None


def test_an_announcement_of_another_session_is_refused() -> None:
    played = attempt()
    other = replace(played.params, session="t")
    message = played.lie(Phase.ANNOUNCE, other.encode(), session="t", params=other.digest)
    assert told(played, message).startswith(
        "an announcement must be of session 's' by 'hub'; got 't' by 'hub'"
    )


def test_an_unknown_version_is_refused() -> None:
    played = attempt()
    data = played.lie(Phase.ANNOUNCE, played.params.encode(), version=2).encode()
    with pytest.raises(InvalidValue, match="version of a message must be 1; got 2: let both sides run"):
        Signed.decode(data)


def test_messages_out_of_turn_are_refused() -> None:
    played = attempt()
    played.until(Phase.LEAVES, VICTIM)
    everyone = Survivors(np.ones(6, dtype=np.bool_)).encode()
    assert told(played, played.lie(Phase.SURVIVORS, everyone)).startswith(
        "the message now must be LEAVES; got SURVIVORS"
    )
    assert not sent_by(played, VICTIM, Phase.ACK)


# Copies of a participant.


def test_a_restored_clone_whose_counter_is_behind_the_store_is_refused() -> None:
    played = attempt(8)
    played.until(Phase.INBOX, VICTIM)
    old = played.stores[VICTIM].records(played.params.identity)
    played.pull()
    played.deliver()
    assert len(played.stores[VICTIM].records(played.params.identity)) > len(old)
    with pytest.raises(
        InvalidValue, match=r"records of this participant must be \d, as its SecretStore counts; got 3"
    ):
        played.make(VICTIM).restore(old)


def test_of_two_running_copies_the_second_is_refused_and_the_first_goes_on() -> None:
    played = attempt(8)
    inbox = played.until(Phase.INBOX, VICTIM)
    clone = played.make(VICTIM).restore(played.stores[VICTIM].records(played.params.identity))
    played.give(VICTIM, inbox)
    (refusal,) = clone.handle(inbox)
    assert isinstance(refusal, Aborted)
    assert "a copy was restored: take part in the next attempt" in refusal.why
    result = played.run().coordinator.result
    assert result is not None
    assert VICTIM in result.survivors
    assert len(sent_by(played, VICTIM, Phase.MASKED)) == 1


def test_a_participant_that_lost_its_records_does_not_begin_the_attempt_anew() -> None:
    played = attempt(8)
    announce = played.until(Phase.ANNOUNCE, VICTIM)
    played.give(VICTIM, announce)
    played.participants[VICTIM] = played.make(VICTIM)
    assert "must come after 1.0, which was begun" in told(played, announce)


def test_records_with_one_missing_are_refused() -> None:
    played = attempt(8)
    played.until(Phase.INBOX, VICTIM)
    records = played.stores[VICTIM].records(played.params.identity)
    with pytest.raises(InvalidValue, match="the next record of this participant must be number 2; got 3"):
        played.make(VICTIM).restore([records[0], records[2]])


# Vectors.


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        (np.zeros(4, dtype=np.int64), r"a vector must have shape \(5,\); got \(4,\)"),
        (np.zeros((5, 1), dtype=np.int64), r"a vector must have shape \(5,\); got \(5, 1\)"),
        (np.full(5, np.nan), "a vector must be of signed integers; got float64"),
        (np.array([0, 0, 4098, 0, 0]), "a coordinate must be <= 4097 in size; got 4098: clip the update"),
        (np.array([0, 0, -(2**40), 0, 0]), "a coordinate must be <= 4097 in size; got 1099511627776"),
        (np.array([0, 0, -(2**63), 0, 0]), "a coordinate must be <= 4097 in size; got 9223372036854775808"),
    ],
)
def test_a_vector_that_does_not_fit_is_refused(vector: np.ndarray, words: str) -> None:
    played = attempt()
    played.participants[VICTIM]._steps.vector = None
    played.until(Phase.LEAVES, VICTIM)
    with pytest.raises(InvalidValue, match=words):
        played.participants[VICTIM].provide(vector)


def test_a_vector_may_come_after_the_letters() -> None:
    played = attempt(8)
    vector = played.vectors[VICTIM]
    played.participants[VICTIM]._steps.vector = None
    played.tick()
    played.deliver()
    assert played.participants[VICTIM].expects is Phase.INBOX
    played.carry(VICTIM, played.participants[VICTIM].provide(vector))
    result = played.run().coordinator.result
    assert result is not None
    np.testing.assert_array_equal(result.total, played.total(played.vectors))


def test_the_largest_honest_vectors_do_not_wrap_the_ring() -> None:
    for sign_ in (1, -1):
        vectors = np.full((6, 5), sign_ * ((2**31 - 1) // 6 - 1))
        played = attempt(6, vectors=vectors, clip_int=(2**31 - 1) // 6 - 2, floors=wide(6)).run()
        assert played.params.ring_bits == 32
        assert played.coordinator.result is not None
        assert played.coordinator.result.total.tolist() == [6 * sign_ * ((2**31 - 1) // 6 - 1)] * 5
    clip = (2**31 - 1) // 6
    vectors = np.full((6, 5), clip + 1)
    larger = attempt(6, vectors=vectors, clip_int=clip, floors=wide(6)).run()
    assert larger.params.ring_bits == 64
    assert larger.coordinator.result is not None
    assert larger.coordinator.result.total.tolist() == [6 * (clip + 1)] * 5


def wide(n: int) -> Floors:
    return Floors.of(n, 0.0, 0.34, clip_int=2**40)


def test_a_participant_leaves_an_attempt_that_does_not_end() -> None:
    played = attempt(8)
    played.until(Phase.SURVIVORS, VICTIM)
    machine = played.participants[VICTIM]
    assert machine.handle(Tick(0)) == []
    assert machine.handle(Tick(6 * 600 * 10**9)) == []
    effects = machine.handle(Tick(6 * 600 * 10**9 + 1))
    assert isinstance(effects[-1], Aborted)
    assert effects[-1].why.startswith("an attempt must end within 3600000000000 ns")


def test_no_secret_is_in_a_repr() -> None:
    played = attempt(6)
    played.until(Phase.SURVIVORS, VICTIM)
    machine = played.participants[VICTIM]
    kept = (machine, machine._memory, machine._steps, played.stores[VICTIM], played.identities[VICTIM])
    shown = " ".join(map(repr, kept))
    for secret in (machine._memory.held[0], machine._identity.signing.private):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
    assert VICTIM in shown
