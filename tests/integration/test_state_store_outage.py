"""A Redis that is killed, wiped, hung, full, read-only, closed or never there: said in one line, no crash."""

import logging
import time
from collections.abc import Callable

import pytest
import redis

from consilium.bus.state_store import HashSet, Push, RedisStore, Set, open_state_store
from consilium.domain import UsageError
from real_servers import RealValkey, free_port

Start = Callable[..., RealValkey]


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_redis_is_told_and_found_again_and_gets_what_it_is_owed(
    start_valkey: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_valkey()
    store = RedisStore(server.url)
    assert store.write([Push("list", "before"), Set("text", "before")])
    server.kill()
    with caplog.at_level(logging.INFO, logger="consilium.bus"):
        began = time.monotonic()
        for number in range(50):
            assert not store.write([Push("list", str(number)), Set("text", str(number))])
            assert store.get("text") is None
            assert store.scan("") == []
            assert store.hash_all("h") == {}
            assert store.list_range("list", 0, -1) == []
        assert time.monotonic() - began < 5.0
        told = store.healthy()
        assert told.startswith(f"redis at 127.0.0.1:{server.port}/0 does not answer (")
        assert "\n" not in told
        server.start()
        until(lambda: store.healthy() == "")
    assert store.write([Push("list", "after")])
    assert store.get("text") == b"49"
    events = store.list_range("list", 0, -1)
    assert events == [b"after", *(str(number).encode() for number in range(49, -1, -1)), b"before"]
    # said once when it went and once when it came back, not at every try
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    store.close()


def test_a_wiped_redis_shows_the_next_cycle(start_valkey: Start) -> None:
    server = start_valkey()
    store = RedisStore(server.url)
    store.write([Set("text", "one")])
    server.wipe()
    until(lambda: store.write([Set("text", "two"), HashSet("hash", {"a": "b"})]))
    assert (store.get("text"), store.hash_all("hash")) == (b"two", {"a": b"b"})
    store.close()


def test_a_hung_redis_holds_nobody_for_long(start_valkey: Start) -> None:
    server = start_valkey()
    store = RedisStore(server.url)
    store._link._client.connection_pool.connection_kwargs["socket_timeout"] = 0.3
    server.pause()
    began = time.monotonic()
    for _ in range(5):
        assert store.get("text") is None
    assert time.monotonic() - began < 2.0
    assert "does not answer" in store.healthy()
    server.resume()
    until(lambda: store.write([Set("text", "x")]))
    assert store.get("text") == b"x"
    store.close()


def test_a_redis_that_was_never_there_is_no_crash() -> None:
    store = open_state_store(f"redis://:secret@127.0.0.1:{free_port()}/3")
    assert not store.write([Set("text", "x")])
    assert store.get_many(["a", "b"]) == [None, None]
    assert "does not answer" in store.healthy()
    assert "secret" not in store.healthy()
    assert store.warnings() == []
    store.close()


@pytest.mark.parametrize("url", ["http://u:secret@h/0", "secret", "redis://u:secret@h:99999999/0"])
def test_what_is_no_redis_url_is_refused_without_showing_secrets(url: str) -> None:
    with pytest.raises(UsageError, match="redis_url must be") as refused:
        open_state_store(url)
    assert "secret" not in str(refused.value)


def test_appendonly_no_is_warned_of(start_valkey: Start) -> None:
    forgetful, safe = RedisStore(start_valkey(appendonly=False).url), RedisStore(start_valkey().url)
    (warning,) = forgetful.warnings()
    assert "appendonly no" in warning
    assert safe.warnings() == []
    evicting = RedisStore(start_valkey(maxmemory="50mb", maxmemory_policy="allkeys-lru").url)
    (warning,) = evicting.warnings()
    assert "maxmemory-policy allkeys-lru" in warning
    for store in (forgetful, safe, evicting):
        store.close()


def test_a_full_redis_refuses_and_is_told(start_valkey: Start) -> None:
    store = RedisStore(start_valkey(maxmemory="3mb").url)
    refused = [store.write([Set(f"big{number}", b"x" * 1_000_000)]) for number in range(5)]
    assert not all(refused)
    assert "refuses" in store._link.problem
    assert "OOM" in store._link.problem or "maxmemory" in store._link.problem
    store.close()


def test_a_redis_that_asks_for_a_password_is_told_apart(start_valkey: Start) -> None:
    server = start_valkey(requirepass="letmein")
    store = RedisStore(server.url)
    assert not store.write([Set("text", "x")])
    assert "Authentication required" in store.healthy()
    wrong = RedisStore(server.url.replace("127", ":wrong@127"))
    assert not wrong.write([Set("text", "x")])
    assert "wrong" not in wrong.healthy().replace("WRONGPASS", "")
    right = RedisStore(server.url.replace("127", ":letmein@127"))
    assert right.write([Set("text", "x")])
    for each in (store, wrong, right):
        each.close()


def test_a_read_only_replica_is_told(start_valkey: Start) -> None:
    server = start_valkey()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
    store = RedisStore(server.url)
    assert not store.write([Set("text", "x")])
    assert "refuses" in store._link.problem or "READONLY" in store._link.problem
    store.close()
