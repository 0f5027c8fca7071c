"""Machines that lose their memory at every point between two effects, and what is kept in which place."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pytest

from consilium.federated.effects import Persist, Send
from consilium.federated.messages import Phase, Signed
from consilium.federated.secure_sum.coordinator import SumCoordinator
from consilium.federated.secure_sum.memory import Memory
from secure_sum_cases import HUB, VICTIM, Attempt, attempt

GONE = "desk-0004"


def fresh() -> Attempt:
    """Return an attempt with real entropy: a key drawn twice would be another one."""
    played = attempt(5, 3, delta=0.2, real=True)
    played.drop_at({GONE: Phase.MASKED})
    return played


def count(who: str) -> int:
    played = fresh().run()
    assert played.coordinator.result is not None
    return played.effects[who]


def check(played: Attempt, *, also: Iterable[str] = ()) -> None:
    result = played.coordinator.result
    assert result is not None, played.coordinator.aborted
    np.testing.assert_array_equal(result.total, played.total(result.survivors))
    assert set(played.vectors) - set(result.survivors) == {GONE, *also}
    said: dict[tuple[str, str, Phase], set[bytes]] = defaultdict(set)
    for sender, to, message in played.travelled:
        if message.header.phase is not Phase.RECEIPT:
            said[sender, to, message.header.phase].add(message.encode())
    assert all(len(texts) == 1 for texts in said.values())


def test_a_participant_that_crashes_at_any_point_says_the_same_bytes_again() -> None:
    for point in range(1, count(VICTIM) + 1):
        played = fresh()
        played.crash = (VICTIM, point)
        check(played.run())


def test_a_coordinator_that_crashes_at_any_point_gives_the_same_sum() -> None:
    points = count(HUB)
    assert points > 30
    for point in range(1, points + 1):
        played = fresh()
        played.crash = (HUB, point)
        check(played.run())
        assert played.effects[HUB] > point or point == points


def test_a_coordinator_restored_at_the_end_still_has_the_sum() -> None:
    played = fresh().run()
    before = played.coordinator.result
    played.restart(HUB)
    after = played.coordinator.result
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before.total, after.total)
    assert (before.survivors, before.dropped) == (after.survivors, after.dropped)


def test_every_transition_persists_before_it_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Walk all effects of a run with dropouts: what is sent for the first time was written down before."""
    played = fresh()
    kept: dict[str, list[bytes]] = defaultdict(list)
    walked = 0

    def watch(who: str, effects: list[object]) -> None:
        nonlocal walked
        for effect in effects:
            if isinstance(effect, Persist):
                kept[who].append(effect.record)
                assert effect.secret == (who != HUB)
            elif isinstance(effect, Send) and who != HUB:
                walked += 1
                assert effect.message.encode() in kept[who][-1]
            elif isinstance(effect, Send):
                walked += 1
                # The coordinator is made again from what it wrote, and has the very same message.
                again = SumCoordinator(played.params, played.hub, played.cohort).restore(kept[HUB])
                phase = effect.message.header.phase
                if effect.to in played.participants and phase is not Phase.RECEIPT:
                    assert effect.message in again.outbox(effect.to)
                elif phase is Phase.RECEIPT:
                    assert played.cohort.index_of(effect.to) in again._board.running.added

    genuine = played.carry

    def carry(who: str, effects: list) -> None:  # type: ignore[type-arg]
        watch(who, effects)
        genuine(who, effects)

    monkeypatch.setattr(played, "carry", carry)
    check(played.run())
    assert walked > 40


def test_receipts_come_only_for_vectors_that_are_in_a_snapshot() -> None:
    played = attempt(7, 3, snapshot_every=3)
    played.tick()
    played.deliver()
    told = [m for _, _, m in played.travelled if m.header.phase is Phase.RECEIPT]
    receipts = {tuple(np.frombuffer(m.body, dtype="<u4").tolist()) for m in told}
    assert sorted(map(len, receipts)) == [1, 3, 3]
    assert {i for receipt in receipts for i in receipt} == set(range(7))
    assert len([slot for slot, _ in played.journal if slot == "sum"]) == 1


