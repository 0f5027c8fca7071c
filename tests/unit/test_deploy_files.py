"""Units, container and compose files: readable by what reads them, and naming only what exists."""

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from consilium.app.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.*"))
NAMED = [
    *sorted(path for path in DEPLOY.rglob("*") if path.is_file()),
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
VARIABLE = re.compile(r"\bCONSILIUM_[A-Z0-9_]+\b")
NOT_SETTINGS = {"CONSILIUM_DEBUG"}


def _exists(variable: str) -> bool:
    found: Any = Settings
    for part in variable.removeprefix("CONSILIUM_").lower().split("__"):
        fields = getattr(found, "model_fields", {})
        if part not in fields:
            return isinstance(found, type) and issubclass(found, dict)
        found = fields[part].annotation
        found = dict if getattr(found, "__origin__", None) is dict else found
    return True


@pytest.mark.parametrize("path", NAMED, ids=lambda path: path.name)
def test_every_variable_that_is_named_is_a_setting(path: Path) -> None:
    named = set(VARIABLE.findall(path.read_text())) - NOT_SETTINGS
    assert {name for name in named if not name.startswith("CONSILIUM_TEST_") and not _exists(name)} == set()


def test_a_variable_that_is_no_setting_would_be_found() -> None:
    assert _exists("CONSILIUM_LOG__FORMAT")
    assert not _exists("CONSILIUM_LOGS__FORMAT")
    assert not _exists("CONSILIUM_LOG__FORMATS")


def _unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names of systemd are not folded
    parser.read(DEPLOY / "systemd" / name)
    return parser


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in UNITS:
        # the program of an installed service is not where the tests run; another that is there stands in
        text = unit.read_text().replace("/opt/consilium/bin/consilium", shutil.which("true") or "/bin/true")
        (tmp_path / unit.name).write_text(text)
    paths = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    offline = ["systemd-analyze", "security", "--offline=true", "--threshold=20", paths[-1]]
    assert UNITS[-1].name == "consilium.service"
    hard = subprocess.run(offline, capture_output=True, text=True, check=False)
    assert hard.returncode == 0, hard.stdout[-300:]


def test_the_service_is_hardened_and_ends_gracefully() -> None:
    service = _unit("consilium.service")["Service"]
    assert service["NoNewPrivileges"] == service["DynamicUser"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert (service["KillSignal"], service["Restart"]) == ("SIGTERM", "on-failure")
    assert service["RestartPreventExitStatus"] == "2"
    assert int(service["TimeoutStopSec"]) >= 30
    assert "EnvironmentFile" in service
    backup = _unit("consilium-backup.service")["Service"]
    assert backup["User"] == service["User"]


def test_the_image_is_built_in_two_stages_and_runs_as_nobody_special() -> None:
    lines = (DEPLOY / "docker" / "Dockerfile").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith(("#", " "))]
    assert sum(word[0] == "FROM" for word in words) == 2
    last = [word for word in words if word[0] in {"USER", "ENTRYPOINT", "CMD"}]
    assert last[-3:] == [["USER", "consilium"], ["ENTRYPOINT", '["consilium"]'], ["CMD", '["serve"]']]
    for word in words:
        if word[0] == "COPY" and not word[1].startswith("--from"):
            assert all((ROOT / source).exists() for source in word[1:-1]), word
    asked = re.search(r"'\.\[([a-z,]+)\]'", "\n".join(lines))
    assert asked is not None
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(asked.group(1).split(",")) <= set(extras)


def test_the_compose_file_names_what_it_uses_and_keeps_secrets_out() -> None:
    path = DEPLOY / "docker" / "compose.yml"
    found = yaml.safe_load(path.read_text())
    services = found["services"]
    assert set(services) == {"consilium", "postgres", "valkey"}
    for service in services.values():
        mounted = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert mounted <= set(found["volumes"])
        assert set(service.get("depends_on", {})) <= set(services)
    own = services["consilium"]
    assert (path.parent / own["build"]["context"] / own["build"]["dockerfile"]).is_file()
    assert own["ports"] == ["127.0.0.1:8001:8001"]
    assert "appendonly yes" in " ".join(services["valkey"]["command"])
    given = set(re.findall(r"\$\{([A-Z_]+)", path.read_text()))
    example = (path.parent / "env.example").read_text()
    assert given == set(re.findall(r"^([A-Z_]+)=", example, flags=re.MULTILINE))
    assert re.findall(r"^[A-Z_]*(?:PASSWORD|KEY)=.+$", example, flags=re.MULTILINE) == []
