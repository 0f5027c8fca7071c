"""What a coordinator refuses, keeps as evidence, and goes on without."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from consilium.domain.errors import InvalidValue
from consilium.federated.effects import Aborted, Persist, Refused, Tick
from consilium.federated.entropy import SystemEntropy
from consilium.federated.messages import Ack, Advertise, Ask, Phase, Release, Shares, Signed
from consilium.federated.primitives import agree, new_exchange_key, new_signing_key, sign, verify
from consilium.federated.secure_sum.board import LOW_ORDER
from consilium.federated.secure_sum.coordinator import Stage, SumCoordinator
from consilium.federated.shamir import SIZE
from secure_sum_cases import HUB, SECOND, VICTIM, Attempt, attempt, sent_by


def refusal(played: Attempt, message: Signed) -> str:
    (effect,) = [e for e in played.coordinator.handle(message) if isinstance(e, Refused)]
    return effect.why


def finish_exact(played: Attempt, *, without: Iterable[str] = ()) -> None:
    result = played.run().coordinator.result
    assert result is not None, played.coordinator.aborted
    assert set(played.vectors) - set(result.survivors) == set(without)
    np.testing.assert_array_equal(result.total, played.total(result.survivors))


def test_a_wrong_signature_is_refused_and_the_attempt_goes_on() -> None:
    played = attempt(8)
    message = played.until(Phase.MASKED, HUB)
    stranger = new_signing_key(SystemEntropy())
    forged = replace(message, signature=sign(stranger.private, message.header.encode()))
    assert refusal(played, forged).startswith(f"signature must be that of '{message.header.sender}'")
    played.give(HUB, message)
    finish_exact(played)


def test_somebody_who_is_not_of_the_cohort_is_refused() -> None:
    played = attempt(8)
    played.until(Phase.MASKED, HUB)
    lie = played.lie(Phase.MASKED, b"", sender="stranger")
    assert refusal(played, lie).startswith("a participant must be of the cohort; got 'stranger'")


@pytest.mark.parametrize("change", [{"round": 7}, {"attempt": 7}, {"session": "t"}, {"key_epoch": 7}])
def test_messages_of_other_attempts_are_refused(change: dict[str, object]) -> None:
    played = attempt(8)
    message = played.until(Phase.MASKED, HUB)
    lie = played.lie(Phase.MASKED, bytes(message.body), by=message.header.sender, **change)
    assert f"{next(iter(change))} of a message must be " in refusal(played, lie)


def test_an_early_and_a_late_message_are_refused() -> None:
    played = attempt(8)
    message = played.until(Phase.MASKED, HUB)
    lie = played.lie(Phase.ACK, b"", by=VICTIM)
    assert refusal(played, lie) == "the message now must be MASKED; got ACK: late and early ones are not used"
    played.tick(601)
    played.deliver()
    assert refusal(played, message).startswith("the message now must be ")
    result = played.coordinator.result
    assert result is not None
    assert message.header.sender in result.dropped


def test_a_message_that_comes_twice_counts_once() -> None:
    played = attempt(8)
    message = played.until(Phase.MASKED, HUB)
    played.give(HUB, message)
    before = played.coordinator._board.running.sums[0].copy()
    assert not [e for e in played.coordinator.handle(message) if isinstance(e, Persist)]
    np.testing.assert_array_equal(played.coordinator._board.running.sums[0], before)
    finish_exact(played)


def test_a_second_message_with_another_digest_is_kept_as_evidence_and_does_not_count() -> None:
    played = attempt(8)
    message = played.until(Phase.MASKED, HUB)
    played.give(HUB, message)
    body = bytearray(message.body)
    body[-1] ^= 1
    second = played.lie(Phase.MASKED, bytes(body), by=message.header.sender)
    effects = played.coordinator.handle(second)
    played.carry(HUB, effects)
    ((before, after),) = played.coordinator.evidence
    key = played.identities[message.header.sender].signing.public
    assert before != after
    for signed in (before, after):
        assert verify(key, signed[-64:], signed[:-64])
    assert "MASKED must be sent once; it began with" in played.refused[HUB][0]
    played.restart(HUB)
    assert played.coordinator.evidence == ((before, after),)
    finish_exact(played)


@pytest.mark.parametrize(
    ("phase", "body", "words"),
    [
        (Phase.ADVERTISE, b"short", "an advertisement must have at least 32 bytes more; got 5"),
        (Phase.ADVERTISE, bytes(97), "an advertisement must have no bytes after its end; got 1"),
        (Phase.ADVERTISE, bytes(96), "public keys must not be of low order"),
        (Phase.ASK, bytes(32) + b"\x01\0\0\0", "a revealed number must be the one committed to"),
        (
            Phase.ASK,
            bytes(32) + b"\x01\0\0\0\x01\0\0\0",
            "a list of neighbours must have indices that ascend",
        ),
        (Phase.ASK, bytes(32) + b"\xff\0\0\0", "a list of neighbours must have indices that ascend below 8"),
        (Phase.ASK, bytes(31), "a list of neighbours must have at least 32 bytes more"),
        (Phase.SHARES, bytes(32), "sealed shares must have at least 560 bytes more; got 0"),
        (
            Phase.MASKED,
            b"\x20\x06\0\0\0" + bytes(24),
            "a vector must have 5 numbers of 32 bits; got 6 of 32 bits",
        ),
        (
            Phase.MASKED,
            b"\x40\x05\0\0\0" + bytes(40),
            "a vector must have 5 numbers of 32 bits; got 5 of 64 bits",
        ),
        (Phase.MASKED, b"\x20\x05\0\0\0" + bytes(19), "a vector must have at least 20 bytes more; got 19"),
        (Phase.MASKED, b"\x20\xff\xff\xff\xff", "a vector must have 5 numbers of 32 bits; got 4294967295"),
        (Phase.ACK, bytes(36), "an acknowledgement must be of the published list; got another"),
        (
            Phase.RELEASE,
            b"\x01\0\0\0\x02\0\0\0" + bytes(32),
            "released shares must be of those who sent them",
        ),
    ],
)
def test_a_body_that_does_not_fit_is_refused_and_the_attempt_goes_on(
    phase: Phase, body: bytes, words: str
) -> None:
    played = attempt(8)
    genuine: list[Signed] = []

    def bend(sender: str, to: str, message: Signed) -> Iterable[Signed]:
        if sender == VICTIM and message.header.phase is phase and not genuine:
            genuine.append(message)
            return [played.lie(phase, body, by=VICTIM), message]
        return [message]

    played.bend = bend
    finish_exact(played)
    assert played.refused[HUB][0].startswith(words)


def test_neighbours_are_to_be_as_many_as_agreed_and_others() -> None:
    played = attempt(20, delta=0.2, degree=(6, 4))
    message = played.until(Phase.ASK, HUB)
    sender = message.header.sender
    ask = Ask.decode(message.body, 20)
    own = played.cohort.index_of(sender)
    for drawn in (ask.neighbours[:5], tuple(sorted({own, *ask.neighbours[1:]}))):
        lie = played.lie(Phase.ASK, Ask(ask.number, drawn).encode(), by=sender)
        assert refusal(played, lie).startswith("neighbours must be 6 others of the group")


def test_keys_of_low_order_agree_on_nothing_secret() -> None:
    private = new_exchange_key(SystemEntropy()).private
    for public in LOW_ORDER:
        with pytest.raises(InvalidValue, match="low order"):
            agree(private, public)
    assert len(LOW_ORDER) == 14


def lying(played: Attempt, liar: str) -> Attempt:
    """Let one release shares that are wrong."""

    def bend(sender: str, to: str, message: Signed) -> Iterable[Signed]:
        if sender == liar and message.header.phase is Phase.RELEASE:
            shares = Release.decode(message.body, played.params.participants).shares
            wrong = [(i, bytes(SIZE - 1) + b"\x07") for i, _ in shares]
            return [played.lie(Phase.RELEASE, Release(wrong).encode(), by=liar)]
        return [message]

    played.bend = bend
    return played


def test_a_wrong_share_is_noticed_worked_around_and_its_sender_named() -> None:
    played = lying(attempt(8), VICTIM)
    finish_exact(played)
    result = played.coordinator.result
    assert result is not None
    assert result.liars == (VICTIM,)


def test_wrong_shares_that_cannot_be_worked_around_give_no_sum_instead_of_a_wrong_one() -> None:
    played = attempt(8, delta=0.4)
    gone = {f"desk-{i:04d}": Phase.RELEASE for i in (5, 6, 7)}
    played.drop_at(gone)
    drop, lie = played.bend, lying(played, VICTIM).bend
    assert drop is not None
    assert lie is not None
    played.bend = lambda s, t, m: lie(s, t, m) if s == VICTIM else drop(s, t, m)
    played.run()
    assert played.coordinator.result is None
    assert "right shares must come back of" in played.aborted[HUB]


def test_letters_that_do_not_open_cost_their_sender_only() -> None:
    played = attempt(8)

    def bend(sender: str, to: str, message: Signed) -> Iterable[Signed]:
        if sender == VICTIM and message.header.phase is Phase.SHARES:
            shares = Shares.decode(message.body, 7)
            broken = Shares(shares.commitment, bytes(80) + shares.sealed[80:])
            return [played.lie(Phase.SHARES, broken.encode(), by=VICTIM)]
        return [message]

    played.bend = bend
    finish_exact(played)


def test_stages_end_at_their_deadline() -> None:
    played = attempt(6, deadline=10 * SECOND)
    assert played.coordinator.handle(Tick(5)) != []
    assert played.coordinator.stage is Stage.ADVERTISE
    assert played.coordinator.handle(Tick(5 + 10 * SECOND - 1)) == []
    effects = played.coordinator.handle(Tick(5 + 10 * SECOND))
    played.carry(HUB, effects)
    assert played.aborted[HUB] == "present must be >= 4; got 0: start a new attempt"
    assert played.coordinator.handle(Tick(10**15)) == []


def test_who_is_missing_is_told() -> None:
    played = attempt(8)
    played.drop_at({VICTIM: Phase.MASKED})
    played.tick()
    played.deliver()
    assert played.coordinator.waits_for() == (VICTIM,)


def test_an_end_survives_a_restart() -> None:
    played = attempt(6)
    played.tick()
    played.tick(601)
    why = played.coordinator.aborted
    assert why
    played.restart(HUB)
    assert played.coordinator.aborted == why
    assert played.coordinator.stage is Stage.OVER


def test_a_coordinator_of_another_cohort_is_not_made() -> None:
    one, other = attempt(6), attempt(6, seed=1)
    with pytest.raises(InvalidValue, match="cohort must be "):
        SumCoordinator(one.params, one.hub, other.cohort)


def test_records_of_another_kind_are_refused() -> None:
    played = attempt(6)
    with pytest.raises(InvalidValue, match="a message must have"):
        played.coordinator.restore([b"M" + bytes(10)])


def test_an_acknowledgement_keeps_its_proofs_apart_by_receiver() -> None:
    played = attempt(8)
    played.run()
    acks = {o: Ack.decode(sent_by(played, o, Phase.ACK)[0].body, 8) for o in played.participants}
    assert len({ack.listed for ack in acks.values()}) == 1
    tags = [tag for ack in acks.values() for _, tag in ack.tags]
    assert len(set(tags)) == len(tags) == 56


def test_advertised_keys_are_fresh_in_every_attempt() -> None:
    first = attempt(6, real=True).run()
    second = attempt(6, real=True, turn=(2, 0), stores=first.stores).run()
    keys = [
        Advertise.decode(sent_by(played, o, Phase.ADVERTISE)[0].body)
        for played in (first, second)
        for o in played.participants
    ]
    assert len({k for pair in keys for k in (pair.seal_key, pair.mask_key, pair.commitment)}) == 36


def test_whether_shares_were_released_is_known_after_a_restart() -> None:
    """No retry may use the same update then without a new charge."""
    played = attempt(8, delta=0.3)
    played.drop_at({f"desk-{i:04d}": Phase.RELEASE for i in range(5)})
    played.run()
    played.restart(HUB)
    (end,) = played.coordinator.resume()
    assert end == Aborted(played.aborted[HUB], released=True)
    early = attempt(6)
    early.tick()
    early.tick(601)
    early.restart(HUB)
    (end,) = early.coordinator.resume()
    assert end == Aborted(early.aborted[HUB], released=False)
