"""Processes that open the same outcomes at the same time, and one that is killed in between."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from consilium.training.runs import RunTable
from run_tables import old_table

COMMON = """
import sys
from pathlib import Path
from consilium.training.runs import RunTable

class Clock:
    def now_ns(self) -> int:
        return 1

def opened(table):
    return table.start("judge", {}).open_slice(
        market="observed", interval_ns=1, first=0, last=9, symbols=["BTCUSDT"]
    )

print("ready", flush=True)
sys.stdin.readline()
"""

OPENER = (
    COMMON
    + """
table = RunTable(Path(sys.argv[1]), Clock())
for turn in range(int(sys.argv[2])):
    print(len(opened(table)), flush=True)
"""
)

VICTIM = (
    COMMON
    + """
from consilium.training.runs import openings
table = RunTable(Path(sys.argv[1]), Clock())
def stop(*args, **kwargs):
    print("inside", flush=True)
    sys.stdin.readline()
openings.overlapping = stop
opened(table)
"""
)


class _Clock:
    def now_ns(self) -> int:
        return 0


def process(text: str, *arguments: str) -> subprocess.Popen[str]:
    made = subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert made.stdout is not None
    assert made.stdout.readline() == "ready\n"
    return made


def test_of_processes_that_open_at_once_each_sees_all_who_came_first(tmp_path: Path) -> None:
    path, turns = tmp_path / "runs.db", 20
    old_table(path)
    openers = [process(OPENER, str(path), str(turns)) for _ in range(3)]
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("go\n")
        opener.stdin.flush()
    seen = []
    for opener in openers:
        out, _ = opener.communicate()
        assert opener.returncode == 0
        seen += [int(line) for line in out.split()]
    # One of the older runs has read BTCUSDT; every opening counts exactly those before it.
    assert sorted(seen) == list(range(1, 3 * turns + 1))


def test_a_kill_inside_an_opening_leaves_none_and_locks_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    victim = process(VICTIM, str(path))
    assert victim.stdin is not None
    assert victim.stdout is not None
    victim.stdin.write("go\n")
    victim.stdin.flush()
    assert victim.stdout.readline() == "inside\n"
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    victim.stdin.close()
    victim.stdout.close()
    table = RunTable(path, _Clock())
    run = table.start("judge", {})
    assert run.open_slice(market="observed", interval_ns=1, first=0, last=9, symbols=["BTCUSDT"]) == ()
    assert [row.status for row in table.rows()] == ["running", "running"]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM openings").fetchone() == (1,)
    connection.close()
