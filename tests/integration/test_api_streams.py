"""Many clients follow the journal of one server; each hears every event once, in order."""

import asyncio
import os
import threading
import time
from pathlib import Path

import httpx
import pytest

from api_world import ADMIN, World
from consilium.app.client.events import EventReader
from small_system import HOUR, SmallSystem, said

MANY, SOAK = 200, os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"


def speak(system: SmallSystem, first: int, count: int, pause: float = 0.0) -> None:
    for step in range(first, first + count):
        for model in ("cnn_lstm", "mpd_transformer", "tlob"):
            system.hear(said(model, step * HOUR, (0.1, 0.2, 0.7)))
        if pause:
            time.sleep(pause)


async def _hear(http: httpx.AsyncClient, reader: EventReader, until: int, heard: list[int]) -> None:
    """Follow the stream, taking it up again where it was, until an event was heard."""
    while not heard or heard[-1] < until:
        headers = ADMIN | reader.headers()
        try:
            async with http.stream("GET", "/api/events", headers=headers) as response:
                assert response.status_code == 200, await response.aread()
                reader.begin()
                async for line in response.aiter_lines():
                    event = reader.take(line)
                    if event is not None:
                        heard.append(event.offset)
                        if event.offset >= until:
                            return
        except httpx.TransportError:
            await asyncio.sleep(0.05)


async def _all_hear(world: World, clients: int, until: int) -> list[list[int]]:
    heard: list[list[int]] = [[] for _ in range(clients)]
    bounds = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=world.url, timeout=60.0, limits=bounds, trust_env=False) as http:
        await asyncio.gather(*(_hear(http, EventReader(0), until, found) for found in heard))
    return heard


@pytest.mark.parametrize(
    ("clients", "events"),
    [(30, 60), pytest.param(MANY, 2_000 if SOAK else 150, marks=pytest.mark.long)],
)
def test_every_client_hears_every_event_in_order_although_its_stream_is_cut(
    tmp_path: Path, clients: int, events: int
) -> None:
    # Each stream ends after a second: each client resumes once at least, at a place of its own.
    with World(tmp_path, reads_per_minute=0, longest_s=1.0, stream_clients=clients) as world:
        speak(world.system, 0, events // 3)
        speaking = threading.Thread(
            target=speak, args=(world.system, events // 3, events - events // 3, 0.02)
        )
        speaking.start()
        heard = asyncio.run(_all_hear(world, clients, events))
        speaking.join()
    assert all(found == list(range(1, events + 1)) for found in heard)


def test_who_is_far_behind_is_served_from_the_journal_and_then_from_memory(tmp_path: Path) -> None:
    with World(tmp_path, reads_per_minute=0) as world:
        speak(world.system, 0, 1_200)
        speaking = threading.Thread(target=speak, args=(world.system, 1_200, 100, 0.002))
        speaking.start()
        (heard,) = asyncio.run(_all_hear(world, 1, 1_300))
        speaking.join()
    assert heard == list(range(1, 1_301))


def test_one_client_more_than_may_follow_is_told_to_come_later(tmp_path: Path) -> None:
    with (
        World(tmp_path, stream_clients=1) as world,
        world.http.stream("GET", "/api/events", headers=ADMIN) as first,
    ):
        assert first.status_code == 200
        refused = world.http.get("/api/events", headers=ADMIN)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")


def test_a_place_that_the_journal_has_not_reached_is_refused(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        refused = world.http.get("/api/events", headers=ADMIN | {"Last-Event-ID": "7"})
        assert refused.status_code == 409
        assert "ends at 0" in refused.json()["detail"]


def test_a_stream_ends_when_its_key_is_revoked(tmp_path: Path) -> None:
    with World(tmp_path, heartbeat_s=0.05) as world:
        key, record = world.keys.create("bob", ["read"])
        with world.http.stream("GET", "/api/events", headers={"X-API-Key": key}) as response:
            lines = response.iter_lines()
            assert next(lines) == "retry: 1000"
            world.keys.revoke(record.key_id)
            list(lines)  # the server ends it; a stream that went on would not return
        assert 'why="key"' in world.app.state.metrics.text().decode()


def test_a_quiet_stream_gives_a_sign_of_life_that_carries_its_place(tmp_path: Path) -> None:
    with World(tmp_path, heartbeat_s=0.05) as world:
        speak(world.system, 0, 3)
        asked = "/api/events?topics=trading.filled&after=0"
        with world.http.stream("GET", asked, headers=ADMIN) as response:
            for line in response.iter_lines():
                if line == "id: 3":
                    break


def test_a_stop_of_the_server_ends_its_streams_at_once(tmp_path: Path) -> None:
    with World(tmp_path, heartbeat_s=30.0) as world:
        ended = threading.Event()

        def listen() -> None:
            with (
                httpx.Client(base_url=world.url, timeout=30.0, trust_env=False) as http,
                http.stream("GET", "/api/events", headers=ADMIN) as response,
            ):
                list(response.iter_lines())
            ended.set()

        thread = threading.Thread(target=listen)
        thread.start()
        while not world.app.state.hub.clients:
            time.sleep(0.01)
        world.server.should_exit = True
        assert ended.wait(3.0)
        thread.join()
