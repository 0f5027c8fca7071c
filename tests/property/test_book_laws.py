"""Laws of a kept book: it equals the reference whatever comes, or it is not readable."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from book_exchange import KnownExchange, assert_right, known_exchange
from consilium.market.book.keeper import COUNTED, BookKeeper
from consilium.market.book.ladder import Ladder
from consilium.market.book.messages import DepthSnapshot, Diff

LEVELS = 5
seeds = st.integers(0, 2**32 - 1)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(-60, 60), st.integers(0, 3)), max_size=12), min_size=1, max_size=15
    )
)
def test_a_ladder_equals_a_sorted_dictionary(batches: list[list[tuple[int, int]]]) -> None:
    ladder, plain = Ladder(), dict[int, int]()
    for batch in batches:
        ladder.apply(batch)
        for key, size in batch:
            plain[key] = size
            if not size:
                del plain[key]
        assert ladder.top(1_000) == sorted(plain.items(), reverse=True)
        assert ladder.best == max(plain.items(), default=None)


@given(seeds, st.booleans(), st.integers(0, 40), st.randoms(use_true_random=False))
def test_any_order_of_diffs_after_a_snapshot_gives_the_reference_book(
    seed: int, linked: bool, start: int, rng: "np.random.Generator"
) -> None:
    exchange = known_exchange(seed, linked=linked)
    keeper = BookKeeper(exchange.symbol, levels=LEVELS, clock_tolerance_ns=10**15)
    diffs = list(exchange.diffs)
    rng.shuffle(diffs)
    snapshot = exchange.snapshot(exchange.diffs[min(start, 39)].previous, 1_000)
    keeper.take_snapshot(snapshot)
    for diff in diffs:
        keeper.take_diff(diff)
        assert_right(keeper, exchange, LEVELS)
    assert keeper.live
    assert keeper.last == exchange.diffs[-1].last
    assert tuple(keeper.top(1_000)) == exchange.top(keeper.last, 1_000)
    assert keeper.session == 0


@dataclass
class Wire:
    """Hands a keeper the diffs of an exchange with every fault, and snapshots when it wants them."""

    exchange: KnownExchange
    keeper: BookKeeper
    rng: np.random.Generator
    depth: int
    readable: int = 0

    def play(self, diff: Diff, fault: str) -> None:
        if fault == "drop":
            return
        for message in {
            "twice": [diff, diff],
            "foreign": [diff._replace(symbol="ETHUSDT"), diff],
            "clock": [diff._replace(ts_event=diff.ts_event + 3_600 * 10**9)],
            "crossed": [diff._replace(bids=[*diff.bids, (10**9, 1)])],
        }.get(fault, [diff]):
            self.keeper.take_diff(message)
            assert_right(self.keeper, self.exchange, LEVELS)
            self.readable += self.keeper.live
        if self.keeper.wants_snapshot and self.rng.random() < 0.5:
            self.keeper.take_snapshot(self.snapshot(diff.last - int(self.rng.integers(0, 60))))
            assert_right(self.keeper, self.exchange, LEVELS)

    def snapshot(self, last: int) -> DepthSnapshot:
        found = self.exchange.snapshot(max(last, min(self.exchange.books)), self.depth)
        if self.rng.random() < 0.15:
            return found._replace(bids=[(key, 0) for key, _ in found.bids])
        if self.rng.random() < 0.15:
            return found._replace(bids=[(10**9, 1), *found.bids])
        return found


def reordered(
    diffs: list[Diff], faults: list[str], rng: np.random.Generator, share: float
) -> list[tuple[Diff, str]]:
    place = np.arange(len(diffs)) + np.where(rng.random(len(diffs)) < share, rng.uniform(0, 6, len(diffs)), 0)
    return [(diffs[i], faults[i]) for i in np.argsort(place, kind="stable")]


@given(seeds, st.booleans(), st.sampled_from([6, 12, 1_000]), st.floats(0, 0.4), st.floats(0, 0.4))
def test_faults_never_leave_a_wrong_book_readable(
    seed: int, linked: bool, depth: int, share: float, late: float
) -> None:
    rng = np.random.default_rng(seed)
    exchange = known_exchange(seed, linked=linked, diffs=80)
    keeper = BookKeeper(exchange.symbol, levels=LEVELS)
    wire = Wire(exchange, keeper, rng, depth)
    names = ["drop", "twice", "foreign", "clock", "crossed"]
    faults = [str(rng.choice(names)) if rng.random() < share else "" for _ in exchange.diffs]
    sessions = []
    for diff, fault in reordered(exchange.diffs[:60], faults, rng, late):
        wire.play(diff, fault)
        sessions.append(keeper.session)
    assert sessions == sorted(sessions)
    for diff in exchange.diffs[60:]:
        keeper.take_diff(diff)
        if keeper.wants_snapshot:
            keeper.take_snapshot(exchange.snapshot(diff.last, depth))
        assert_right(keeper, exchange, LEVELS)
    assert keeper.live
    assert set(keeper.counts) == set(COUNTED)


def test_the_faults_of_the_law_above_happen() -> None:
    # Otherwise the law would hold for want of faults.
    seen: dict[str, int] = {}
    readable = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        exchange = known_exchange(seed, linked=bool(seed % 2), diffs=80)
        wire = Wire(exchange, BookKeeper(exchange.symbol, levels=LEVELS), rng, (6, 12, 1_000)[seed % 3])
        names = ["drop", "twice", "foreign", "clock", "crossed"]
        faults = [str(rng.choice(names)) if rng.random() < 0.2 else "" for _ in exchange.diffs]
        for diff, fault in reordered(exchange.diffs, faults, rng, 0.1):
            wire.play(diff, fault)
        readable += wire.readable
        for name, n in wire.keeper.counts.items():
            seen[name] = seen.get(name, 0) + n
    never = {name for name in seen if not seen[name]}
    assert never == {"corrupt", "bad_level", "emptied", "overflow", "distrusted", "disconnected"}
    assert readable > 1_500
