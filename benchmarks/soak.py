"""Full counts of the laws, the long tests and the controls, written to benchmarks/soak.md: `make soak`.

`python benchmarks/soak.py PART...` runs some parts only (laws, long, controls) and replaces their sections.
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
from xml.etree.ElementTree import parse

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "benchmarks" / "soak.md"
HEAD = """# Soak

`make soak`, two cores; each part with its own commit, since it may be run alone. Seconds are of a shared
machine.
"""
TESTS = {
    "laws": ("Laws, 2,000 examples each", ["tests/property", "-m", "not long and not soak and not peers"]),
    "long": ("Long and soak tests, full counts", ["tests", "-m", "long or soak"]),
}
CONTROLS = "Controls, 200 worlds of each kind"


def commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


def tested(arguments: list[str]) -> tuple[list[str], bool]:
    """Run tests; return the rows of their table and whether all passed."""
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
    rows = ["| test | outcome | seconds |", "|---|---|---|"]
    for case in sorted(cases, key=lambda case: -float(case.get("time", "0"))):
        outcome = "failed" if case.find("failure") is not None or case.find("error") is not None else "passed"
        outcome = "skipped" if case.find("skipped") is not None else outcome
        rows.append(f"| {case.get('name')} | {outcome} | {float(case.get('time', '0')):.1f} |")
    return rows, code == 0


def controlled() -> tuple[list[str], bool]:
    """Judge 200 worlds of each kind; the table is that of judge_power.md."""
    code = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "judge_power.py")], cwd=ROOT, check=False
    ).returncode
    page = (ROOT / "benchmarks" / "judge_power.md").read_text()
    return [line for line in page.splitlines() if line.startswith("|")], code == 0


def section(title: str, rows: list[str], passed: bool, seconds: float, at: str) -> str:
    word = "all passed" if passed else "SOME FAILED"
    told = f"{datetime.now(UTC):%Y-%m-%d} at commit {at}: {word}, {seconds:,.0f} s."
    return "\n".join([f"## {title}", "", told, "", *rows, ""])


def written(title: str, text: str) -> None:
    """Replace one section of the page, or add it."""
    old = TARGET.read_text() if TARGET.exists() else ""
    kept = re.findall(r"^## .*?(?=^## |\Z)", old, flags=re.MULTILINE | re.DOTALL)
    titles = [heading for heading, _ in TESTS.values()] + [CONTROLS]
    sections = {part.splitlines()[0][3:]: part.strip() + "\n" for part in kept} | {title: text}
    TARGET.write_text("\n".join([HEAD, *(sections[name] for name in titles if name in sections)]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*TESTS, "controls", []], help="default: all")
    chosen = parser.parse_args().parts or [*TESTS, "controls"]
    passed, at = True, commit()  # asked once: the page itself changes with the first part
    for name in chosen:
        begun = time.monotonic()
        title = TESTS[name][0] if name in TESTS else CONTROLS
        rows, ok = tested(TESTS[name][1]) if name in TESTS else controlled()
        written(title, section(title, rows, ok, time.monotonic() - begun, at))
        passed &= ok
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
