"""Hundreds of participants wait over real connections: they cost next to nothing, and are woken at once."""

import asyncio
import json
import os
import time
from pathlib import Path

import httpx
import pytest

from consilium.federated.registration import Registration
from live_process import KEY
from round_cases import Network, network

COUNT = 500 if os.environ.get("CONSILIUM_TEST_PROFILE") == "soak" else 200
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def registration(net: Network, name: str) -> bytes:
    made = Registration(
        participant=name,
        owner=name,
        session="s1",
        key=net.keys[name].public,
        capabilities=("synthetic", "sum"),
    )
    return json.dumps(made.signed(net.keys[name].private).as_dict()).encode()


class Waiters:
    """One connection for each owner, and the mark that each has seen."""

    def __init__(self, net: Network, http: httpx.AsyncClient) -> None:
        self._net, self._http = net, http
        self.marks = dict.fromkeys(net.names, -1)
        self.messages = dict.fromkeys(net.names, 0)

    async def ask(self, name: str, wait: float) -> bool:
        """Return whether something changed."""
        at = f"/api/network/sessions/s1/outbox/{name}"
        answer = await self._http.get(at, params={"have": self.marks[name], "wait": wait})
        assert answer.status_code == 200, answer.text
        before, self.marks[name] = self.marks[name], int(answer.headers["x-change"])
        self.messages[name] = len(answer.content)
        return before != self.marks[name]

    def all(self, wait: float) -> list[asyncio.Task[bool]]:
        return [asyncio.create_task(self.ask(name, wait)) for name in self._net.names]


async def settled(pid: int) -> float:
    """Return the share of a core that a process uses when all that is here to be asked was asked."""
    shares = [1.0]
    for _ in range(12):
        used, own, begun = cpu_seconds(pid), time.process_time(), time.monotonic()
        await asyncio.sleep(1.0)
        if time.process_time() - own < 0.02:
            shares.append((cpu_seconds(pid) - used) / (time.monotonic() - begun))
            if len(shares) > 2:
                break
    return min(shares)


async def waited(net: Network, pid: int) -> dict[str, float]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    head = {"X-API-Key": KEY}
    found: dict[str, float] = {}
    async with httpx.AsyncClient(
        base_url=net.url, verify=net.trusted, headers=head, timeout=60.0, limits=limits
    ) as http:
        as_json = {"Content-Type": "application/json"}
        for name in net.names:
            body = registration(net, name)
            answer = await http.post("/api/network/sessions/s1/registrations", content=body, headers=as_json)
            assert answer.status_code == 200, answer.text
        waiters = Waiters(net, http)
        assert all(await asyncio.gather(*waiters.all(0.0)))
        tasks = waiters.all(19.0)
        found["cpu_share"] = await settled(pid)
        octets = {"Content-Type": "application/octet-stream"}
        forged = await http.post("/api/network/sessions/s1/messages", content=b"x" * 99, headers=octets)
        assert forged.status_code == 409
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in tasks)
        used, begun = cpu_seconds(pid), time.monotonic()
        start = await http.post("/api/network/sessions/s1/start", json={"reason": "go"})
        assert start.status_code == 200, start.text
        assert all(await asyncio.gather(*tasks))
        while not all(waiters.messages.values()):
            await asyncio.gather(*waiters.all(5.0))
        found["seconds_to_announce"] = time.monotonic() - begun
        found["cpu_to_announce"] = cpu_seconds(pid) - used
        return found


@pytest.mark.long
def test_hundreds_who_wait_cost_next_to_nothing_and_are_woken_at_once(tmp_path: Path) -> None:
    limits = {"CONSILIUM_API__READS_PER_MINUTE": "1000000", "CONSILIUM_API__WRITES_PER_MINUTE": "1000000"}
    with network(tmp_path, owners=COUNT, **limits) as net:
        net.create(rounds=3, dimension=100)
        found = asyncio.run(waited(net, net.processes["coordinator"].pid))
    assert found["cpu_share"] < 0.1, found
    # each of them asks twice at most: when the session starts and when the round is announced
    assert found["cpu_to_announce"] < 0.02 * COUNT, found
