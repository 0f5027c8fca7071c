"""A network of the zoo on real candles that stay with their owners, through the secure sum."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from consilium.app.federated.learning import InProcess
from consilium.app.federated.summing import Seat
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.entropy import SystemEntropy
from consilium.federated.learner import Learner
from consilium.federated.local import LocalPlan
from consilium.federated.primitives import new_signing_key
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.session import Mode
from consilium.federated.tasks.candles import Candles
from consilium.market.sources import load_candles
from federated_cases import Desk, terms_of

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")


@pytest.mark.shared
def test_four_symbols_share_a_network_and_no_candle(candles_1h: Path) -> None:
    series = load_candles(candles_1h, SYMBOLS).series
    desk = Desk(tuple(series))
    panels = {f"{name}-1": {name: one.slice(0, 1200)} for name, one in series.items()}
    task = Candles(panels, sizes={"window": 8, "hidden_size": 16, "num_blocks": 1}, stride=4)
    terms = terms_of(
        task="candles", mode=Mode.SUM, delta=0.25, gamma=0.0, rounds=2, clip=2.0, local=LocalPlan(epochs=1)
    )
    kept = SessionCoordinator(terms, desk.owners, task.initial())
    kept.move("open", ts=0)
    for name in desk.names:
        kept.register(desk.registration(name, terms, examples=task.examples(f"{name}-1")))
    kept.move("running", ts=0)
    seats = {
        f"{name}-1": Seat(learner=Learner(f"{name}-1", task, terms), identity=Identity(name, desk.keys[name]))
        for name in desk.names
    }
    world = InProcess(kept, Identity("hub", new_signing_key(SystemEntropy())), seats, judge=task.evaluate)
    played = list(world.rounds())
    assert [one.max_abs_error for one in played] == [0, 0]
    assert [len(one.report.survivors) for one in played] == [4, 4]
    judged = [one.report.performance for one in played]
    assert all(figures is not None and 0.9 < figures["log_loss"] < 1.5 for figures in judged)
    # Each mean is of four trainings: none of them alone, and none of them missing.
    moved = np.linalg.norm(kept.parameters - task.initial())
    assert 0.0 < moved < 2 * terms.clip
