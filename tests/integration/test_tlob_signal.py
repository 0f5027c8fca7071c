"""TLOB finds an order flow that is known, nearly as well as its maker could, and none where there is none.

One seed of each in short form; three, and the bound of the benchmark, with CONSILIUM_TEST_PROFILE=soak.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.tlob import SMALL, SNAPSHOTS, Case, found

pytest.importorskip("torch", reason="torch is not installed")

FULL = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"
SEEDS = (1, 2, 3) if FULL else (1,)
ENOUGH = 0.8 if FULL else 0.7


def case(seed: int, strength: float, variant: str = "spatial_cnn") -> Case:
    return Case(
        market="plain",
        strength=strength,
        variant=variant,
        seed=seed,
        snapshots=SNAPSHOTS,
        epochs=SMALL["epochs"],
    )


@pytest.mark.long
@pytest.mark.promise("004", "TLOB finds a planted order flow: MCC within 80 % of the best possible")
def test_a_known_order_flow_is_found_nearly_as_well_as_it_can_be() -> None:
    results = [found(case(seed, 1.0)) for seed in SEEDS]
    for got in results:
        assert got["skilled"]
        assert got["best"][0] > 0.4
        assert got["tlob"][0] > 8 * got["tlob"][1]
    assert np.mean([got["tlob"][0] / got["best"][0] for got in results]) >= ENOUGH


@pytest.mark.long
def test_a_flow_that_means_nothing_tells_no_direction() -> None:
    for seed in SEEDS:
        value, error = found(case(seed, 0.0))["which_way"]
        assert abs(value) <= 3.0 * max(error, 0.02)
