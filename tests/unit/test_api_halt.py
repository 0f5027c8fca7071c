"""What a halt answers: frozen where it is, and that only its note waits where it is not yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_world import ADMIN, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def test_a_halt_says_whether_it_is_in_force(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def noted(reason: str, by: str, *, key_id: str = "") -> str:
        return "kill-1"  # as while the journal is replayed: only the note was left

    with monkeypatch.context() as patch:
        patch.setattr(world.system, "kill", noted)
        body = world.http.post("/api/federation/freeze", headers=ADMIN, json={"reason": "smoke"}).json()
        assert (body["success"], body["mode"]) == (True, "EMERGENCY")
        assert body["detail"].startswith("not in force yet: its note is on the disk")
    body = world.http.post("/api/federation/freeze", headers=ADMIN, json={"reason": "smoke"}).json()
    assert body["detail"] == "FROZEN"
