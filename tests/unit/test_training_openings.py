"""Who has read which outcomes before, what was tried on them, and what earlier verdicts said."""

from pathlib import Path

import numpy as np
import pytest

from consilium.domain import DAY_NS, InvalidValue
from consilium.training.runs import OBSERVED, Opening, Run, RunTable, past_verdicts
from run_tables import old_table

HOUR = 3600 * 10**9


class _Clock:
    """Ticks a second at each look, from noon of day 100 on."""

    def __init__(self) -> None:
        self.now = 100 * DAY_NS

    def now_ns(self) -> int:
        self.now += 1_000_000_000
        return self.now


@pytest.fixture
def table(tmp_path: Path) -> RunTable:
    return RunTable(tmp_path / "runs.db", _Clock())


def reads(
    run: Run, first: int, last: int, symbols: tuple[str, ...] = ("BTCUSDT",), market: str = OBSERVED
) -> tuple[Opening, ...]:
    return run.open_slice(market=market, interval_ns=HOUR, first=first, last=last, symbols=symbols)


def test_an_opening_tells_of_the_earlier_ones_that_overlap(table: RunTable) -> None:
    with table.start("backtest", {"a": 1}) as one:
        assert reads(one, 0, 100, ("ETHUSDT", "BTCUSDT")) == ()
    (earlier,) = reads(table.start("judge", {"a": 2}), 100, 200)
    assert earlier == Opening(
        run_id=one.run_id,
        kind="backtest",
        ts_started=table.rows()[0].ts_started,
        first=0,
        last=100,
        symbols=("BTCUSDT", "ETHUSDT"),
        config_hash=table.rows()[0].config_hash,
    )


def test_the_table_tells_what_a_run_has_read(table: RunTable) -> None:
    run, other = table.start("judge", {}), table.start("judge", {})
    assert table.read_by(run.run_id) == ()
    reads(run, 0, 10)
    reads(other, 5, 6)
    reads(run, 11, 20)
    assert table.read_by(run.run_id) == ((0, 10), (11, 20))
    with pytest.raises(InvalidValue, match="the run must be in the run table"):
        table.read_by("000009-00000000")


@pytest.mark.parametrize(
    ("first", "last", "symbols", "market"),
    [
        (101, 200, ("BTCUSDT",), OBSERVED),
        (0, 9, ("BTCUSDT",), OBSERVED),
        (10, 100, ("SOLUSDT",), OBSERVED),
        (10, 100, ("BTCUSDT",), "simulate:seed=7"),
    ],
)
def test_another_time_symbol_or_market_is_no_earlier_opening(
    table: RunTable, first: int, last: int, symbols: tuple[str, ...], market: str
) -> None:
    reads(table.start("judge", {}), 10, 100, ("ADAUSDT", "BTCUSDT"))
    assert reads(table.start("judge", {}), first, last, symbols, market) == ()


def test_failed_aborted_and_running_runs_have_opened_too(table: RunTable) -> None:
    def fails(error: BaseException) -> None:
        with table.start("judge", {"same": True}) as run:
            reads(run, 0, 10)
            raise error

    with pytest.raises(ValueError, match="x"):
        fails(ValueError("x"))
    with pytest.raises(KeyboardInterrupt):
        fails(KeyboardInterrupt())
    reads(table.start("train", {}), 0, 10)
    again = table.start("judge", {"same": True})
    earlier = reads(again, 5, 5)
    assert [o.kind for o in earlier] == ["judge", "judge", "train"]
    (mine,) = (row.config_hash for row in table.rows() if row.run_id == again.run_id)
    assert sum(o.config_hash == mine for o in earlier) == 2


def test_what_a_run_reads_in_two_steps_is_one_look(table: RunTable) -> None:
    run = table.start("judge", {})
    reads(run, 0, 10)
    assert reads(run, 5, 20) == ()
    assert len(reads(table.start("judge", {}), 0, 20)) == 2


@pytest.mark.parametrize(
    ("first", "last", "symbols", "market"),
    [(5, 4, ("A",), OBSERVED), (-1, 4, ("A",), OBSERVED), (0, 4, (), OBSERVED), (0, 4, ("A",), "")],
)
def test_what_is_no_opening_is_refused_and_not_written(
    table: RunTable, first: int, last: int, symbols: tuple[str, ...], market: str
) -> None:
    with pytest.raises(InvalidValue):
        reads(table.start("judge", {}), first, last, symbols, market)
    with pytest.raises(InvalidValue, match="the run must be in the run table"):
        table.open_slice("000009-00000000", market=OBSERVED, interval_ns=HOUR, first=0, last=9, symbols=["A"])
    assert reads(table.start("judge", {}), 0, 9, ("A",)) == ()


