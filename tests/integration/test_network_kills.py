"""Coordinator and participants killed at random instants: the same model, and no secret outside its store."""

import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from consilium.app.federated.secret_store import FileSecretStore
from consilium.federated.secure_sum.memory import Memory
from round_cases import Network, expected, final, network

SOAK = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"
KILLS, RELEASES = (100, 12) if SOAK else (8, 1)
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
        secrets: set[bytes] = {net.keys[name].private for name in net.names}
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
                secrets |= secrets_of(net, name)
                net.start_participant(name)
        before = done(net)
        net.until(lambda: done(net) > before, "a round after the last kill")
        with net.client() as client:
            client.pause_session("s1", "enough")
            # a round in its last stage comes to its end first
            net.until(lambda: client.session_about("s1").round is None, "no round is on")
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
        assert len(secrets) > 5
        no_secret_outside(net, secrets)
        for name in net.names:
            with FileSecretStore(net.folder / f"store-{name}") as store:
                assert store.ended("s1") == played
                assert not any(key[0] == "s1" and key[1] <= played for key in store._records)


@pytest.mark.long
def test_a_coordinator_that_is_killed_while_shares_are_out_finishes_that_round(tmp_path: Path) -> None:
    with network(tmp_path) as net:
        net.create(rounds=1_000_000, cut_off_seconds=600, dimension=DIMENSION)
        for name in net.names:
            net.start_participant(name)
        net.until(lambda: net.joined() == 5, "all have joined")
        with net.client() as client:
            client.start_session("s1", "go")
        for _ in range(RELEASES):
            number = held_in_release(net)
            net.kill("coordinator")
            net.start_coordinator()
            assert stage(net) == (number, "release")
            os.kill(net.processes["desk5"].pid, signal.SIGCONT)
            net.until(lambda number=number: done(net) > number, "that round and the next are over")
        with net.client() as client:
            client.pause_session("s1", "enough")
            net.until(lambda: client.session_about("s1").round is None, "no round is on")
            reports = client.session_reports("s1").reports
        assert [report["number"] for report in reports] == list(range(1, len(reports) + 1))
        assert all(len(report["survivors"]) == 5 and not report["failed"] for report in reports)
        assert all(report["participation"]["attempts"] == 1 for report in reports)
        played = len(reports)
        np.testing.assert_allclose(
            final(net), expected(net.names, DIMENSION, played), atol=played * 1.5 / 65_536
        )


def held_in_release(net: Network) -> int:
    """Stop one participant so that a round stays in its last stage; return its number."""
    pid = net.processes["desk5"].pid
    end = time.monotonic() + 120.0
    while time.monotonic() < end:
        net.until(lambda: stage(net)[1] in ("masked", "ack"), "a stage before the last one")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)
        number, name = stage(net)
        if name == "release":
            return number
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("no round stayed in its last stage")


def stage(net: Network) -> tuple[int, str]:
    """Return the number of the round that is on, and its stage."""
    with net.client() as client:
        on = client.session_about("s1").round
    return (0, "") if on is None else (on.number, on.stage)


def done(net: Network) -> int:
    with net.client() as client:
        return client.session_about("s1").done


def secrets_of(net: Network, name: str) -> set[bytes]:
    """Return the keys that a killed participant had on its disk: those of the round that is on."""
    found: set[bytes] = set()
    with FileSecretStore(net.folder / f"store-{name}") as store:
        for attempt in list(store._records):
            if attempt[0] == "s1":
                memory = Memory.restored(store.records(attempt)[:1])
                found |= {memory.seal_key.private, memory.mask_key.private, memory.self_secret}
    return found


def no_secret_outside(net: Network, secrets: set[bytes]) -> None:
    """Look for private keys and seeds of the run in all that the coordinator and the logs hold."""
    written = [path for path in (net.folder / "data").rglob("*") if path.is_file()]
    written += list(net.folder.glob("*.log"))
    for path in written:
        content = path.read_bytes()
        for secret in secrets:
            assert secret not in content, path
            assert secret.hex().encode() not in content, path
