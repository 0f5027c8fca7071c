"""A journal whose candles were deleted, in part or all: told in one line, by the check and by the service."""

import logging
import time
from pathlib import Path

import pytest

from command_line import consilium, fails_in_one_line
from consilium.app.check.candles import check_candles
from consilium.app.live.assembly import assemble
from consilium.app.settings import Live, Settings
from live_cases import settings_of

FEED = "simulate:symbols=1,bars=240,seed=2"
"""Ten days, of which five are steps."""


@pytest.fixture
def played(tmp_path: Path) -> Settings:
    """A journal with a snapshot at its end."""
    settings = settings_of(tmp_path, live=Live(feed=FEED, speed=0.0))
    with assemble(settings) as system:
        until = time.monotonic() + 60.0
        while not system.feed.problem():
            assert time.monotonic() < until
            time.sleep(0.01)
    return settings


def days(settings: Settings) -> list[Path]:
    return sorted((settings.data_dir / "live" / "candles").glob("*.csv"))


def listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_candles_that_are_there_are_in_order_and_the_look_leaves_nothing(played: Settings) -> None:
    before = listing(played.data_dir)
    (found,) = check_candles(played)
    assert (found.level, found.text.split()[:2]) == ("ok", ["5", "days"])
    assert listing(played.data_dir) == before


def test_a_deleted_day_is_noticed(played: Settings) -> None:
    days(played)[-3].unlink()
    (found,) = check_candles(played)
    assert found.level == "warning"
    assert f"1 of 5 are gone, the first {days(played)[0].name[:7]}" in found.text


def test_a_service_without_its_candles_does_not_start_and_says_so_in_one_line(played: Settings) -> None:
    for path in days(played):
        path.unlink()
    done = consilium(
        "serve", "--data-dir", str(played.data_dir), "--feed", FEED, "--port", "0", cwd=played.data_dir
    )
    line = fails_in_one_line(done, 1)
    assert "must have the candles of the journal's newest step" in line
    assert line.endswith(
        "restore the data folder that belongs to this journal, or begin with another of both"
    )


def test_candles_that_went_under_a_snapshot_are_missed_in_one_line(
    played: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    for path in days(played):
        path.unlink()
    caplog.set_level(logging.ERROR)
    with assemble(played) as system:
        until = time.monotonic() + 30.0
        while not system.troubles.get("engine", "").startswith("cannot recover"):
            assert time.monotonic() < until
            time.sleep(0.01)
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.exc_info for record in told] == [None]
    assert "the candles of each step must be kept as they were" in told[0].getMessage()
