"""Every Python example of the pages runs, and prints what the page says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = re.compile(r"```python\n(?P<code>.*?)```\n(?:prints[^\n]*\n```\n(?P<printed>.*?)```)?", re.DOTALL)


def examples() -> list[pytest.ParameterSet]:
    """Return code and printed text of every example, named by page and place."""
    found = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for match in EXAMPLE.finditer(page.read_text()):
            line = page.read_text()[: match.start()].count("\n") + 1
            found.append(pytest.param(match["code"], match["printed"], id=f"{page.name}:{line}"))
    return found


@pytest.mark.parametrize(("code", "printed"), examples())
def test_an_example_of_a_page_runs_and_prints_what_the_page_says(
    code: str,
    printed: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec"), {"__name__": "example"})  # noqa: S102 - our own pages
    if printed is not None:
        assert capsys.readouterr().out.split() == printed.split()
