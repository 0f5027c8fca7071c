"""Each fault of a stream is counted under its name, and cured by a snapshot or refused."""

from collections.abc import Callable

import pytest

from book_exchange import STEP_NS, KnownExchange, assert_right, known_exchange
from consilium.domain.errors import InvalidValue
from consilium.market.book.keeper import MOST_WAITING, BookKeeper
from consilium.market.book.messages import DepthSnapshot, Diff


@pytest.fixture(params=[False, True], ids=["spot", "futures"])
def exchange(request: pytest.FixtureRequest) -> KnownExchange:
    return known_exchange(2, diffs=60, linked=request.param)


def begun(exchange: KnownExchange, upto: int = 10, *, levels: int = 5, depth: int = 1_000) -> BookKeeper:
    keeper = BookKeeper(exchange.symbol, levels=levels)
    keeper.take_snapshot(exchange.snapshot(exchange.diffs[0].previous, depth))
    for diff in exchange.diffs[:upto]:
        assert keeper.take_diff(diff)
    return keeper


def test_a_gap_makes_the_book_unreadable_until_a_snapshot_comes(exchange: KnownExchange) -> None:
    keeper = begun(exchange)
    assert not keeper.take_diff(exchange.diffs[11])
    assert (keeper.live, keeper.wants_snapshot, keeper.cause) == (False, True, "gap")
    assert keeper.top() == ([], [])
    assert keeper.take_snapshot(exchange.snapshot(exchange.diffs[10].last, 1_000))
    assert (keeper.counts["gap"], keeper.counts["synchronised"], keeper.session) == (1, 2, 1)
    assert_right(keeper, exchange, 5)


def test_a_missing_diff_that_comes_late_closes_the_gap_in_the_same_session(exchange: KnownExchange) -> None:
    keeper = begun(exchange)
    for at in (12, 11, 13):
        keeper.take_diff(exchange.diffs[at])
    assert not keeper.live
    assert keeper.take_diff(exchange.diffs[10])
    assert (keeper.last, keeper.session, keeper.counts["reordered"]) == (exchange.diffs[13].last, 0, 1)
    assert not keeper.wants_snapshot
    assert_right(keeper, exchange, 5)


def test_repeated_and_old_diffs_change_nothing(exchange: KnownExchange) -> None:
    keeper = begun(exchange)
    before = keeper.top(100)
    assert not keeper.take_diff(exchange.diffs[9])
    assert not keeper.take_diff(exchange.diffs[3])
    assert (keeper.counts["duplicate"], keeper.counts["late"]) == (1, 1)
    assert keeper.top(100) == before
    assert keeper.live


def test_a_snapshot_older_than_the_diffs_is_refused(exchange: KnownExchange) -> None:
    keeper = BookKeeper(exchange.symbol, levels=5)
    for diff in exchange.diffs[5:8]:
        keeper.take_diff(diff)
    assert not keeper.take_snapshot(exchange.snapshot(exchange.diffs[3].last, 1_000))
    assert (keeper.live, keeper.wants_snapshot, keeper.counts["stale_snapshot"]) == (False, True, 1)
    assert keeper.take_snapshot(exchange.snapshot(exchange.diffs[4].last, 1_000))
    assert_right(keeper, exchange, 5)


def test_a_book_without_a_time_is_not_readable(exchange: KnownExchange) -> None:
    keeper = BookKeeper(exchange.symbol, levels=5)
    assert not keeper.take_snapshot(exchange.snapshot(exchange.diffs[4].last, 1_000))
    assert not keeper.live
    assert keeper.take_diff(exchange.diffs[5])
    assert keeper.ts_event == exchange.diffs[5].ts_event


def test_a_crossed_book_is_given_up(exchange: KnownExchange) -> None:
    keeper = begun(exchange)
    assert not keeper.take_diff(exchange.diffs[10]._replace(bids=[(10**12, 1)]))
    assert (keeper.live, keeper.cause, keeper.counts["crossed"]) == (False, "crossed", 1)
    # No diff closes it: what is in the book is not trusted any more.
    assert not keeper.take_diff(exchange.diffs[11])
    assert keeper.take_snapshot(exchange.snapshot(exchange.diffs[10].last, 1_000))
    assert_right(keeper, exchange, 5)


