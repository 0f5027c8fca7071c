"""Parts of a full report of the schema ``consilium.judge/1``: its table, ablations, account and controls."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.ensemble import RULES, TRUST
from consilium.training.judge import (
    Moments,
    ablation,
    minimum_track_record,
    overfitting_probability,
    permutation_test,
    rejection_rate,
)
from consilium.training.judge.permutation import BarReturns
from consilium.training.judge.sharpe import deflated_sharpe
from report_sample import MODELS

SYMBOLS = tuple(f"COIN{place:02d}USDT" for place in range(10))
Array = NDArray[np.float64]


def table_part(rng: np.random.Generator) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for rule in RULES:
        for trust in TRUST:
            value = float(rng.normal(0.00001, 0.00008))
            trades = int(rng.integers(0, 300))
            rows.append(
                {
                    "rule": rule,
                    "trust": trust,
                    "half_brier": 0.3204 + value,
                    "log_loss": 1.0621 + 3 * value,
                    "difference": value,
                    "low": value - 0.00009,
                    "high": value + 0.00009,
                    "p_value": float(rng.uniform(0.05, 0.9)),
                    "in_set": value < 0.00005,
                    "p_set": 0.6 if value < 0.00005 else 0.03,
                    "primary": rule == "smart_vote" and trust == "fixed_share",
                    "trading": {
                        "edge": {"net_return": float(rng.normal(-0.02, 0.02)), "trades": trades},
                        "seed": {"net_return": 0.0, "trades": 0},
                    },
                }
            )
    best = min(rows, key=lambda row: float(row["difference"]))
    return {
        "rows": rows,
        "spa": {
            "p_value": 0.43,
            "p_lower": 0.31,
            "p_upper": 0.66,
            "best": f"{best['rule']} + {best['trust']}",
            "best_difference": best["difference"],
            "variants": 47,
            "reason": None,
        },
        "confidence_set": {
            "level": 0.9,
            "names": [f"{row['rule']} + {row['trust']}" for row in rows if row["in_set"]],
            "reason": None,
        },
        "text": "No rule and no trust policy stands out on these forecasts.",
    }


def ablations_part(
    losses: Mapping[str, Array], ts: NDArray[np.int64], draws: int, rng: np.random.Generator
) -> dict[str, Any]:
    whole = losses["consensus"]
    without = {
        "whole": whole,
        "trust": losses["equal"],
        "without minirocket": whole,
        "without xgboost": whole + rng.normal(0.0008, 0.002, len(ts)),
        "without lightgbm": whole + rng.normal(0.0001, 0.002, len(ts)),
        "without logistic": whole + rng.normal(-0.0006, 0.002, len(ts)),
    }
    found = ablation(without, "whole", ts, 4, 0, draws=draws)
    return {
        "forecast": [
            {
                "part": name,
                "difference": part.comparison.mean_difference,
                "low": part.comparison.low,
                "high": part.comparison.high,
                "p_value": part.comparison.p_value,
                "p_holm": part.p_holm,
                "word": part.word,
                "reason": part.comparison.reason,
            }
            for name, part in found.items()
        ],
        "trading": [
            {
                "part": name,
                "net_return": -0.031 - 0.02 * k,
                "trades": 214 * (k + 1),
                "difference": 0.0002 * k,
                "low": 0.0002 * k - 0.0003,
                "high": 0.0002 * k + 0.0003,
                "reason": None,
            }
            for k, name in enumerate(("gates", "boosts", "meta", "trust"))
        ],
        "full": {"net_return": 0.008, "trades": 214},
        "text": "xgboost adds; logistic could be left out.",
    }


def economics_part(base: Mapping[str, Any], rng: np.random.Generator, draws: int) -> dict[str, Any]:
    trading = base["trading"]
    own = {k: v for k, v in trading.items() if not isinstance(v, list)} | {"win_rate": 0.41}
    names = ("1x costs", "2x costs", "3x costs", "one bar later", "seed gates", "no limits")
    accounts = [
        {**own, "name": name, "net_return": own["net_return"] - 0.012 * k, "trades": 214 - k}
        for k, name in enumerate(names)
    ]
    daily = rng.normal(-0.0001, 0.004, size=(100, 14))
    moments = Moments.of(daily[:, 0] + 0.001)
    assert moments is not None
    held = rng.choice([0.0, 0.0, 0.0, 1.0], size=1_200)
    luck = permutation_test(held, BarReturns(rng.normal(0.0, 0.004, 1_200), cost=0.001), block=8, seed=0)
    hold = trading["buy_and_hold"]
    first = hold[0][1]
    return {
        "accounts": accounts,
        "equity": trading["equity"],
        "drawdown": trading["drawdown"],
        "buy_and_hold": hold,
        "buy_and_hold_return": hold[-1][1] / first * 0.9978 - 1.0,
        "held_equal_volatility": {
            "net_return": 0.03,
            "share": 0.21,
            "volatility": 0.11,
            "held_volatility": 0.11,
            "reason": None,
            "equity": [[ts, first + 0.21 * (value - first)] for ts, value in hold],
        },
        "flat": {"net_return": 0.0},
        "permutation": {**asdict(luck), "block": 24, "cost": 0.0012, "reason": None},
        "deflated_sharpe": {
            **asdict(deflated_sharpe(daily[:, 0], daily)),
            "variants": 96,
            "earlier": 2,
            "without_returns": 1,
            "probabilistic": 0.41,
            "minimum_track_record": minimum_track_record(moments),
        },
        "overfitting": asdict(overfitting_probability(daily)),
        "capacity": {
            "rows": [
                {
                    "equity": 10_000.0 * size,
                    "net_return": 0.008 - 0.004 * k,
                    "profit": 10_000.0 * size * (0.008 - 0.004 * k),
                    "cancelled": 0.1 * k,
                    "turnover": 23.5,
                }
                for k, size in enumerate((1, 10, 100, 1_000))
            ],
            "largest": 100_000.0,
            "text": "More money earned more up to 100,000 at the start; at 1,000,000 it lost.",
        },
        "books": {
            name: {"net_return": -0.02 - 0.01 * k, "trades": 300 + k, "sharpe": -0.6, "win_rate": 0.4}
            for k, name in enumerate(MODELS)
        },
        "word": "does not pay",
        "text": "Costs ate what little there was.",
    }


WORLDS = {
    "random walk": 0.0,
    "GARCH without signal": 0.0,
    "labels shifted by a day in blocks": 0.0,
    "planted signal, IC 0.03": 0.03,
    "planted signal, IC 0.06": 0.06,
}
SEEDS = range(200)


def _rate(ic: float, hits: int) -> dict[str, Any]:
    """How often 200 worlds were called better, as the benchmark of the judge counts it."""
    found = rejection_rate(lambda seed, _: "better" if seed < hits else "-", SEEDS, ic=ic)
    return {"hits": found.hits, "runs": found.runs, "low": found.low, "high": found.high}


def _power() -> dict[str, Any]:
    """The record of the benchmark as `controls_section` lays it out."""
    rows = []
    for place, (name, ic) in enumerate(WORLDS.items()):
        hits = int(3_000 * ic)
        rows.append(
            {
                "name": name,
                "ic": ic,
                **_rate(ic, hits // 9),
                "climatology": _rate(ic, hits // 2 + place),
                "direction": _rate(ic, hits + 5),
                "rejected": _rate(ic, hits + 12),
            }
        )
    return {
        "date": "2024-10-01",
        "command": "python benchmarks/judge_power.py --seeds 200 --jobs 2",
        "worlds": "4 symbols x 3,000 hours, both trees on core14, 200 seeds each.",
        "rows": rows,
    }


def controls_part() -> dict[str, Any]:
    return {
        "negative": [
            {
                "name": name,
                "ic": 0.0,
                "word": "not distinguishable",
                "text": "not distinguishable from climatology: half-Brier 0.0001 [-0.0002, 0.0003].",
                "comparisons": [],
                "mirrored": {"difference": 0.0, "word": "not distinguishable", "reason": None},
                "trades": 3,
                "net_return": -0.004,
            }
            for name in ("random walk", "labels shifted by a day in blocks", "GARCH without signal")
        ],
        "positive": [
            {
                "name": "planted signal, IC 0.03",
                "ic": 0.03,
                "word": None,
                "text": "lightgbm failed",
                "comparisons": [],
            },
            {"ic": 0.06, "word": "better", "text": "better than climatology.", "comparisons": []},
        ],
        "power": _power(),
        "text": "No false alarm in three worlds without signal.",
    }
