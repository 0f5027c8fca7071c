"""One exam for every store of the outside's keys: in this process, and a real Valkey."""

from collections.abc import Iterator
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consilium.bus.state_store import (
    MAX_BYTES,
    Delete,
    HashSet,
    MemoryStore,
    Push,
    RedisStore,
    Set,
    StateStore,
    Write,
    merge,
    open_state_store,
)


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[StateStore]:
    opened = open_state_store("" if request.param == "memory" else request.getfixturevalue("fresh_valkey"))
    assert isinstance(opened, MemoryStore if request.param == "memory" else RedisStore)
    yield opened
    opened.close()


def test_texts_hashes_and_lists_come_back(store: StateStore) -> None:
    writes: list[Write] = [
        Set("quantum:trust:xgb", "1.05"),
        HashSet("quantum:trust:history", {"xgb": "1.05", "lgbm": b"0.97"}),
        Push("quantum:trust:events:xgb", "first"),
        Push("quantum:trust:events:xgb", b"second"),
    ]
    assert store.write(writes)
    assert store.get("quantum:trust:xgb") == b"1.05"
    assert store.hash_all("quantum:trust:history") == {"xgb": b"1.05", "lgbm": b"0.97"}
    assert store.list_range("quantum:trust:events:xgb", 0, -1) == [b"second", b"first"]
    assert store.healthy() == ""


def test_what_is_not_there_or_of_another_kind_reads_as_nothing(store: StateStore) -> None:
    store.write([Set("text", "x"), HashSet("hash", {"a": "b"}), Push("list", "x"), Set("empty", "")])
    assert store.get_many(["none", "text", "hash", "list", "empty"]) == [None, b"x", None, None, None]
    assert store.get_many([]) == []
    assert store.hash_all("none") == store.hash_all("text") == store.hash_all("list") == {}
    assert store.list_range("none", 0, -1) == store.list_range("hash", 0, -1) == []
    assert store.healthy() == ""


def test_a_list_keeps_the_newest_hundred(store: StateStore) -> None:
    store.write([Push("list", str(number)) for number in range(150)])
    store.write([Push("list", "150")])
    assert store.list_range("list", 0, -1) == [str(number).encode() for number in range(150, 50, -1)]
    assert store.list_range("list", 1, 2) == [b"149", b"148"]
    assert store.list_range("list", -2, -1) == [b"52", b"51"]
    assert store.list_range("list", -500, -99) == [b"150", b"149"]
    assert store.list_range("list", 5, 4) == []


def test_a_hash_is_replaced_as_a_whole_and_deleted_when_empty(store: StateStore) -> None:
    store.write([HashSet("hash", {"a": "1", "b": "2"})])
    store.write([HashSet("hash", {"b": "3"})])
    assert store.hash_all("hash") == {"b": b"3"}
    store.write([HashSet("hash", {})])
    assert store.scan("hash") == []
    store.write([Set("text", "x"), Delete("text"), Delete("none")])
    assert store.get("text") is None


def test_keys_are_found_by_the_very_letters_of_their_prefix(store: StateStore) -> None:
    names = [
        "quantum:model:a",
        "quantum:model:b*",
        "quantum:model:b?c",
        "other",
        "q[a]x",
        "qa",
        "back\\slash",
    ]
    store.write([Set(name, "1") for name in names])
    assert store.scan("quantum:model:") == ["quantum:model:a", "quantum:model:b*", "quantum:model:b?c"]
    assert store.scan("quantum:model:b?") == ["quantum:model:b?c"]
    assert store.scan("q[a]") == ["q[a]x"]
    assert store.scan("back\\") == ["back\\slash"]
    assert store.scan("") == sorted(names)


def test_a_huge_value_is_read_only_so_far(store: StateStore) -> None:
    store.write([Set("huge", b"x" * 10_000_000), Set("just", b"x" * MAX_BYTES)])
    huge, just = store.get_many(["huge", "just"])
    assert huge is not None
    assert just is not None
    assert len(huge) == MAX_BYTES + 1
    assert len(just) == MAX_BYTES


def test_a_key_of_another_kind_spoils_only_itself(store: StateStore) -> None:
    store.write([Set("list", "a text that somebody set")])
    assert store.write([Push("list", "x"), Set("other", "y")])
    assert store.get("other") == b"y"
    assert store.get("list") == b"a text that somebody set"
    assert store.healthy().endswith("list holds another kind of value: delete it")
    store.write([Delete("list"), Push("list", "x")])
    assert store.healthy() == ""


def test_a_reader_never_sees_half_of_what_is_written_at_once(store: StateStore) -> None:
    seen: set[bytes | None] = set()
    torn = []

    def read() -> None:
        while True:
            told = store.hash_all("pair")
            if told:
                seen.add(told["one"])
                torn.append(told) if told["one"] != told["two"] else None
            if told.get("one") == b"199":
                return

    reader = Thread(target=read)
    reader.start()
    for number in range(200):
        store.write([HashSet("pair", {"one": str(number), "two": str(number)})])
    reader.join(10.0)
    assert not reader.is_alive()
    assert torn == []


keys = st.sampled_from(["a", "b"])
texts = st.sampled_from(["0", "1", "2", "3"])
one_write: st.SearchStrategy[Write] = st.one_of(
    st.builds(Set, keys, texts),
    st.builds(HashSet, keys, st.dictionaries(keys, texts)),
    st.builds(Push, keys, texts, st.integers(1, 3)),
    st.builds(Delete, keys),
)


def shown(store: StateStore) -> list[object]:
    return [
        (key, store.get(key), store.hash_all(key), store.list_range(key, 0, -1)) for key in store.scan("")
    ]


@given(st.lists(one_write, max_size=12))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_stores_show_the_same_after_any_writes(fresh_valkey: str, writes: list[Write]) -> None:
    memory, redis = MemoryStore(), RedisStore(fresh_valkey)
    redis.write([Delete("a"), Delete("b")])
    for write in writes:
        memory.write([write])
        redis.write([write])
    assert shown(memory) == shown(redis)
    assert bool(memory.healthy()) == bool(redis.healthy())
    redis.close()


@given(st.lists(one_write, max_size=8), st.lists(one_write, max_size=8))
def test_what_is_owed_and_merged_ends_the_same(first: list[Write], then: list[Write]) -> None:
    alike = {write.key: write.keep for write in (*first, *then) if isinstance(write, Push)}
    first, then = (
        [Push(w.key, w.value, alike[w.key]) if isinstance(w, Push) else w for w in part]
        for part in (first, then)
    )
    apart, merged = MemoryStore(), MemoryStore()
    apart.write([*first, *then])
    merged.write(merge(first, then))
    assert shown(apart) == shown(merged)
