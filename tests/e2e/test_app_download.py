"""From an exchange over HTTP to a judged backtest, by the commands of the README."""

import json
from pathlib import Path

import pytest

from command_line import consilium, fails_in_one_line
from consilium.market.simulator import START_TS
from fake_exchange import HOUR_MS, MS_NS, FakeExchange, listings

pytest.importorskip("ccxt")

HOURS = 24 * 45
BASES = [f"C{letter}{letter}" for letter in "ABCDEFGHIJKLMNOPQR"]


@pytest.mark.long
@pytest.mark.promise("002", "training data of 15 symbols x 500 candles")
def test_the_small_preset_is_downloaded_and_judged_with_the_fourteen_features(tmp_path: Path) -> None:
    now_ms = START_TS // MS_NS + HOURS * HOUR_MS
    with FakeExchange(pairs=listings(BASES, HOURS), now_ms=now_ms) as server:
        fetched = consilium(
            "download-data", "--preset", "small", "--out", "candles", "--url", server.url, "--quiet",
            "--json", "d.json", cwd=tmp_path,
        )  # fmt: skip
        assert fetched.returncode == 0, fetched.stderr
        asked = len(server.asked("1h"))
        again = consilium(
            "download-data", "--preset", "small", "--out", "candles", "--url", server.url, "--quiet",
            cwd=tmp_path,
        )  # fmt: skip
        assert again.returncode == 0, again.stderr
        assert len(server.asked("1h")) == asked
    told = json.loads((tmp_path / "d.json").read_text())
    assert (len(told["symbols"]), told["bars"]) == (15, 15 * 500)
    judged = consilium(
        "backtest", "--data", "candles", "--preset", "small", "--json", "r.json", "--quiet",
        cwd=tmp_path,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["data"]["features"] == "core14"
    assert report["data"]["bars"] == 15 * 500
    assert len(report["config"]["universe"]) == 15


def test_each_retry_is_one_line_beside_the_result(tmp_path: Path) -> None:
    now_ms = START_TS // MS_NS + HOURS * HOUR_MS
    with FakeExchange(pairs=listings(["BTC"], HOURS), now_ms=now_ms, retry_after="0") as server:
        server.faults.extend(["429", "drop"])
        done = consilium(
            "download-data", "--out", "candles", "--url", server.url, "--symbols", "BTCUSDT", "--bars", "100",
            "--json", "-", "--quiet", cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    retries = [line for line in done.stderr.splitlines() if line.startswith("retry: ")]
    assert [line.rpartition("; ")[2] for line in retries] == ["asking again in 1 s", "asking again in 2 s"]
    assert "binance gave no answer at try 1 of 5 (" in retries[0]
    told = json.loads(done.stdout)
    assert (told["bars"], told["retries"]) == (100, 2)


def test_an_exchange_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = consilium(
        "download-data", "--out", "candles", "--url", "http://127.0.0.1:9", "--symbols", "BTCUSDT",
        "--attempts", "2", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    fails_in_one_line(done, 1)
