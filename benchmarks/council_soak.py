"""Full counts of what proves the council: `python benchmarks/council_soak.py [PART...] [--count N]`.

walks: random reports, after each of which no two things that are said or in force may contradict each other.
mutants: each planted fault, and the law that noticed it. machine: the invariants, N runs of 60 steps.
Each part replaces its section of council_soak.md; exit code 1 if one fails.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import pytest

from council_mutants import MUTANTS, Mutant
from property.test_council_laws import WALK, walks_without_contradiction
from property.test_council_machine import CouncilMachine, _notices, _run

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "benchmarks" / "council_soak.md"
HEAD = """# The council at full counts

`nice -n 5 python benchmarks/council_soak.py`, one process; each part with its own commit. Seconds are of
processor time and of the clock, on a shared machine.
"""
COUNTS = {"walks": 1_000_000, "mutants": 200, "machine": 400}
TITLES = {"walks": "Random reports", "mutants": "Planted faults", "machine": "The invariants"}
Part = tuple[list[str], bool]


def walks(count: int) -> Part:
    """Let councils hear random reports, 500 each, until the count is full."""
    for seed in range(count // WALK):
        walks_without_contradiction(seed)
    return [f"{count:,} reports, {count // WALK:,} councils: no contradiction."], True


def noticed(fault: Mutant, examples: int) -> str:
    """Return the law that notices a fault, empty if none does."""
    with pytest.MonkeyPatch.context() as patch:
        fault.plant(patch)
        try:
            _notices(examples)
        except (AssertionError, ExceptionGroup) as error:
            first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            return str(first).partition(":")[0].splitlines()[0].strip() or type(first).__name__
    return ""


def mutants(examples: int) -> Part:
    """Plant each fault, and see which law breaks."""
    rows, survived = ["| planted | noticed by | seconds |", "|---|---|---|"], 0
    for fault in MUTANTS:
        begun = time.monotonic()
        law = noticed(fault, examples)
        survived += not law
        rows.append(f"| {fault} | {law or 'NOTHING'} | {time.monotonic() - begun:.0f} |")
        sys.stdout.write(rows[-1] + "\n")
        sys.stdout.flush()
    return [*rows, "", f"{len(MUTANTS)} planted, {len(MUTANTS) - survived} noticed."], not survived


def machine(examples: int) -> Part:
    """Let everything go wrong in any order, and check every law after each message."""
    _run(CouncilMachine, examples, 60)
    return [f"{examples} runs of 60 steps: every law held after each message."], True


PARTS: dict[str, Callable[[int], Part]] = {"walks": walks, "mutants": mutants, "machine": machine}


def section(name: str, count: int) -> tuple[str, bool]:
    """Run a part; return its section and whether it passed."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    commit, clock, busy = described.stdout.strip() or "unknown", time.monotonic(), time.process_time()
    rows, passed = PARTS[name](count)
    spent = f"{time.process_time() - busy:,.0f} s of processor time, {time.monotonic() - clock:,.0f} s"
    told = f"{datetime.now(UTC):%Y-%m-%d} at commit {commit}, {spent}."
    return "\n".join([f"## {TITLES[name]}", "", told, "", *rows, ""]), passed


def written(name: str, text: str) -> None:
    """Replace one section of the page, or add it."""
    old = TARGET.read_text() if TARGET.exists() else ""
    kept = re.findall(r"^## .*?(?=^## |\Z)", old, flags=re.MULTILINE | re.DOTALL)
    sections = {part.splitlines()[0][3:]: part.strip() + "\n" for part in kept} | {TITLES[name]: text}
    TARGET.write_text("\n".join([HEAD, *(sections[title] for title in TITLES.values() if title in sections)]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--count", type=int, help="reports, or runs of the machine")
    chosen = parser.parse_args()
    passed = True
    for name in chosen.parts or [*PARTS]:
        text, good = section(name, chosen.count or COUNTS[name])
        written(name, text)
        passed &= good
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
