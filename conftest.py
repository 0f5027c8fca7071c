"""Examples of the networks run where torch is there; the rest of the suite never needs it."""

from importlib.util import find_spec
from pathlib import Path

collect_ignore: list[str] = []
if find_spec("torch") is None:
    _models = Path(__file__).parent / "src" / "consilium" / "models"
    _tasks = _models.parent / "federated" / "tasks"
    collect_ignore = [
        str(path)
        for folder in (_models, _tasks)
        for path in folder.rglob("*.py")
        if "layers.network" in path.read_text(encoding="utf-8")
    ]
    collect_ignore.append(str(Path(__file__).parent / "tests" / "loop_cases.py"))
    collect_ignore += [str(_models / "layers" / "network"), str(_models.parent / "training" / "network")]


def pytest_report_header() -> str | None:
    """Say why examples are left out."""
    if collect_ignore:
        return (
            "examples of the networks are left out: torch is not installed (pip install 'consilium[torch]')"
        )
    return None
