"""How long it takes to play all rules with all trust policies: `python benchmarks/tournament.py`.

Two models on four and on thirty symbols, every rule with every policy under both gate presets, hindsight
learning; then one of the variants through the service, once for each preset, as all would have been played
one by one. Microseconds of the processor a row and variant, since other work on the machine is not ours. Exit
code 1 if a threshold of thresholds.toml is missed.
"""

import sys
import time
import tomllib
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from consilium.domain import HOUR_NS, Direction, FeatureWindow, Outcome, Prediction
from consilium.ensemble import PRESETS, EnsembleService, Gates, make_gates
from consilium.ensemble.tournament import ALL_VARIANTS, Tournament

RUNS, ROWS = 3, 12_000
MODELS = ("lightgbm", "xgboost")
COSTS = {"mean_up": 0.011, "mean_down": -0.011, "mean_gain": 0.012, "mean_loss": 0.009}
NOTHING = np.zeros((1, 1))


class World(NamedTuple):
    """Rounds by instant, and the outcomes that are known before each instant."""

    instants: list[list[list[Prediction]]]
    outcomes: list[list[Outcome]]
    symbols: int


def world(symbols: int) -> World:
    rng = np.random.default_rng(1)
    instants: list[list[list[Prediction]]] = []
    outcomes: list[list[Outcome]] = []
    for at in range(ROWS // symbols):
        now, came = [], []
        for index in range(symbols):
            base = rng.dirichlet((12.0, 16.0, 12.0))
            spoken = []
            for model in MODELS:
                p = base * np.exp(0.15 * rng.normal(size=3))
                p /= p.sum()
                spoken.append(
                    Prediction(
                        model=model,
                        symbol=f"S{index:02d}",
                        ts_event=at * HOUR_NS,
                        horizon_ns=HOUR_NS,
                        label_id="l1",
                        probabilities=tuple(p.tolist()),
                        expected_return=0.01 * float(p[2] - p[0]),
                    )
                )
            direction = int(rng.choice(3, p=base))
            came.append(
                Outcome(
                    symbol=f"S{index:02d}",
                    ts_event=at * HOUR_NS,
                    horizon_ns=HOUR_NS,
                    label_id="l1",
                    ts_matured=(at + 1) * HOUR_NS,
                    direction=Direction(direction),
                    realised_return=0.01 * (direction - 1) + 0.003 * float(rng.normal()),
                )
            )
            now.append(spoken)
        instants.append(now)
        outcomes.append(came)
    return World(instants, outcomes, symbols)


def gates() -> dict[str, Gates]:
    return {name: make_gates(name, **(COSTS if name == "edge" else {})) for name in PRESETS}


def together(one: World) -> Tournament:
    play = Tournament(MODELS, gates=gates(), capacity=5 * one.symbols)
    for at, now in enumerate(one.instants):
        for outcome in one.outcomes[at - 2] if at > 1 else ():
            play.mature(outcome)
        for spoken in now:
            play.decide(spoken, 0.03)
    return play


def alone(one: World, preset: str) -> int:
    service = EnsembleService(
        MODELS, rule="smart_vote", trust="fixed_share", gates=gates()[preset], capacity=5 * one.symbols
    )
    decided = 0
    for at, now in enumerate(one.instants):
        for outcome in one.outcomes[at - 2] if at > 1 else ():
            service.handle(outcome)
        for spoken in now:
            window = FeatureWindow(
                symbol=spoken[0].symbol, ts_event=spoken[0].ts_event, features=NOTHING, volatility=0.03
            )
            service.handle(window)
            decided += sum(len(service.handle(p)) for p in spoken)
    return decided


def one_by_one(one: World) -> int:
    return sum(alone(one, preset) for preset in PRESETS)


def main() -> int:
    limit = tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text())["tournament"][
        "row_and_variant_microseconds"
    ]
    print("| what | us a row and variant, both presets: median | least | most | wall, median | runs |")
    print("|---|---|---|---|---|---|")
    slow = []
    for symbols in (4, 30):
        one = world(symbols)
        for what, work, variants in (
            (f"all {len(ALL_VARIANTS)} variants at once", together, len(ALL_VARIANTS)),
            ("smart_vote + fixed_share alone", one_by_one, 1),
        ):
            share = 1e6 / (symbols * len(one.instants) * variants)
            times, wall = [], []
            for _ in range(RUNS):
                start, start_wall = time.process_time(), time.perf_counter()
                work(one)
                times.append((time.process_time() - start) * share)
                wall.append((time.perf_counter() - start_wall) * share)
            figures = (median(times), min(times), max(times), median(wall))
            told = " | ".join(f"{value:.1f}" for value in figures)
            print(f"| {what}, {symbols} symbols | {told} | {RUNS} |")
            if variants > 1 and median(times) > limit:
                slow.append(f"{what}, {symbols} symbols: {median(times):.1f} us, limit {limit}")
    print("\n".join(slow), file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