def test_trials_of_earlier_runs_come_back_on_the_days_asked_for(table: RunTable) -> None:
    one = table.start("judge", {})
    reads(one, 0, 100 * DAY_NS)
    one.keep_returns(np.array([10, 12, 60]), np.array([0.1, -0.2, 0.3]), "edge")
    one.keep_returns(np.arange(200, 240), np.full(40, 0.01), "later")
    asking = table.start("judge", {})
    days = np.arange(5, 55)
    found = table.returns_of_overlapping(asking.run_id, days, market=OBSERVED, symbols=["BTCUSDT", "X"])
    expected = np.zeros((50, 1))
    expected[[10 - 5, 12 - 5], 0] = 0.1, -0.2
    assert found.names == (f"{one.run_id}/edge",)
    assert np.array_equal(found.returns, expected)
    assert (found.elsewhere, found.without, found.aborted) == (1, 0, 1)


def test_runs_without_returns_are_counted_but_trainings_and_oneself_are_not(table: RunTable) -> None:
    for kind in ("backtest", "judge", "train"):
        reads(table.start(kind, {}), 0, 100 * DAY_NS)
    reads(table.start("backtest", {}), 0, 100 * DAY_NS, market="simulate:seed=7")
    mine = table.start("judge", {})
    reads(mine, 0, 100 * DAY_NS)
    mine.keep_returns(np.arange(60), np.zeros(60))
    found = table.returns_of_overlapping(mine.run_id, np.arange(60), market=OBSERVED, symbols=["BTCUSDT"])
    assert (found.names, found.returns.shape, found.without) == ((), (60, 0), 2)


def test_the_same_name_replaces_and_few_days_are_compared_with_few(table: RunTable) -> None:
    one = table.start("backtest", {})
    reads(one, 0, 100 * DAY_NS)
    one.keep_returns([1, 2], [0.5, 0.5])
    one.keep_returns([1, 2], [0.1, 0.2])
    found = table.returns_of_overlapping("", np.array([1, 2]), market=OBSERVED, symbols=["BTCUSDT"])
    assert (found.names, found.returns.tolist()) == ((one.run_id,), [[0.1], [0.2]])


@pytest.mark.parametrize(
    ("day", "daily"),
    [
        ([], []),
        ([1, 1], [0.0, 0.0]),
        ([2, 1], [0.0, 0.0]),
        ([1, 2], [0.0]),
        ([1, 2], [0.0, float("nan")]),
        ([1.5, 2.5], [0.0, 0.0]),
        ([86_400 * 10**9], [0.0]),
    ],
)
def test_days_and_returns_that_are_none_are_refused(
    table: RunTable, day: list[float], daily: list[float]
) -> None:
    with pytest.raises(InvalidValue):
        table.start("judge", {}).keep_returns(np.array(day), daily)


def test_verdicts_stay_also_of_a_run_that_was_killed_after_its_own(table: RunTable) -> None:
    with table.start("judge", {"data": "c.parquet"}) as first:
        first.record({"verdict": "better", "trading_verdict": "does not pay", "data": "c.parquet 30 symbols"})
    table.start("judge", {"data": "d.parquet"}).record({"verdict": "not distinguishable"})
    table.start("judge", {})
    with table.start("backtest", {}) as other:
        other.record({"verdict": "worse"})
    one, two = past_verdicts(table)
    assert one == {
        "run": first.run_id,
        "ended": "1970-04-11T00:00:02Z",
        "data": "c.parquet 30 symbols",
        "origin": "observed",
        "config_hash": table.rows()[0].config_hash,
        "word": "better",
        "trading_word": "does not pay",
    }
    assert (two["ended"], two["data"], two["word"], two["trading_word"]) == (
        None,
        "d.parquet",
        "not distinguishable",
        None,
    )
    assert [found["word"] for found in past_verdicts(table, "backtest")] == ["worse"]


def test_verdicts_tell_simulated_markets_and_the_sample_from_real_data(table: RunTable) -> None:
    for data in ("simulate:bars=900", "simulate", "sample", "folder/c.parquet", "simulated.csv", None):
        with table.start("judge", {} if data is None else {"data": data}) as run:
            run.record({"verdict": "worse"})
    origins = [found["origin"] for found in past_verdicts(table)]
    assert origins == ["simulated", "simulated", "sample", "observed", "observed", None]


def test_a_table_of_the_version_before_goes_on_and_its_runs_count_as_openings(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    old_table(path)
    table = RunTable(path, _Clock())
    assert [row.run_id for row in table.rows()] == [f"00000{n}-old" for n in (1, 2, 3, 4)]
    # They cannot have read what came after their start.
    assert reads(table.start("judge", {}), 50 * DAY_NS + 1, 60 * DAY_NS, ("BTCUSDT", "ETHUSDT")) == ()
    again = RunTable(path, _Clock())
    run = again.start("judge", {})
    assert [o.run_id for o in reads(run, 0, 50 * DAY_NS, ("BTCUSDT",))] == ["000001-old"]
    assert [o.kind for o in reads(run, 0, DAY_NS, ("ETHUSDT",))] == ["train"]
    simulated = reads(run, 0, DAY_NS, ("SIM00",), "simulate:bars=900,seed=7")
    assert [o.run_id for o in simulated] == ["000002-old"]
    assert [found["word"] for found in past_verdicts(again, "backtest")] == ["better", "better"]
    with run:
        run.keep_returns([1, 2, 3], [0.0, 0.1, 0.2])
    assert again.rows()[-1].status == "ok"
