"""How long a consensus takes: `python benchmarks/consensus.py`.

Seven models, allocations, trust and volatility given, every rule under both gate presets, over 500 different
rounds in turn; then the service from seven predictions to a consensus, with its outcome. Microseconds of the
processor each, since other work on the machine is not ours. Exit code 1 if a threshold of thresholds.toml is
missed.
"""

import gc
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from consilium.domain import HOUR_NS, MODEL_NAMES, Direction, FeatureWindow, Outcome, Prediction
from consilium.ensemble import RULES, EnsembleService, Gates, ModelSetting, reach_consensus

RUNS, ROUNDS = 9, 500
MODELS = MODEL_NAMES[:7]
FIGURES = {"mean_up": 0.011, "mean_down": -0.011, "mean_gain": 0.008, "mean_loss": 0.008}
Row = dict[str, list[float]]


def forecasts(seed: int = 1) -> list[list[Prediction]]:
    rng = np.random.default_rng(seed)
    return [
        [
            Prediction(
                model=model,
                symbol="BTCUSDT",
                ts_event=number * HOUR_NS,
                horizon_ns=HOUR_NS,
                label_id="l1",
                probabilities=tuple(rng.dirichlet((6.0, 8.0, 6.0)).tolist()),
                expected_return=float(rng.normal(0.0, 0.002)),
            )
            for model in MODELS
        ]
        for number in range(ROUNDS)
    ]


def microseconds(work: Callable[[], object]) -> list[float]:
    """Time each run over all rounds; the first warms up and does not count."""
    work()
    times = []
    gc.disable()
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) / ROUNDS * 1e6)
    gc.enable()
    return times


def rules(rounds: list[list[Prediction]]) -> Row:
    even = dict.fromkeys(MODELS, 1 / len(MODELS))
    models = {model: ModelSetting(min_confidence=0.3) for model in MODELS}
    rows = {}
    for rule in RULES:
        for gates in (Gates.seed(), Gates.edge(**FIGURES)):

            def work(rule: str = rule, gates: Gates = gates) -> None:
                for spoken in rounds:
                    reach_consensus(
                        spoken,
                        rule=rule,
                        allocations=even,
                        trust=even,
                        volatility=0.03,
                        gates=gates,
                        models=models,
                    )

            rows[f"{rule}, {gates.name}"] = microseconds(work)
    return rows


def service(rounds: list[list[Prediction]]) -> list[float]:
    nothing = np.zeros((1, 1))
    windows = [
        FeatureWindow(symbol="BTCUSDT", ts_event=r[0].ts_event, features=nothing, volatility=0.03)
        for r in rounds
    ]
    outcomes = [
        Outcome(
            symbol="BTCUSDT",
            ts_event=r[0].ts_event,
            horizon_ns=HOUR_NS,
            label_id="l1",
            ts_matured=r[0].ts_event + HOUR_NS,
            direction=Direction.UP,
            realised_return=0.01,
        )
        for r in rounds
    ]

    def work() -> None:
        room = EnsembleService(MODELS)
        decided = 0
        for window, spoken, outcome in zip(windows, rounds, outcomes, strict=True):
            for message in (window, *spoken, outcome):
                decided += len(room.handle(message))
        if decided != ROUNDS:
            raise AssertionError(f"{decided} of {ROUNDS} rounds decided")

    return microseconds(work)


def main() -> int:
    limits = tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text())["consensus"]
    rounds = forecasts()
    rows = rules(rounds)
    rows["service, one round of 9 messages"] = service(rounds)
    print("| what | median, us | least | most | runs |\n|---|---|---|---|---|")
    for what, values in rows.items():
        print(f"| {what} | {median(values):.1f} | {min(values):.1f} | {max(values):.1f} | {len(values)} |")
    slow = [
        f"{what}: {median(values):.1f} us, limit {limit}"
        for what, values in rows.items()
        for limit in (limits["round_microseconds" if what.startswith("service") else "rule_microseconds"],)
        if median(values) > limit
    ]
    print("\n".join(slow), file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
