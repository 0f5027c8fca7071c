"""The page at /ui in a real browser; skipped where there is none."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from api_world import ADMIN_KEY, World
from consilium.app.api.routes.page import PAGE, POLICY
from consilium.domain import to_iso
from small_system import HOUR, said

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def test_the_page_names_no_other_host_and_its_policy_allows_none() -> None:
    assert not re.findall(r"(?:https?:)?//[a-z0-9]", PAGE)
    assert "default-src 'none'" in POLICY
    assert "connect-src 'self'" in POLICY
    assert "unsafe" not in POLICY
    assert len(re.findall(r"'sha256-[\w+/=]{44}'", POLICY)) == 2
    assert "prefers-color-scheme: dark" in PAGE


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium or google-chrome")
def test_a_browser_shows_health_consensus_and_weights_live_without_a_complaint(tmp_path: Path) -> None:
    assert BROWSER is not None
    with World(tmp_path / "data", longest_s=3.0) as world:
        for model in ("cnn_lstm", "mpd_transformer", "tlob"):
            world.system.hear(said(model, HOUR, (0.1, 0.2, 0.7)))
        browser = subprocess.Popen(
            [
                *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
                *(f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=6000", "--dump-dom"),
                f"{world.url}/ui#key={ADMIN_KEY}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # What follows is told over the stream: the page is open by now and has read what was before.
        while not world.app.state.hub.clients:
            assert browser.poll() is None
        for model in ("cnn_lstm", "mpd_transformer", "tlob"):
            world.system.hear(said(model, 2 * HOUR, (0.8, 0.1, 0.1)))
        drawn, told = browser.communicate(timeout=60.0)
    complaints = [line for line in told.splitlines() if "CONSOLE" in line]
    assert not complaints
    text = re.sub(r"<script.*?</script>", "", drawn, flags=re.DOTALL)
    assert "healthy · version" in text
    assert "mpd_transformer" in text
    assert 'class="DOWN">DOWN' in text
    assert "up to place 2" in text
    assert ADMIN_KEY not in text


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium or google-chrome")
def test_a_browser_without_a_key_is_told_to_enter_one(tmp_path: Path) -> None:
    assert BROWSER is not None
    with World(tmp_path / "data") as world:
        done = subprocess.run(
            [
                *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=1000"),
                *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"{world.url}/ui"),
            ],
            capture_output=True,
            text=True,
            timeout=60.0,
            check=True,
        )
    text = re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
    assert text.count("enter an API key above to see them") == 3


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium or google-chrome")
def test_a_browser_shows_the_council_frozen_with_its_reason_and_its_earliest_release(tmp_path: Path) -> None:
    assert BROWSER is not None
    with World(tmp_path / "data", longest_s=3.0) as world:
        world.system.kill("<b>smoke</b> in the room", "ann")
        shown = world.system.council_status()
        done = subprocess.run(
            [
                *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
                *(f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=4000", "--dump-dom"),
                f"{world.url}/ui#key={ADMIN_KEY}",
            ],
            capture_output=True,
            text=True,
            timeout=60.0,
            check=True,
        )
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    text = re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
    release = to_iso(shown["release_at"])[:19].replace("T", " ")
    assert f"smoke&lt;/b&gt; in the room. Released at the earliest {release}, after review." in text
    assert "EMERGENCY (FROZEN)" in text
    assert "6 of 6 roles sit" in text
    assert "supervisor F0: mode" in text
    assert "critical: Trading is frozen by operator" in text
    assert 'id="council" aria-labelledby="h-council" class="all halted"' in text or "all halted" in text


def test_every_table_of_the_page_has_named_columns_and_every_part_a_heading() -> None:
    tables, parts = re.findall(r"<table>(.*?)</table>", PAGE, re.DOTALL), re.findall(r"<section[^>]*>", PAGE)
    assert sum("<thead>" in table for table in tables) == len(tables) - 1  # that of health has names as rows
    for part in parts:
        named = re.search(r'aria-labelledby="([^"]+)"', part)
        assert named is not None
        assert f'<h2 id="{named.group(1)}">' in PAGE
    assert 'role="alert"' in PAGE
