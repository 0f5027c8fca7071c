"""A report of the schema ``consilium.backtest/1``, its figures computed on a made-up market."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import HOUR_NS, digest, from_iso, half_brier, to_iso
from consilium.training.judge import forecast_figures, reliability, trading_verdict, verdict

FIRST = from_iso("2024-03-01")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
MODELS = ("xgboost", "lightgbm", "logistic")


def _forecast(y: NDArray[np.int64], skill: float, rng: np.random.Generator) -> NDArray[np.float64]:
    p = rng.dirichlet([9.0, 11.0, 9.0], size=len(y))
    p = (1 - skill) * p + skill * np.eye(3)[y]
    result: NDArray[np.float64] = p / p.sum(axis=1, keepdims=True)
    return result


def _account(path: NDArray[np.float64], ts: NDArray[np.int64]) -> dict[str, Any]:
    below = 1.0 - path / np.maximum.accumulate(path)
    return {
        "equity": [[int(t), float(v)] for t, v in zip(ts, path, strict=True)],
        "drawdown": [[int(t), float(v)] for t, v in zip(ts, below, strict=True)],
        "max_drawdown": float(below.max()),
        "net_return": float(path[-1] / path[0] - 1.0),
    }


def _variant(net: float, trades: int) -> dict[str, Any]:
    return {
        "net_return": net,
        "sharpe": 12.0 * net if trades else None,
        "sharpe_se": 0.92 if trades else None,
        "sortino": 15.0 * net if trades else None,
        "max_drawdown": abs(net) * 1.4,
        "turnover": trades * 0.11,
        "fees": trades * 1.07,
        "trades": trades,
        "halts": 2 if trades > 500 else 0,
    }


def sample_report(hours: int = 2_400, seed: int = 0, draws: int = 200) -> dict[str, Any]:
    """Build a report as a backtest of three models over some months of hours would."""
    rng = np.random.default_rng(seed)
    ts = FIRST + np.arange(hours, dtype=np.int64) * HOUR_NS
    row_ts = np.repeat(ts, len(SYMBOLS))
    y = rng.integers(3, size=len(row_ts))
    returns = (y - 1) * 0.004 + rng.normal(scale=0.004, size=len(y))
    said = {name: _forecast(y, skill, rng) for name, skill in zip(MODELS, (0.02, 0.01, 0.015), strict=True)}
    climatology = np.tile([0.33, 0.34, 0.33], (len(y), 1))
    consensus = np.mean(list(said.values()), axis=0)

    def figures(p: NDArray[np.float64], **more: Any) -> dict[str, Any]:
        judged = forecast_figures(p, y, returns, row_ts, horizon_bars=1, seed=seed, draws=draws, **more)
        return {name: figure.as_dict() for name, figure in judged.items()}

    found = verdict(
        half_brier(consensus, y),
        climatology=half_brier(climatology, y),
        best_single=half_brier(said["xgboost"], y),
        equal_weight=half_brier(consensus, y),
        ts_event=row_ts,
        horizon_bars=1,
        seed=seed,
        best_name="xgboost",
        draws=draws,
    )
    path = 10_000 * np.exp(np.cumsum(rng.normal(-1e-5, 0.001, size=hours)))
    hold = 10_000 * np.exp(np.cumsum(rng.normal(6e-5, 0.005, size=hours)))
    account = _account(path, ts)
    trading = {
        **_variant(account["net_return"], 214),
        **account,
        "buy_and_hold": [[int(t), float(v)] for t, v in zip(ts, hold, strict=True)],
    }
    trade = trading_verdict(account["net_return"], float(hold[-1] / hold[0] - 1), 214)
    awake = np.abs(np.cumsum(rng.normal(0.0, 0.02, size=(hours, len(MODELS))), axis=0)) + 0.3
    shares = awake / awake.sum(axis=1, keepdims=True)
    config = {"rule": "smart_vote", "gates": "edge", "models": list(MODELS), "horizon": 1, "seed": seed}
    edges = np.linspace(0, hours, 6).astype(int)
    return {
        "schema": "consilium.backtest/1",
        "config": config,
        "config_hash": digest(config),
        "data": {
            "source": "candles.parquet",
            "symbols": list(SYMBOLS),
            "bars": hours * len(SYMBOLS),
            "interval_ns": HOUR_NS,
            "first": to_iso(int(ts[0])),
            "last": to_iso(int(ts[-1])),
            "digest": digest([int(ts[0]), hours]),
            "findings": ["SOLUSDT: 3 bars are missing from 2024-04-11T06:00:00Z; kept as a gap"],
        },
        "split": {
            "folds": [
                {
                    "test_first": to_iso(int(ts[a])),
                    "test_last": to_iso(int(ts[b - 1])),
                    "rows": int((b - a) * len(SYMBOLS)),
                    "skilled": {name: bool(name != "logistic" or k > 1) for name in MODELS},
                }
                for k, (a, b) in enumerate(pairwise(edges.tolist()))
            ]
        },
        "models": {
            name: {
                **figures(p, spoke=np.arange(len(y)) >= (len(y) // 5) * 2 if name == "logistic" else None),
                "no_skill_folds": 2 if name == "logistic" else 0,
                "paper_book": {"net_return": -0.02 - 0.01 * k, "trades": 300 + k, "sharpe": -0.6 - k / 10},
            }
            for k, (name, p) in enumerate(said.items())
        },
        "baselines": {
            "prior": {
                **figures(climatology),
                "no_skill_folds": 5,
                "paper_book": {"net_return": 0.0, "trades": 0, "sharpe": None},
            }
        },
        "consensus": {
            **figures(consensus, spoke=np.arange(len(y)) % 11 == 0),
            "levels": {"unanimous": 1_203, "strong": 3_420, "split": 0, "weak": 2_577},
            "gates": {
                "seed": {"actionable": 12, "share": 12 / len(y)},
                "edge": {"actionable": 655, "share": 655 / len(y)},
            },
        },
        "trading": trading,
        "trading_variants": {
            "gates=edge, limits=off": _variant(-0.071, 655),
            "gates=seed, limits=on": _variant(0.0, 0),
            "gates=seed, limits=off": _variant(0.0012, 12),
        },
        "calibration": {
            name: reliability(p, y)["all"].as_dict() for name, p in {"consensus": consensus, **said}.items()
        },
        "weights": {
            "ts": ts.tolist(),
            **{name: shares[:, k].tolist() for k, name in enumerate(MODELS)},
        },
        "judgement": {**found.as_dict(), **trade.as_dict()},
        "notes": ["Funding was not in the data: 0.01 % per 8 h was charged."],
    }
