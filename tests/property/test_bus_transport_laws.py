"""Laws of the transports: whatever is done to them, memory and a real Valkey give the same answers."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus_cases import told
from consilium.bus.journal import Recorded
from consilium.bus.transport import MemoryTransport, RedisTransport, Transport
from consilium.bus.transport.port import DeadLetter, Taken

ROWS = [Recorded(number + 1, told(number), f"{number:064d}") for number in range(40)]
groups, consumers = st.sampled_from(["g", "h"]), st.sampled_from(["a", "b"])
offsets, counts = st.integers(0, 12), st.integers(1, 5)
operations = st.one_of(
    st.tuples(st.just("publish"), st.integers(100, 103)),
    st.tuples(st.just("mirror"), offsets, counts),
    st.tuples(st.just("next"), counts),
    st.tuples(st.just("open"), groups, offsets),
    st.tuples(st.just("rewind"), groups, offsets),
    st.tuples(st.just("take"), groups, consumers, counts, offsets),
    st.tuples(st.just("take"), groups, consumers, counts, st.just(99)),
    st.tuples(st.just("pending"), groups, consumers, counts),
    st.tuples(st.just("done"), groups, counts),
    st.tuples(st.just("bury"), groups),
    st.tuples(
        st.just("retry"),
    ),
    st.tuples(
        st.just("reset"),
    ),
)


def shown(answer: Any) -> Any:
    if isinstance(answer, Taken):
        entries = [(e.place, e.topic, e.text, e.group, e.deliveries) for e in answer.entries]
        return (answer.group_known, answer.hole, entries)
    return answer


class Driven:
    """A transport, and what its consumers were given last."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.held: dict[str, Taken] = {}

    def do(self, name: str, *arguments: Any) -> Any:
        work = getattr(self, f"_{name}", None) or getattr(self.transport, name)
        return shown(work(*arguments))

    def _publish(self, number: int) -> Any:
        return self.transport.publish([told(number)])

    def _mirror(self, after: int, count: int) -> Any:
        return self.transport.mirror(ROWS[after : after + count], after=after)

    def _next(self, count: int) -> Any:
        position = self.transport.position()
        assert position is not None
        return self._mirror(position[0], count) if position[0] < 35 else None

    def _open(self, group: str, after: int) -> Any:
        return self.transport.open_group(group, after)

    def _take(self, group: str, *arguments: Any) -> Any:
        taken = self.transport.take(group, *arguments)
        assert taken is not None
        if taken.entries:
            self.held[group] = taken
        return taken

    def _done(self, group: str, count: int) -> Any:
        held = self.held.get(group, Taken())
        self.transport.done(group, held.entries[:count]) if held.entries else None
        return self.transport.reached(group)

    def _bury(self, group: str) -> Any:
        held = self.held.get(group, Taken())
        for entry in held.entries[:1]:
            letter = DeadLetter(group, entry.topic, f"{entry.place}", "no", entry.text or b"")
            self.transport.bury(entry, letter)
        return self.transport.reached(group), sorted(map(repr, self.transport.dead_letters()))

    def state(self) -> Any:
        letters = sorted(letter.event_id for letter in self.transport.dead_letters())
        return self.transport.position(), letters, [self.transport.reached(group) for group in ("g", "h")]


@given(st.lists(operations, max_size=25))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_memory_and_redis_answer_alike(fresh_valkey: str, steps: list[tuple[Any, ...]]) -> None:
    redis = RedisTransport(fresh_valkey)
    redis._call(lambda client: client.flushdb(), None)
    pair = Driven(MemoryTransport()), Driven(redis)
    try:
        for step in steps:
            one, other = (driven.do(*step) for driven in pair)
            assert one == other, step
            assert pair[0].state() == pair[1].state(), step
    finally:
        redis.close()