def test_a_side_without_levels_is_given_up(exchange: KnownExchange) -> None:
    keeper = begun(exchange)
    gone = [(key, 0) for key, _ in keeper.top(1_000).asks]
    assert not keeper.take_diff(exchange.diffs[10]._replace(asks=gone))
    assert (keeper.live, keeper.counts["emptied"]) == (False, 1)


@pytest.mark.parametrize("jump_ns", [6 * 10**9, -6 * 10**9, 86_400 * 10**9])
def test_a_clock_that_jumps_once_is_refused_and_one_that_stays_is_believed(
    exchange: KnownExchange, jump_ns: int
) -> None:
    keeper = begun(exchange, 20)
    moved = [diff._replace(ts_event=diff.ts_event + jump_ns) for diff in exchange.diffs]
    assert not keeper.take_diff(moved[20])
    assert (keeper.live, keeper.counts["clock_jump"]) == (False, 1)
    keeper.take_diff(exchange.diffs[21])
    assert keeper.take_snapshot(exchange.snapshot(exchange.diffs[20].last, 1_000))
    assert keeper.ts_event == exchange.diffs[21].ts_event
    keeper.take_diff(moved[22])
    keeper.take_diff(moved[23])
    assert keeper.take_snapshot(exchange.snapshot(exchange.diffs[22].last, 1_000))
    assert keeper.take_diff(moved[24])
    assert (keeper.counts["clock_jump"], keeper.ts_event) == (2, moved[24].ts_event)


BAD_SNAPSHOTS: dict[str, Callable[[DepthSnapshot], DepthSnapshot]] = {
    "a side is empty": lambda s: s._replace(asks=[]),
    "a size is 0": lambda s: s._replace(bids=[(s.bids[0][0], 0), *s.bids[1:]]),
    "a size is below 0": lambda s: s._replace(bids=[(s.bids[0][0], -1), *s.bids[1:]]),
    "levels out of order": lambda s: s._replace(bids=s.bids[::-1]),
    "a price twice": lambda s: s._replace(asks=[s.asks[0], *s.asks]),
    "crossed": lambda s: s._replace(bids=[(-s.asks[0][0], 1), *s.bids]),
}


@pytest.mark.parametrize("what", BAD_SNAPSHOTS)
def test_a_snapshot_that_cannot_be_is_refused(what: str) -> None:
    exchange = known_exchange(4)
    keeper = BookKeeper(exchange.symbol, levels=5)
    keeper.take_diff(exchange.diffs[0])
    bad = BAD_SNAPSHOTS[what](exchange.snapshot(exchange.diffs[0].previous, 1_000))
    assert not keeper.take_snapshot(bad)
    assert (keeper.counts["bad_snapshot"], keeper.wants_snapshot) == (1, True)


def test_prices_that_leave_the_depth_of_the_snapshot_ask_for_another(exchange: KnownExchange) -> None:
    keeper = begun(exchange, 0, levels=5, depth=6)
    for diff in exchange.diffs:
        keeper.take_diff(diff)
        if keeper.wants_snapshot:
            break
    assert keeper.live
    assert keeper.certain < 5
    assert keeper.counts["shallow"] == 1
    last, session = keeper.last, keeper.session
    assert not keeper.take_snapshot(exchange.snapshot(last, 1_000))  # the same book, only deeper
    assert (keeper.live, keeper.certain, keeper.last, keeper.session) == (True, 5, last, session)
    assert keeper.counts["refreshed"] == 1


