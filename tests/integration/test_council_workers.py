"""The council as a worker beside the others, over a real Valkey: what it rules, what the others do by it."""

import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from consilium.domain import Event
from live_cases import store_models
from live_process import CONCLUDED, free_port, journal_of, serving
from worker_process import by_topic, until_counted, worker, workers

FEED = ("--feed", "simulate:symbols=4,bars=520,seed=5")
STEPS = 260
RULED = (
    *CONCLUDED,
    "ai.federation.decision_made",
    "council.policy_changed",
    "council.conflict_resolved",
    "council.report_refused",
    "trading.profit_split",
    "trading.order_shadowed",
)
COUNCIL = {
    "CONSILIUM_COUNCIL__ENABLED": "true",
    "CONSILIUM_COUNCIL__START_PROFILE": "NORMAL",
    "CONSILIUM_COUNCIL__TICK_S": "0.2",
}
OBEYED = "trading.step_obeyed"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    store_models(folder)
    return folder


@pytest.fixture(scope="module")
def in_one_process(models: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    folder = tmp_path_factory.mktemp("one")
    shutil.copytree(models, folder / "models")
    with serving(folder, *FEED, "--speed", "0", port=free_port(), **COUNCIL) as service:
        service.wait_until_ended()
        assert service.stop() == 0
    return ruled(folder)


def ruled(folder: Path) -> list[Event]:
    """Return all that was concluded and ruled, in order, but for what the watch on the council adds."""
    with journal_of(folder) as journal:
        rows = journal.read(0, 1_000_000, topics=RULED)
        journal.verify()
    return [row.event for row in rows]


@pytest.mark.long
@pytest.mark.promise("001", "a council among workers rules what it rules in one process, and is obeyed alike")
def test_workers_rule_and_trade_as_one_process_does(
    tmp_path: Path, models: Path, in_one_process: list[Event], fresh_valkey: str
) -> None:
    shutil.copytree(models, tmp_path / "models")
    with (
        workers(("ensemble", "trading", "council"), tmp_path, fresh_valkey, **COUNCIL) as others,
        worker("market", tmp_path, fresh_valkey, *FEED, "--speed", "0", **COUNCIL) as market,
    ):
        until_counted(tmp_path, OBEYED, STEPS, [market, *others])
        for process in (market, *others):
            process.send_signal(signal.SIGTERM)
        for process in (market, *others):
            assert process.wait(30.0) == 0
    rules = Counter(
        dict(event.payload)["rule"]  # type: ignore[call-overload]
        for event in in_one_process
        if event.topic == "ai.federation.decision_made"
    )
    assert {"S1", "R1", "C1", "C2", "P2", "F3"} <= set(rules)  # limits, weights, universe, profile, freeze
    assert by_topic(ruled(tmp_path)) == by_topic(in_one_process)
