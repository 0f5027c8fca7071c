"""Print docs/promises.md from the promise marks; with --check, fail if the file is not current."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "promises.md"
SEEDS = {
    "000": "Model federation",
    "001": "Federation AI v3",
    "002": "Four-model ensemble",
    "003": "Federated learning",
    "004": "Multi-model ensemble",
}


class Collector:
    """Remembers the promise marks of all collected tests."""

    def __init__(self) -> None:
        self.rows: set[tuple[str, str, str]] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("promise"):
                seed, text = mark.args
                self.rows.add((seed, text, item.nodeid.split("[")[0]))


def page(rows: set[tuple[str, str, str]]) -> str:
    """Return the page: one table a seed, one row a promise and test."""
    lines = [
        "# Promises",
        "",
        "What the seed documents promise, and the test that proves it. Printed by `make promises`.",
    ]
    for seed in sorted({row[0] for row in rows}):
        lines += ["", f"## {seed} {SEEDS.get(seed, '')}".rstrip(), "", "| promise | test |", "|---|---|"]
        lines += [f"| {text} | `{test}` |" for s, text, test in sorted(rows) if s == seed]
    return "\n".join(lines) + "\n"


def main() -> int:
    collector = Collector()
    code = pytest.main(["--collect-only", "-qq", "--no-summary", str(ROOT / "tests")], plugins=[collector])
    if code != pytest.ExitCode.OK:
        return 1
    text = page(collector.rows)
    if "--check" in sys.argv:
        if TARGET.exists() and TARGET.read_text() == text:
            return 0
        sys.stderr.write("docs/promises.md is not current: run make promises\n")
        return 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
