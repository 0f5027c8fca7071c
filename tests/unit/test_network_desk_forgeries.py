"""What nobody signed changes nothing at the desk, and holds nothing against whom it names."""

from dataclasses import replace
from operator import methodcaller
from pathlib import Path

import pytest

from consilium.federated.messages import Phase, Signed, body_digest
from consilium.federated.primitives import sign
from consilium.federated.secure_sum.coordinator import MOST_EVIDENCE
from desk_cases import World, world
from secure_sum_cases import HUB, VICTIM, attempt


def catch(made: World, phase: Phase) -> dict[str, Signed]:
    """Keep the messages of a phase back; they are there when each has sent its own."""
    found: dict[str, Signed] = {}

    def lost(owner: str, message: Signed) -> bool:
        if message.header.phase is phase:
            found[owner] = message
            return True
        return False

    made.lost = lost
    return found


@pytest.mark.promise("003", "nobody is left out for what another sent in its name")
def test_messages_that_an_owner_did_not_sign_change_nothing_and_exclude_nobody(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.join()
        found = catch(made, Phase.SHARES)
        made.start()
        made.until(lambda: len(found) == 5, "all have shared")
        desk = made.desk.of("s1")
        log = next((made.folder / "desk" / "s1").glob("attempt-*/records.log"))
        before, marks = log.read_bytes(), [desk.bell.mark(name) for name in made.names]
        true = found["desk2"]
        own = sign(made.keys["desk1"].private, true.header.encode())
        forged = {
            "another's signature": replace(true, signature=own),
            "no signature": replace(true, signature=bytes(64)),
            "another body": replace(true, body=bytes(len(true.body))),
            "another attempt": replace(true, header=replace(true.header, attempt=7)),
            "another roster": replace(true, header=replace(true.header, root=bytes(32))),
            "another phase": replace(true, header=replace(true.header, phase=Phase.RELEASE)),
            "a body too long": replace(true, body=bytes(4_000_000)),
        }
        for what, message in forged.items():
            assert made.refused(methodcaller("take", message)), what
        assert log.read_bytes() == before
        assert [desk.bell.mark(name) for name in made.names] == marks
        assert desk._reasons.of_participants() == {}
        for message in found.values():
            desk.take(message)
        made.until(lambda: made.kept.session.done >= 1, "the round is over")
        assert len(made.desk.of("s1").reports()[0]["survivors"]) == 5


def test_what_an_owner_signed_itself_and_does_not_fit_is_held_against_it(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.join()
        found = catch(made, Phase.SHARES)
        made.start()
        made.until(lambda: len(found) == 5, "all have shared")
        desk, true = made.desk.of("s1"), found["desk2"]
        header = replace(true.header, body=body_digest(b"no shares"))
        signed = Signed(header, b"no shares", sign(made.keys["desk2"].private, header.encode()))
        assert "shares" in made.refused(methodcaller("take", signed)).lower()
        assert list(desk._reasons.of_participants()) == ["desk2"]


def test_one_sender_cannot_fill_the_disk_with_evidence_against_itself() -> None:
    played = attempt(5)
    played.tick()
    first = next(iter(played.participants[VICTIM].handle(played.coordinator.outbox(VICTIM)[0])[1:]))
    played.give(HUB, first.message)  # type: ignore[union-attr]
    assert played.coordinator.handle(first.message) == []  # type: ignore[union-attr]
    for number in range(50):
        body = number.to_bytes(1, "little") * 96
        played.give(HUB, played.lie(Phase.ADVERTISE, body, by=VICTIM))
    pairs = [record for _, record in played.journal if record[:1] == b"E"]
    assert len(played.coordinator.evidence) == len(pairs) == MOST_EVIDENCE
    assert len(played.refused[HUB]) == 50
    played.restart(HUB)
    played.give(HUB, played.lie(Phase.ADVERTISE, bytes(96), by=VICTIM))
    assert len(played.coordinator.evidence) == MOST_EVIDENCE
