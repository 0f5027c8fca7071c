"""Owners who lie about secrets and shares are named, and the session goes on without them."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consilium.app.carriers.memory import MemoryCarrier
from consilium.app.federated.session_shown import planned
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.messages import Phase, Release, Signed, body_digest
from consilium.federated.primitives import sign
from consilium.federated.rounds import StartAttempt
from federated_world import digits_world
from lying_desk import Ear, LyingDesk

LIAR = "desk01"
OTHERS = ("desk02", "desk03", "desk04", "desk05")
SHARED = "an owner must share the secret that it committed to; got 4 of 4 shares give another"


def bent(monkeypatch: pytest.MonkeyPatch, phase: Phase, body_of: Callable[[bytes], bytes]) -> None:
    """Let one owner sign another body in one phase."""
    send = Ear.send

    def lying(self: Ear, message: bytes) -> None:
        one = Signed.decode(message)
        if self._owner == LIAR and one.header.phase is phase:
            body = body_of(bytes(one.body))
            header = replace(one.header, body=body_digest(body))
            signature = sign(self._liar.keys[LIAR].private, header.encode())
            message = Signed(header, body, signature).encode()
        send(self, message)

    monkeypatch.setattr(Ear, "send", lying)


def excluded(report: dict[str, Any]) -> dict[str, str]:
    return {one["participant"]: one["reason"] for one in report["excluded"]}


def test_one_that_commits_to_another_secret_ends_one_round_and_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bent(monkeypatch, Phase.SHARES, lambda body: os.urandom(32) + body[32:])
    world = LyingDesk(tmp_path, terms={"rounds": 3, "failed_rounds": 3, "attempts": 2})
    first, *later = world.play(rounds=3)
    assert f"right shares must come back of '{LIAR}'" in first["failed"]
    assert excluded(first)[LIAR].startswith(SHARED)
    assert tuple(first["next_round_eligibility"]) == OTHERS
    for report in later:
        assert (report["failed"], tuple(report["survivors"])) == ("", OTHERS)
        assert excluded(report)[LIAR].startswith(f"in round 1: {SHARED}")
    assert world.desk.summary()["state"] == "completed"
    assert [one.header.round for one in world.sent[LIAR] if one.header.phase is Phase.ADVERTISE] == [1]


def test_one_that_releases_wrong_shares_counts_once_and_is_asked_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(body: bytes) -> bytes:
        shares = Release.decode(body, 5).shares
        return Release([(i, bytes(31) + b"\x07") for i, _ in shares]).encode()

    bent(monkeypatch, Phase.RELEASE, wrong)
    world = LyingDesk(tmp_path, terms={"rounds": 2})
    first, second = world.play(rounds=2)
    assert (first["failed"], tuple(first["survivors"])) == ("", (LIAR, *OTHERS))
    reason = "of at most 2 owners may the shares that one releases be wrong; got 3 or more of 4"
    assert excluded(first)[LIAR].startswith(reason)
    assert (second["failed"], tuple(second["survivors"])) == ("", OTHERS)
    world.desk.close()
    assert excluded(second) == {LIAR: f"in round 1: {excluded(first)[LIAR]}"}


def test_a_coordinator_may_call_no_more_at_fault_than_may_collude(tmp_path: Path) -> None:
    def leave_out(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def bend(on: dict[str, Any]) -> dict[str, Any]:
            rows = [row | {"asked": row["owner"] not in names} for row in on["members"]]
            return on | {"members": rows, "barred": list(names)}

        return bend

    world = LyingDesk(tmp_path).lie("desk05", "round", leave_out("desk01", "desk02"))
    world.play()
    world.desk.close()
    assert "at most 1 may be left out as found at fault; got 2: ask why" in world.heard("desk05")


def test_who_was_found_at_fault_is_so_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bent(monkeypatch, Phase.SHARES, lambda body: os.urandom(32) + body[32:])
    world = LyingDesk(tmp_path, terms={"rounds": 3, "failed_rounds": 3})
    world.play()
    world.desk.close()
    kept = SessionCoordinator.restore(world.desk.kept.state(), world.owners)
    assert list(kept.barred) == [LIAR]
    if kept.round is None:
        # The desk may have begun the next one already.
        kept.open_round(world.now)
    on = planned(kept, StartAttempt(attempt=1, members=OTHERS, size=20))
    assert on is not None
    assert on["barred"] == [LIAR]
    assert len(on["members"]) == 5


def test_in_one_process_too_the_session_goes_on_without_who_commits_to_another_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = digits_world(5, rounds=2, failed_rounds=2)
    liar = world.seats["d01-1"].identity
    send = MemoryCarrier._send

    def lying(self: MemoryCarrier, who: str, to: str, message: Signed) -> None:
        if who == liar.owner and message.header.phase is Phase.SHARES:
            body = os.urandom(32) + bytes(message.body)[32:]
            header = replace(message.header, body=body_digest(body))
            message = Signed(header, body, sign(liar.signing.private, header.encode()))
        send(self, who, to, message)

    monkeypatch.setattr(MemoryCarrier, "_send", lying)
    first, second = (played.report for played in world.rounds())
    assert "right shares must come back of" in first.failed
    assert [one.participant for one in first.excluded if one.reason.startswith(SHARED)] == ["d01-1"]
    assert first.next_round_eligibility == second.survivors == tuple(sorted(set(first.weights) - {"d01-1"}))
    assert second.failed == ""
