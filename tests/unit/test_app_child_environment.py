"""Processes that the service starts know none of its secrets."""

import io
import json
import subprocess
import sys
from threading import Event
from typing import Any

import pytest

from consilium.app.child_environment import without_secrets
from consilium.app.live import research, training

SECRET = [
    "CONSILIUM_API_KEY",
    "CONSILIUM_DATABASE_URL",
    "CONSILIUM_REDIS_URL",
    "CONSILIUM_COUNCIL__ALERTS__WEBHOOK_URL",
    "CONSILIUM_COUNCIL__ALERTS__WEBHOOK_SECRET",
    "CONSILIUM_COUNCIL__ALERTS__TELEGRAM_TOKEN",
    "CONSILIUM_COUNCIL__ALERTS__SMTP_URL",
    "CONSILIUM_COUNCIL__ALERTS",
    "CONSILIUM_COUNCIL",
    "consilium_council__alerts__smtp_url",
]


def test_secrets_of_every_section_are_left_out_and_all_else_stays() -> None:
    kept = {"PATH": "/bin", "CONSILIUM_TRAINING__FOLDS": "2", "CONSILIUM_COUNCIL__TICK_S": "1"}
    assert without_secrets(kept | dict.fromkeys(SECRET, "of-the-desk")) == kept


@pytest.mark.parametrize("room", [training, research])
def test_trainings_and_studies_are_started_without_them(room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRET:
        monkeypatch.setenv(name, "of-the-desk")
    real, seen = subprocess.Popen, io.StringIO()

    def started(_: list[str], **given: Any) -> Any:
        told = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
        process = real(told, env=given["env"], stdout=subprocess.PIPE, text=True)
        seen.write(process.communicate()[0])
        return real([sys.executable, "-c", ""], **given)

    monkeypatch.setattr(room.subprocess, "Popen", started)
    if room is training:
        process = training._spawned({})
        process.communicate()
    else:
        research._carried_out({}, Event())
    assert set(json.loads(seen.getvalue())) & set(SECRET) == set()
    assert "of-the-desk" not in seen.getvalue()
