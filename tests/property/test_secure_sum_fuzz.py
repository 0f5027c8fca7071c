"""Random, truncated and bent bytes: the decoders answer with errors of their own and little memory."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from consilium.domain.errors import InvalidValue
from consilium.federated.effects import Aborted, Persist, Refused
from consilium.federated.encoding import read_vector
from consilium.federated.messages import (
    Ack,
    Acks,
    Advertise,
    Ask,
    Group,
    Inbox,
    Leaves,
    Phase,
    Release,
    Reveal,
    Roster,
    Shares,
    Signed,
    Survivors,
)
from consilium.federated.secure_sum.terms import SumParams
from secure_sum_cases import HUB, VICTIM, Attempt, attempt

N = 8
BODIES: dict[Phase, Callable[[bytes], object]] = {
    Phase.ANNOUNCE: SumParams.decode,
    Phase.ADVERTISE: Advertise.decode,
    Phase.ROSTER: lambda b: Roster.decode(b, N),
    Phase.REVEAL: Reveal.decode,
    Phase.GROUP: lambda b: Group.decode(b, N),
    Phase.ASK: lambda b: Ask.decode(b, N),
    Phase.LEAVES: lambda b: Leaves.decode(b, N),
    Phase.SHARES: lambda b: Shares.decode(b, N - 1),
    Phase.INBOX: lambda b: Inbox.decode(b, N),
    Phase.MASKED: lambda b: read_vector(b, 32, 5),
    Phase.SURVIVORS: lambda b: Survivors.decode(b, N),
    Phase.ACK: lambda b: Ack.decode(b, N),
    Phase.ACKS: lambda b: Acks.decode(b, N),
    Phase.RELEASE: lambda b: Release.decode(b, N),
}


@pytest.fixture(scope="module")
def played() -> Attempt:
    return attempt(N).run()


def bent(data: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes truncated, prolonged, changed, or of chance altogether."""
    kind = rng.integers(5)
    if kind == 0:
        return data[: rng.integers(len(data) + 1)]
    if kind == 1:
        return data + rng.bytes(int(rng.integers(1, 9)))
    if kind == 2:
        return rng.bytes(int(rng.integers(400)))
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if changed:
            changed[rng.integers(len(changed))] = rng.integers(256)
    # Lengths are what a decoder is led astray by: make some huge.
    if kind == 3 and len(changed) > 8:
        at = int(rng.integers(len(changed) - 4))
        changed[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(changed)


def test_what_is_read_is_written_as_the_same_bytes(played: Attempt) -> None:
    seen = set()
    for _, _, message in played.travelled:
        assert Signed.decode(message.encode()).encode() == message.encode()
        assert message.size == len(message.encode())
        phase = message.header.phase
        assert message.size <= played.params.most_bytes(phase)
        seen.add(phase)
        value = BODIES[phase](bytes(message.body)) if phase in BODIES else None
        if value is not None and phase is not Phase.MASKED:
            assert value.encode() == message.body  # type: ignore[attr-defined]
    assert seen >= set(Phase) - {Phase.REVEAL, Phase.GROUP}


@pytest.mark.long
def test_ten_thousand_bent_messages_raise_our_own_errors_only_and_little_memory(played: Attempt) -> None:
    rng = np.random.default_rng(8)
    messages = [m for _, _, m in played.travelled]
    picked = [messages[i] for i in rng.integers(len(messages), size=5_000)]
    refused = 0
    tracemalloc.start()
    try:
        for message in picked:
            for data, read in (
                (message.encode(), Signed.decode),
                (bytes(message.body), BODIES.get(message.header.phase, Reveal.decode)),
            ):
                try:
                    read(bent(data, rng))
                except InvalidValue:
                    refused += 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused > 5_000
    assert peak < 4_000_000


def test_a_body_that_is_bent_and_signed_is_refused_by_the_participant(played: Attempt) -> None:
    rng = np.random.default_rng(9)
    for phase in (Phase.ANNOUNCE, Phase.ROSTER, Phase.LEAVES, Phase.INBOX, Phase.SURVIVORS, Phase.ACKS):
        for _ in range(5):
            fresh = attempt(N)
            message = fresh.until(phase, VICTIM)
            body = bent(bytes(message.body), rng)
            if body == message.body:
                continue
            effects = fresh.participants[VICTIM].handle(fresh.lie(phase, body, root=message.header.root))
            # Single letters or proofs may fail, and a bent list may still be a list: the rest is refused.
            if phase in (Phase.ANNOUNCE, Phase.ROSTER):
                assert all(isinstance(e, Persist | Refused | Aborted) for e in effects), (phase, effects)


def test_bent_bytes_never_break_the_coordinator() -> None:
    rng = np.random.default_rng(10)
    fresh = attempt(N)
    rounds = 0

    def bend(sender: str, to: str, message: Signed) -> list[Signed]:
        nonlocal rounds
        if to != HUB:
            return [message]
        found = []
        for _ in range(6):
            body = bent(bytes(message.body), rng)
            if body != message.body and message.header.phase not in (
                Phase.ADVERTISE,
                Phase.MASKED,
                Phase.RELEASE,
            ):
                found.append(fresh.lie(message.header.phase, body, by=sender))
                rounds += 1
        return [message, *found]

    fresh.bend = bend
    result = fresh.run().coordinator.result
    assert rounds > 100
    assert result is not None
    np.testing.assert_array_equal(result.total, fresh.total(result.survivors))


def test_a_message_longer_than_agreed_is_not_read(played: Attempt) -> None:
    data = played.travelled[0][2].encode()
    with pytest.raises(
        InvalidValue, match=f"a message must have at most {len(data) - 1} bytes; got {len(data)}"
    ):
        Signed.decode(data, most=len(data) - 1)