def test_vectors_that_are_in_no_snapshot_are_sent_again_after_a_crash_and_count_once() -> None:
    played = attempt(7, 3, snapshot_every=5)
    stopped: list[Signed] = []

    def bend(sender: str, to: str, message: Signed) -> Iterable[Signed]:
        if message.header.phase is Phase.MASKED and sender == "desk-0006":
            stopped.append(message)
            return []
        return [message]

    played.bend = bend
    played.tick()
    played.deliver()
    assert len(played.coordinator._board.running.added) == 6
    assert len(played.coordinator._board.running.unsaved) == 1
    played.restart(HUB)
    assert len(played.coordinator._board.running.added) == 5
    played.bend = None
    result = played.run().coordinator.result
    assert result is not None
    assert len(result.survivors) == 7
    np.testing.assert_array_equal(result.total, played.total(result.survivors))


def secrets_of(played: Attempt, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Play an attempt; return every secret of it, caught before machines forget them."""
    found: dict[str, bytes] = {}
    forget = Memory.forget

    def catch(memory: Memory, phase: Phase) -> None:
        name = f"{id(memory)} {phase.name}"
        found.update({f"{name} seal": memory.seal_key.private, f"{name} mask": memory.mask_key.private})
        found.update({f"{name} self": memory.self_secret})
        for what, keys in (("owner", memory.owner_keys), ("holder", memory.holder_keys)):
            found.update({f"{name} {what} {j}": key for j, key in keys.items()})
        for j, shares in memory.held.items():
            found.update({f"{name} b {j}": shares[:32], f"{name} s {j}": shares[32:]})
        forget(memory, phase)

    monkeypatch.setattr(Memory, "forget", catch)
    played.run()
    found.update({f"signing {o}": i.signing.private for o, i in played.identities.items()})
    found.update({"signing hub": played.hub.signing.private})
    ring = played.params.ring
    found.update({f"vector {o}": ring.encode(v).tobytes() for o, v in played.vectors.items()})
    return {name: secret for name, secret in found.items() if secret}


def test_no_secret_is_in_what_the_coordinator_keeps_or_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    played = attempt(8, 40, delta=0.3, real=True)
    played.drop_at({"desk-0001": Phase.MASKED, "desk-0003": Phase.ACK})
    secrets = secrets_of(played, monkeypatch)
    assert played.coordinator.result is not None
    assert len(secrets) > 300
    journal = b"\n".join(record for _, record in played.journal)
    wire = b"\n".join(m.encode() for _, _, m in played.travelled if m.header.phase is not Phase.RELEASE)
    for name, secret in secrets.items():
        for text in (secret, secret[::-1], secret.hex().encode()):
            assert text not in journal, name
            assert text not in wire, name
    # The scan finds what is there: shares do travel when they are released, and the stores have the keys.
    released = b"".join(m.encode() for _, _, m in played.travelled if m.header.phase is Phase.RELEASE)
    assert any(secret in released for secret in secrets.values())
    stored = b"".join(r for s in played.stores.values() for r in s.records(played.params.identity))
    assert any(secret in stored for secret in secrets.values())


def test_of_each_participant_only_one_of_both_secrets_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    played = attempt(8, 4, delta=0.3, real=True)
    played.drop_at({"desk-0001": Phase.MASKED})
    secrets = secrets_of(played, monkeypatch)
    released = b"".join(m.encode() for _, _, m in played.travelled if m.header.phase is Phase.RELEASE)
    given: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for name, secret in secrets.items():
        *_, kind, owner = name.split(" ")
        if kind in ("b", "s") and secret in released:
            given[kind, owner].add(secret)
    # Seven others hold shares of each; of the one who is gone the mask key comes, of survivors b.
    assert len(given["s", "1"]) == 7
    assert not given["b", "1"]
    for owner in "0234567":
        assert len(given["b", owner]) == 6
        assert not given["s", owner]
