"""Rounds over HTTPS between real processes."""

import json
import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from consilium.app.federated.key_files import make_key
from consilium.domain import Event
from live_process import KEY, journal_of
from round_cases import Network, expected, final, network


def told(event: Event) -> dict[str, Any]:
    assert isinstance(event.payload, dict)
    return event.payload


@pytest.mark.long
def test_five_processes_finish_rounds_over_https_and_one_that_is_killed_returns(tmp_path: Path) -> None:
    with network(tmp_path) as net:
        net.create(rounds=4, cut_off_seconds=60)
        for name in net.names:
            net.start_participant(name)
        net.until(lambda: net.joined() == 5, "all have joined")
        net.kill("desk2")
        with net.client() as client:
            client.start_session("s1", "all have joined")
        net.start_participant("desk2")
        net.until_state("completed")
        with net.client() as client:
            reports = client.session_reports("s1").reports
        assert [len(report["survivors"]) for report in reports] == [5, 5, 5, 5]
        assert all(not report["failed"] for report in reports)
        np.testing.assert_allclose(final(net), expected(net.names, 1_000, 4), atol=4 * 5 / 65_536)
        net.until(
            lambda: all(net.processes[name].poll() is not None for name in net.names), "participants end"
        )
        assert [net.processes[name].returncode for name in net.names] == [0] * 5
        assert "session s1 completed" in net.log("desk1")
    with journal_of(tmp_path / "data") as journal:
        rounds = journal.read(0, 100, topics=["network.round_closed"])
        changes = journal.read(0, 100, topics=["network.session_changed"])
    assert [told(row.event)["number"] for row in rounds] == [1, 2, 3, 4]
    assert [told(row.event)["state"] for row in changes] == ["open", "running", "completed"]


def test_bad_input_is_refused_with_bound_value_and_cure_and_the_service_stays(tmp_path: Path) -> None:
    with network(tmp_path, owners=3) as net:
        net.create(rounds=1)
        at = f"{net.url}/api/network/sessions"
        head = {"X-API-Key": KEY}
        with httpx.Client(verify=net.trusted, headers=head, timeout=30.0) as http:
            octets = {"Content-Type": "application/octet-stream"}

            def refused(answer: httpx.Response, status: int, *words: str) -> None:
                assert answer.status_code == status, answer.text
                assert answer.headers["content-type"] == "application/problem+json"
                assert all(word in answer.json()["detail"] for word in words), answer.json()["detail"]

            refused(http.post(f"{at}/s1/messages", content=b"x" * 40, headers=octets), 409, "must have")
            refused(http.post(f"{at}/s1/messages", content=b"{}"), 415, "application/octet-stream")
            refused(http.get(f"{at}/s2"), 404, "s1")
            new = {
                "session": "s3",
                "task": "poetry",
                "owners": http.get(f"{at}/s1/owners").text,
                "admission_key": net.admission.public.hex(),
                "parameters": "AAAAAAAAAAA=",
            }
            refused(http.post(at, json=new), 422, "one of candles, digits, synthetic; got 'poetry': choose")
            small = new | {"task": "synthetic", "options": {"dimension": 1}, "gamma": 0.49, "delta": 0.4}
            refused(http.post(at, json=small), 422, "3 participants must leave 2 neighbours", "ask more")
            refused(http.post(f"{at}/s1/pause", json={"reason": ""}), 422, "reason")
            body = json.loads(_registration(net, "desk1"))
            wrong = body | {"signature": "00" * 64}
            refused(http.post(f"{at}/s1/registrations", json=wrong), 409, "signed by desk1")
            assert http.post(f"{at}/s1/registrations", json=body).json()["first_round"] == 1
            assert http.post(f"{at}/s1/registrations", json=body).json()["first_round"] == 1
            liar = body | {"participant": "another"}
            refused(http.post(f"{at}/s1/registrations", json=liar), 409, "desk1")
            stranger = body | {"participant": "desk9", "owner": "desk9"}
            refused(
                http.post(f"{at}/s1/registrations", json=stranger), 403, "owner list of session s1", "desk9"
            )
            refused(http.get(f"{at}/s1/outbox/desk9"), 403, "ask who signs the list to admit it")
            long = http.post(f"{at}/s1/messages", content=b"x" * 70_000, headers=octets)
            refused(long, 413, "at most 65536 bytes now")
            parts = http.post(f"{at}/s1/messages", content=iter([b"x" * 40_000] * 3), headers=octets)
            refused(parts, 413, "at most 65536 bytes now")
            empty = http.get(f"{at}/s1/outbox/desk1")
            assert (empty.content, empty.headers["x-change"].isdigit()) == (b"", True)
            assert http.get(f"{at}/s1/round").json() == {"state": "open", "done": 0, "round": None}
            assert http.get(f"{net.url}/readyz").status_code == 200
        make_key(tmp_path / "desk9.key")
        net.start_participant("desk9")
        stranger_process = net.processes.pop("desk9")
        assert stranger_process.wait(60.0) == 1
        (line,) = net.log("desk9").splitlines()
        assert line == (
            "error: an owner must be in the owner list of session s1; got 'desk9': "
            "ask who signs the list to admit it"
        )


def _registration(net: Network, name: str) -> str:
    from consilium.federated.registration import Registration

    made = Registration(
        participant=name,
        owner=name,
        session="s1",
        key=net.keys[name].public,
        capabilities=("synthetic", "sum"),
    ).signed(net.keys[name].private)
    return json.dumps(made.as_dict())


@pytest.mark.long
def test_a_session_is_paused_resumed_and_cancelled(tmp_path: Path) -> None:
    with network(tmp_path, owners=3) as net:
        net.create(rounds=100_000)
        for name in net.names:
            net.start_participant(name)
        net.until(lambda: net.joined() == 3, "all have joined")
        with net.client() as client:
            client.start_session("s1", "go")
            net.until(lambda: client.session_about("s1").done >= 2, "two rounds")
            assert client.pause_session("s1", "lunch").state == "paused"
            done = client.session_about("s1").done
            assert client.resume_session("s1", "back").state == "running"
            net.until(lambda: client.session_about("s1").done >= done + 2, "two rounds more")
            assert client.cancel_session("s1", "enough").state == "cancelled"
            assert [one.state for one in client.sessions().sessions] == ["cancelled"]
        for name in net.names:
            assert net.processes[name].wait(30.0) == 1
            assert "session s1 cancelled" in net.log(name)


def test_an_outbox_is_read_as_it_is_written() -> None:
    from consilium.app.carriers.answers import parted
    from consilium.domain import DataProblem

    whole = struct.pack("<I", 3) + b"one" + struct.pack("<I", 0)
    assert parted(whole) == [b"one", b""]
    for cut in (1, 5, len(whole) - 1):
        with pytest.raises(DataProblem, match="torn"):
            parted(whole[:cut])
