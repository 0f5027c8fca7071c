"""Coordinator and participants killed at random instants: the same model, and no secret outside its store."""

import os
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from consilium.app.federated.secret_store import FileSecretStore
from consilium.federated.secure_sum.memory import Memory
from round_cases import Network, expected, final, network

KILLS = 100 if os.environ.get("CONSILIUM_TEST_PROFILE") == "soak" else 8
ROUNDS, DIMENSION = 400, 3_000


@pytest.mark.long
@pytest.mark.promise("003", "a round survives the death of any process; nothing is counted twice")
def test_whoever_is_killed_the_model_is_that_of_the_rounds_that_were_played(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    with network(tmp_path) as net:
        net.create(rounds=ROUNDS * 1_000, cut_off_seconds=600, dimension=DIMENSION)
        for name in net.names:
            net.start_participant(name)
        net.until(lambda: net.joined() == 5, "all have joined")
        with net.client() as client:
            client.start_session("s1", "go")
        for kill in range(KILLS):
            before = done(net)
            net.until(lambda before=before: done(net) > before, "a round after the last kill")
            time.sleep(float(rng.uniform(0.0, 1.0)))
            # every third kill falls on the coordinator, the others on a participant drawn
            name = "coordinator" if kill % 3 == 0 else str(rng.choice(net.names))
            net.kill(name)
            if name == "coordinator":
                net.start_coordinator()
            else:
                net.start_participant(name)
        before = done(net)
        net.until(lambda: done(net) > before, "a round after the last kill")
        with net.client() as client:
            client.pause_session("s1", "enough")
            reports = client.session_reports("s1").reports
            client.cancel_session("s1", "enough")
        net.until_state("cancelled")
        played = len(reports)
        assert [report["number"] for report in reports] == list(range(1, played + 1))
        assert all(len(report["survivors"]) == 5 and not report["failed"] for report in reports)
        assert all(a["version"] == b["base_version"] for a, b in pairwise(reports))
        np.testing.assert_allclose(
            final(net), expected(net.names, DIMENSION, played), atol=played * 1.5 / 65_536
        )
        for name in net.names:
            net.processes[name].wait(60.0)
        no_secret_outside(net)


def done(net: Network) -> int:
    with net.client() as client:
        return client.session_about("s1").done


def no_secret_outside(net: Network) -> None:
    """Look for every private key and seed of the run in all that the coordinator and the logs hold."""
    secrets: set[bytes] = {net.keys[name].private for name in net.names}
    for name in net.names:
        with FileSecretStore(net.folder / f"store-{name}") as store:
            for attempt in list(store._records):
                if not attempt[0].startswith("evidence:"):
                    memory = Memory.restored(store.records(attempt)[:1])
                    secrets |= {memory.seal_key.private, memory.mask_key.private, memory.self_secret}
    assert len(secrets) > 5 * 3
    written = [path for path in (net.folder / "data").rglob("*") if path.is_file()]
    written += list(net.folder.glob("*.log"))
    for path in written:
        content = path.read_bytes()
        for secret in secrets:
            assert secret not in content, path
            assert secret.hex().encode() not in content, path
