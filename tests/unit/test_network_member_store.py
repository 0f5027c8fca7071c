"""What a participant keeps on its disk: its controls through a restart, no key of a round that is over."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.app.federated.secret_store import FileSecretStore
from consilium.federated.learner import Learner
from consilium.federated.local import LocalPlan
from consilium.federated.messages import Phase, Signed
from consilium.federated.secure_sum.memory import Memory
from desk_cases import DirectCarrier, nothing, world


def test_controls_of_scaffold_outlive_the_participant(tmp_path: Path) -> None:
    plan = LocalPlan(epochs=1, learning_rate=0.05)
    with world(tmp_path, count=4, task="digits", optimizer="scaffold", delta=0.1, local=plan) as made:
        made.join()
        made.start()
        made.until(lambda: made.kept.session.done >= 2, "two rounds")
        made.pause()
        before = made.members["desk2"]._learner.control
        assert float(np.linalg.norm(before)) > 1e-3
        made.leave("desk2")
        made.join("desk2")
        np.testing.assert_array_equal(made.members["desk2"]._learner.control, before)
        own = {name: member._learner.control for name, member in made.members.items()}
        shared = made.kept.optimizer_state["control"]
        np.testing.assert_allclose(shared, np.mean(list(own.values()), axis=0), atol=1e-3)


def test_an_update_that_counted_while_its_sender_was_away_moves_its_control(tmp_path: Path) -> None:
    plan = LocalPlan(epochs=1, learning_rate=0.05)
    with world(
        tmp_path, count=4, task="digits", optimizer="scaffold", delta=0.1, local=plan, rounds=1
    ) as made:
        made.join()
        released: set[str] = set()

        def lost(owner: str, message: Signed) -> bool:
            if message.header.phase is Phase.RELEASE:
                released.add(owner)
            return message.header.phase is Phase.RELEASE and owner == "desk1"

        made.lost = lost
        made.start()
        made.until(lambda: len(released) == 4, "all have released")
        made.leave("desk2")
        made.lost = nothing
        made.until(lambda: made.kept.session.ended, "the session ends")
        assert "desk2" in made.desk.of("s1").reports()[0]["survivors"]
        with FileSecretStore(tmp_path / "store-desk2") as store:
            assert store.get("controls:s1") is not None
        del made.members["desk2"]
        made.join("desk2")
        made.until(lambda: "desk2" in made.members and made.members["desk2"]._done == 1, "it knows")
        own = made.members["desk2"]._learner
        assert own.pending == {}
        assert float(np.linalg.norm(own.control)) > 1e-3


@pytest.mark.parametrize("optimizer", ["fedavg", "scaffold"])
def test_who_masked_before_it_was_killed_answers_without_training_again(
    optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world(tmp_path, optimizer=optimizer, rounds=1) as made:
        made.lost = lambda _, message: message.header.phase is Phase.ACK
        made.join()
        made.start()
        made.until(lambda: made.stage == "ack", "all have masked")
        made.leave("desk2")
        trained: list[str] = []
        monkeypatch.setattr(Learner, "update", lambda self, *_, **__: trained.append(self.participant))
        made.lost = nothing
        made.join("desk2")
        made.until(lambda: made.kept.session.ended, "the session ends")
        assert trained == []
        report = made.desk.of("s1").reports()[0]
        assert (report["failed"], report["participation"]["attempts"]) == ("", 1)
        assert "desk2" in report["survivors"]


def test_who_comes_back_after_the_end_is_told_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world(tmp_path, rounds=1) as made:
        made.join()
        made.start()
        made.until(lambda: made.kept.session.ended, "the session ends")
        for name in made.names:
            made.leave(name)
        carrier = DirectCarrier(made, "desk2")
        stands, asked = carrier.round, 0

        def at_first_running() -> dict[str, Any]:
            nonlocal asked
            asked += 1
            return stands() | ({"state": "running"} if asked == 1 else {})

        for seen in (stands, at_first_running):
            monkeypatch.setattr(carrier, "round", seen)
            with FileSecretStore(tmp_path / "store-desk2") as store:
                assert made.member("desk2", carrier, store).run() == "completed"
        assert asked == 2


@pytest.mark.promise("003", "keys of a round that is over are on no disk")
def test_keys_of_a_round_that_is_over_are_gone_from_the_disk(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.join()
        sent: set[str] = set()

        def lost(owner: str, message: Signed) -> bool:
            if message.header.phase is Phase.SHARES:
                sent.add(owner)
            return message.header.phase is Phase.SHARES

        made.lost = lost
        made.start()
        made.until(lambda: len(sent) == 5, "all have keys")
        secrets: dict[str, set[bytes]] = {}
        sealed: dict[str, list[bytes]] = {}
        for name in made.names:
            copy = tmp_path / f"copy-{name}"
            shutil.copytree(tmp_path / f"store-{name}", copy)
            with FileSecretStore(copy) as store:
                memory = Memory.restored(store.records(("s1", 1, 1)))
                secrets[name] = {memory.seal_key.private, memory.mask_key.private, memory.self_secret}
                sealed[name] = list(store._log.records)
        assert all(len(found) == 3 for found in secrets.values())
        made.lost = nothing
        made.until(lambda: made.kept.session.done >= 1, "the round is over")
        done = made.pause()
        for name in made.names:
            made.leave(name)
            raw = b"".join(path.read_bytes() for path in (tmp_path / f"store-{name}").iterdir())
            assert not any(record in raw for record in sealed[name])
            with FileSecretStore(tmp_path / f"store-{name}") as store:
                kept = b"".join(record for found in store._records.values() for record in found)
                assert not any(secret in kept for secret in secrets[name])
                assert store.ended("s1") == done
                assert store.latest("s1") is not None
