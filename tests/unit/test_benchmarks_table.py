"""Every benchmark is known to `make bench`, and its thresholds are read by somebody."""

import sys
import tomllib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.run_all import HERE, HOURS, dead, scripts

NAMES = tuple(scripts())


def test_every_table_of_thresholds_is_read_by_its_script() -> None:
    assert dead() == []
    assert set(HOURS) <= set(NAMES)


@pytest.mark.parametrize("name", tomllib.loads((HERE / "thresholds.toml").read_text()))
def test_every_threshold_is_named_in_its_script(name: str) -> None:
    table = tomllib.loads((HERE / "thresholds.toml").read_text())[name]
    text = (HERE / f"{name}.py").read_text()
    unread = [key for key in table if key not in text and not _assembled(key, text)]
    assert unread == []


def _assembled(key: str, text: str) -> bool:
    """Tell whether a key is put together from an f-string of the script, such as f"{name}_seconds"."""
    return any(f"}}{key[at:]}" in text for at in range(1, len(key) - 4) if key[at] == "_")


def test_a_table_without_a_script_is_found(tmp_path: Path) -> None:
    (tmp_path / "thresholds.toml").write_text("[speed]\nmost = 1\n[gone]\nmost = 1\n")
    (tmp_path / "speed.py").write_text('# __main__ reads thresholds.toml at ["speed"]')
    (tmp_path / "shapes.py").write_text("WIDTH = 1\n")
    assert dead(tmp_path) == ["gone"]
    assert tuple(scripts(tmp_path)) == ("speed",)
