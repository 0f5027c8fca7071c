"""Full counts of the laws, the long tests and the controls, written to benchmarks/soak.md: `make soak`.

`python benchmarks/soak.py PART...` runs some parts only (laws, long, controls), with `--only PATH...`
some files of laws or long. What was not run keeps its row, with the commit it was run at.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import parse

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "benchmarks" / "soak.md"
HEAD = """# Soak

`make soak`, two cores; each row with its own date and commit, since parts may be run alone
(`python benchmarks/soak.py long --only tests/integration/test_journal_kills.py`). Seconds are of a shared
machine.
"""
TESTS = {
    "laws": ("Laws, 2,000 examples each", ["tests/property", "-m", "not long and not soak and not peers"]),
    "long": ("Long and soak tests, full counts", ["tests", "-m", "long or soak"]),
}
CONTROLS = "Controls, 200 worlds of each kind"


class Row(NamedTuple):
    """One test of the page."""

    test: str
    outcome: str
    seconds: str
    date: str
    commit: str


def commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


def tested(arguments: list[str], at: str) -> tuple[list[Row], bool]:
    """Run tests; return a row for each and whether all passed."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "junit.xml"
        code = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal"),
                f"--junitxml={found}",
                *arguments,
            ],
            cwd=ROOT,
            env={**os.environ, "CONSILIUM_TEST_PROFILE": "soak"},
            check=False,
        ).returncode
        cases = list(parse(found).getroot().iter("testcase"))  # noqa: S314 - pytest wrote the file just now
    rows = []
    for case in cases:
        outcome = "failed" if case.find("failure") is not None or case.find("error") is not None else "passed"
        outcome = "skipped" if case.find("skipped") is not None else outcome
        name, seconds = case.get("name", ""), f"{float(case.get('time', '0')):.1f}"
        rows.append(Row(name, outcome, seconds, f"{datetime.now(UTC):%Y-%m-%d}", at))
    return rows, code == 0


def controlled() -> tuple[list[str], bool]:
    """Judge 200 worlds of each kind; the table is that of judge_power.md."""
    code = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "judge_power.py")], cwd=ROOT, check=False
    ).returncode
    page = (ROOT / "benchmarks" / "judge_power.md").read_text()
    return [line for line in page.splitlines() if line.startswith("|")], code == 0


def sections() -> dict[str, str]:
    """Return what the page holds under each title."""
    old = TARGET.read_text() if TARGET.exists() else ""
    parts = re.findall(r"^## .*?(?=^## |\Z)", old, flags=re.MULTILINE | re.DOTALL)
    return {part.splitlines()[0][3:]: part.split("\n", 1)[1].strip() + "\n" for part in parts}


def kept(title: str, rows: list[Row]) -> list[Row]:
    """Return the rows of a section with new ones in the place of old ones of the same name."""
    cells = [
        line.strip("| ").split(" | ")
        for line in sections().get(title, "").splitlines()
        if line.startswith("| test_")
    ]
    old, new = [Row(*row) for row in cells], {row.test for row in rows}
    return sorted([*(row for row in old if row.test not in new), *rows], key=lambda row: -float(row.seconds))


def summary(rows: list[Row]) -> str:
    failed, days = [row.test for row in rows if row.outcome == "failed"], sorted({row.date for row in rows})
    word = f"SOME FAILED: {', '.join(failed)}" if failed else "none failed"
    return f"{len(rows)} tests, {days[0]} to {days[-1]}: {word}."


def table(rows: list[Row]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [
        summary(rows),
        "",
        "| test | outcome | seconds | date | commit |",
        "|---|---|---|---|---|",
        *lines,
    ]


def written(title: str, lines: list[str]) -> None:
    """Replace one section of the page, or add it."""
    found = sections() | {title: "\n".join(lines) + "\n"}
    titles = [heading for heading, _ in TESTS.values()] + [CONTROLS]
    TARGET.write_text("\n".join([HEAD, *(f"## {name}\n\n{found[name]}" for name in titles if name in found)]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*TESTS, "controls", []], help="default: all")
    parser.add_argument("--only", nargs="+", default=[], metavar="PATH", help="some test files of the part")
    asked = parser.parse_args()
    if asked.only and asked.parts not in (["laws"], ["long"]):
        parser.error("--only needs one part, laws or long")
    passed, at = True, commit()  # asked once: the page itself changes with the first part
    for name in asked.parts or [*TESTS, "controls"]:
        begun = time.monotonic()
        if name in TESTS:
            title, (tests, *marks) = TESTS[name]
            rows, ok = tested([*(asked.only or [tests]), *marks], at)
            written(title, table(kept(title, rows)))
        else:
            judged, ok = controlled()
            word, seconds = "all passed" if ok else "SOME FAILED", time.monotonic() - begun
            told = f"{datetime.now(UTC):%Y-%m-%d} at commit {at}: {word}, {seconds:,.0f} s."
            written(CONTROLS, [told, "", *judged])
        passed &= ok
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
