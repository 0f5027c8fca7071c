"""Recorders that are killed with SIGKILL, again and again, at any instant of taking, writing and joining."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from consilium.market.book.archive import read_books, read_trades
from consilium.market.collector.gap_log import read_gaps
from recorder_cases import (
    assert_same,
    exchange,
    files,
    recorded_books,
    recorded_trades,
    trade,
    true_books,
    true_trades,
)

FULL = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"
DIFFS = 2_500
EVERY = 20

# The driver imports once; for each line on its input it starts a process that records the exchange from its
# beginning (what is on the disk already it leaves out), now and then flushing and joining, and kills it after
# the given seconds. Then it says how many books and trades that process had taken.
DRIVER = """
import mmap, os, signal, struct, sys, time
from pathlib import Path
from book_exchange import START_NS
from consilium.domain.time import DAY_NS
from consilium.market.collector.compaction import compact
from recorder_cases import exchange, kept_books, recorder, trade

folder, every = Path(sys.argv[1]), int(sys.argv[2])
known = exchange()
taken = mmap.mmap(-1, 16)
for line in sys.stdin:
    taken[:] = bytes(16)
    writer = os.fork()
    if writer == 0:
        kept = recorder(folder, every=every)
        for i, keeper in enumerate(kept_books(known)):
            kept.take_book(keeper)
            struct.pack_into("q", taken, 0, i + 1)
            kept.take_trade(trade(i))
            struct.pack_into("q", taken, 8, i + 1)
            if i % 170 == 169:
                kept.flush()
            if i % 410 == 409:
                compact(folder, before=START_NS + DAY_NS)
        while True:
            compact(folder, before=START_NS + DAY_NS)
            time.sleep(0.001)
    time.sleep(float(line))
    os.kill(writer, signal.SIGKILL)
    _, status = os.waitpid(writer, 0)
    print(os.WTERMSIG(status), *struct.unpack("qq", taken[:]), flush=True)
"""


@pytest.mark.parametrize("kills", [8, pytest.param(200 if FULL else 20, marks=pytest.mark.long)])
def test_a_kill_loses_the_unwritten_tail_at_most(tmp_path: Path, kills: int) -> None:
    rng = np.random.default_rng(20240808 + kills)
    known, folder = exchange(), tmp_path / "record"
    books, trades = true_books(known), true_trades([trade(number) for number in range(DIFFS)])
    done = [0, 0]
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder), str(EVERY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        for kill in range(kills):
            # a kill comes soon after the start, where a run repairs what the last one left, or far in
            driver.stdin.write(f"{rng.uniform(0.0, 0.05 if kill % 3 == 0 else 0.7)}\n")
            driver.stdin.flush()
            signal, *taken = map(int, driver.stdout.readline().split())
            assert signal == 9
            kept = files(folder, "books"), files(folder, "trades")
            if not all(kept):  # killed before the first file, perhaps after its folder
                assert all(count < EVERY for count, there in zip(taken, kept, strict=True) if not there)
                continue
            found, dealt = recorded_books(folder), recorded_trades(folder)
            # an exact prefix of what the exchange did, without a hole: no row is lost, doubled or changed
            assert_same(found, books.slice(0, len(found)), but=("session",))
            assert_same(dealt, trades.slice(0, len(dealt)))
            for rows, count, before in zip((found, dealt), taken, done, strict=True):
                assert len(rows) >= before
                assert len(rows) > count - EVERY
            done = [len(found), len(dealt)]
            assert (len(read_books(folder)), len(read_trades(folder))) == tuple(done)
            assert (np.diff(found.session) >= 0).all()
            # each run that wrote began a session, and said so
            told = [gap for gap in read_gaps(folder) if gap["kind"] == "books"]
            starts = found.ts_event[1:][np.diff(found.session) > 0]
            assert set(starts.tolist()) <= {gap["ts_event_end"] for gap in told}
            assert all(gap["cause"] == "restart" for gap in told)
        driver.stdin.close()
    assert done[0] > 5 * EVERY
    assert [gap for gap in read_gaps(folder) if gap["kind"] == "trades"] == []