def test_a_refreshing_snapshot_may_be_a_little_old(exchange: KnownExchange) -> None:
    keeper = begun(exchange, 0, levels=25, depth=6)
    for diff in exchange.diffs[:10]:
        keeper.take_diff(diff)
    assert keeper.wants_snapshot
    keeper.take_snapshot(exchange.snapshot(exchange.diffs[6].last, 1_000))
    assert (keeper.live, keeper.last) == (True, exchange.diffs[9].last)
    assert tuple(keeper.top(1_000)) == exchange.top(keeper.last, 1_000)


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_a_refreshing_snapshot_that_is_ahead_of_the_diffs_costs_no_book(
    exchange: KnownExchange, ahead: int
) -> None:
    keeper = begun(exchange, 0, levels=25, depth=6)
    for diff in exchange.diffs[:10]:
        keeper.take_diff(diff)
    assert keeper.wants_snapshot
    assert not keeper.take_snapshot(exchange.snapshot(exchange.diffs[10 + ahead].last, 1_000))
    assert (keeper.live, keeper.wants_snapshot, keeper.last) == (True, False, exchange.diffs[9].last)
    for diff in exchange.diffs[10 : 11 + ahead]:
        assert keeper.take_diff(diff)
        assert_right(keeper, exchange, 25)
    assert tuple(keeper.top(1_000)) == exchange.top(keeper.last, 1_000)
    assert (keeper.session, keeper.counts["refreshed"], keeper.counts["gap"]) == (0, 1, 0)


def test_a_refreshing_snapshot_between_two_diffs_is_reached_by_the_next(exchange: KnownExchange) -> None:
    keeper = begun(exchange, 10, levels=25, depth=6)
    diff = next(d for d in exchange.diffs[10:] if d.last - d.first > 1)
    for before in exchange.diffs[10 : exchange.diffs.index(diff)]:
        keeper.take_diff(before)
    shown = exchange.snapshot(keeper.last, 1_000)._replace(last=diff.first)
    assert not keeper.take_snapshot(shown)
    assert keeper.take_diff(diff)
    assert tuple(keeper.top(1_000)) == exchange.top(diff.last, 1_000)


def test_a_gap_before_the_refreshing_snapshot_asks_for_another(exchange: KnownExchange) -> None:
    keeper = begun(exchange, 10, levels=25, depth=6)
    keeper.take_snapshot(exchange.snapshot(exchange.diffs[14].last, 1_000))
    assert not keeper.take_diff(exchange.diffs[12])
    assert (keeper.live, keeper.wants_snapshot, keeper.cause) == (False, True, "gap")
    assert keeper.take_snapshot(exchange.snapshot(exchange.diffs[11].last, 1_000))
    assert_right(keeper, exchange, 25)


def test_a_lost_connection_makes_the_book_unreadable_until_a_diff_follows(exchange: KnownExchange) -> None:
    keeper = begun(exchange)
    keeper.disconnect()
    assert (keeper.live, keeper.cause) == (False, "disconnected")
    assert keeper.take_diff(exchange.diffs[10])
    assert (keeper.session, keeper.wants_snapshot) == (0, False)


def test_a_distrusted_book_begins_again(exchange: KnownExchange) -> None:
    keeper = begun(exchange)
    keeper.distrust()
    assert (keeper.live, keeper.wants_snapshot, keeper.counts["distrusted"]) == (False, True, 1)


def test_diffs_that_wait_are_bounded() -> None:
    keeper = BookKeeper("BTCUSDT", levels=1)
    for i in range(MOST_WAITING + 7):
        ts = i * STEP_NS
        keeper.take_diff(Diff("BTCUSDT", ts, ts, i, i, i - 1, False, [(5, 1)], []))
    assert keeper.counts["overflow"] == 7


def test_messages_of_another_symbol_are_not_taken(exchange: KnownExchange) -> None:
    keeper = begun(exchange)
    assert not keeper.take_diff(exchange.diffs[10]._replace(symbol="ETHUSDT"))
    assert not keeper.take_snapshot(exchange.snapshot(200, 9)._replace(symbol="ETHUSDT"))
    assert keeper.counts["foreign"] == 2
    assert keeper.take_diff(exchange.diffs[10])


def test_what_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="levels"):
        BookKeeper("BTCUSDT", levels=0)
    with pytest.raises(InvalidValue, match="symbol"):
        BookKeeper("")
    with pytest.raises(InvalidValue, match="nonsense"):
        BookKeeper("BTCUSDT").count("nonsense")
