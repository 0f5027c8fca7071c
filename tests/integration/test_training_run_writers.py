"""Two processes that write one run table at the same time."""

import subprocess
import sys
from pathlib import Path

from consilium.training.runs import RunTable

RUNS = 60

WRITER = """
import sys
from pathlib import Path
from consilium.training.runs import RunTable

class Clock:
    def now_ns(self) -> int:
        return 1

print("ready", flush=True)
sys.stdin.readline()
table = RunTable(Path(sys.argv[1]), Clock())
for turn in range(int(sys.argv[3])):
    with table.start("train", {"writer": sys.argv[2], "turn": turn}) as run:
        run.record({"turn": turn})
"""


class _Clock:
    def now_ns(self) -> int:
        return 0


def test_two_writers_lose_no_run_and_mix_none_up(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name, str(RUNS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n")
        assert writer.returncode == 0
    rows = RunTable(path, _Clock()).rows()
    assert len({row.run_id for row in rows}) == 2 * RUNS
    for name in ("a", "b"):
        mine = [row for row in rows if row.config["writer"] == name]
        assert [row.config["turn"] for row in mine] == list(range(RUNS))
        assert all(row.status == "ok" and row.figures == {"turn": row.config["turn"]} for row in mine)
