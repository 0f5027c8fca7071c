"""The full counts of the long tests and of the laws, written to benchmarks/soak.md: `make soak`."""

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import parse

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "benchmarks" / "soak.md"
PARTS = {
    "laws, 2,000 examples each": ["tests/property", "-m", "not long and not soak and not peers"],
    "long and soak tests, full counts": ["tests", "-m", "long or soak"],
}


def commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


def run(arguments: list[str]) -> tuple[list[str], bool]:
    """Run one part; return its rows of the table and whether it passed."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "junit.xml"
        code = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", f"--junitxml={found}", *arguments],
            cwd=ROOT,
            env={**os.environ, "CONSILIUM_TEST_PROFILE": "soak"},
            check=False,
        ).returncode
        cases = list(parse(found).getroot().iter("testcase"))  # noqa: S314 - pytest wrote the file just now
    rows = []
    for case in sorted(cases, key=lambda case: -float(case.get("time", "0"))):
        outcome = "failed" if case.find("failure") is not None or case.find("error") is not None else "passed"
        outcome = "skipped" if case.find("skipped") is not None else outcome
        rows.append(f"| {case.get('name')} | {outcome} | {float(case.get('time', '0')):.1f} |")
    return rows, code == 0


def main() -> int:
    begun = time.monotonic()
    lines = [
        "# Soak",
        "",
        f"`make soak` on {datetime.now(UTC):%Y-%m-%d} at commit {commit()}, two cores.",
        "Seconds are of a shared machine.",
    ]
    passed = True
    for title, arguments in PARTS.items():
        rows, ok = run(arguments)
        passed &= ok
        lines += ["", f"## {title}", "", "| test | outcome | seconds |", "|---|---|---|", *rows]
    lines += [
        "",
        f"All of it took {time.monotonic() - begun:,.0f} s; {'all passed' if passed else 'SOME FAILED'}.",
    ]
    TARGET.write_text("\n".join(lines) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
