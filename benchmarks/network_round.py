"""Rounds over HTTPS between real processes: `python benchmarks/network_round.py`.

One `consilium serve` with TLS and five `consilium federate participant`, all on this machine, sum updates of
100,000 numbers in secret (`--mode visible`: in the open). A round is timed from the end of the one before to
its own end, so that waking, opening, training and summing are all in it; the first is not counted. Training
of the task synthetic is a draw of numbers, and what participants say it took is told beside. Exit code 1 if a
round failed, missed somebody, or the median misses the bound of thresholds.toml.
"""

import argparse
import re
import sys
import tempfile
import time
import tomllib
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from live_process import journal_of
from round_cases import Network, network

OWNERS, NUMBERS, ROUNDS = 5, 100_000, 5
TRAINED = re.compile(r"trained in ([0-9.]+) s")


def played(folder: Path, mode: str) -> tuple[list[dict[str, Any]], list[float], float, dict[str, float]]:
    """Return reports, seconds of each round but the first, the longest training, and seconds of processor."""
    with network(folder, OWNERS) as net:
        net.create(rounds=ROUNDS + 1, dimension=NUMBERS, mode=mode)
        for name in net.names:
            net.start_participant(name)
        net.until(lambda: net.joined() == OWNERS, "all have joined")
        with net.client() as client:
            client.start_session("s1", "all have joined")
            while client.session_about("s1").state == "running":
                time.sleep(0.5)
            reports = client.session_reports("s1").reports
        used = {"coordinator": processor(net, "coordinator")}
        longest = max(
            (float(told) for name in net.names for told in TRAINED.findall(net.log(name))), default=0.0
        )
    with journal_of(folder / "data") as journal:
        rows = journal.read(0, 100, topics=["network.round_closed"])
    ends = [row.event.ts_event for row in rows]
    return reports, [(b - a) / 1e9 for a, b in pairwise(ends)], longest, used


def processor(net: Network, name: str) -> float:
    """Return seconds that a process has had of a processor."""
    fields = Path(f"/proc/{net.processes[name].pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> int:
    """Play, tell and check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mode", choices=("sum", "visible"), default="sum")
    mode = parser.parse_args().mode
    bound = tomllib.loads((Path(__file__).parent / "thresholds.toml").read_text())["network_round"]
    with tempfile.TemporaryDirectory() as folder:
        reports, seconds, longest, used = played(Path(folder), mode)
    failed = [one["failed"] for one in reports if one["failed"] or len(one["survivors"]) < OWNERS]
    print("| mode | round, s | least | most | longest training, s | processor of the service in all, s |")
    print("|---|---|---|---|---|---|")
    print(
        f"| {mode} | {median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} | {longest:.2f} | "
        f"{used['coordinator']:.1f} |"
    )
    if failed or len(seconds) != ROUNDS:
        print(f"missed: every round must count all {OWNERS}; {failed or f'{len(seconds)} rounds'}")
        return 1
    if median(seconds) > bound["round_s"]:
        print(f"missed: a round must take <= {bound['round_s']} s; took {median(seconds):.2f}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
