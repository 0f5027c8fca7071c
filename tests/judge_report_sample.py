"""A report of the schema ``consilium.judge/1`` that is full."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import HOUR_NS, digest, plain, to_iso
from consilium.training.judge import (
    compare_half_brier,
    coverage_against_accuracy,
    effective_models,
    icir,
    loss_by_month,
    recalibration,
    trading_judgement,
    verdict,
)
from consilium.training.labels import LabelSpec
from consilium.training.runs.openings import origin_of
from judge_report_parts import SYMBOLS, Array, ablations_part, controls_part, economics_part, table_part
from report_sample import FIRST, MODELS, sample_report

UNSEEN = SYMBOLS[4::5]


@cache
def sample_judge_report(hours: int = 2_400, seed: int = 0, draws: int = 100) -> dict[str, Any]:
    """Build a report as the judge of three models over some months of hours would; do not change it."""
    base = sample_report(hours=hours, seed=seed, draws=draws)
    rng = np.random.default_rng(seed + 1)
    ts = FIRST + np.arange(hours, dtype=np.int64) * HOUR_NS
    # The lock-box is the last 40 % of a history that began before it.
    before = int(ts[0]) - int(1.5 * hours) * HOUR_NS
    losses = _losses(hours, rng)
    found = verdict(
        losses["consensus"],
        climatology=losses["climatology"],
        best_single=losses["xgboost"],
        equal_weight=losses["equal"],
        ts_event=ts,
        horizon_bars=4,
        seed=seed,
        best_name="xgboost",
        draws=draws,
    )
    economics = economics_part(base, rng, draws)
    traded = trading_judgement(
        economics["accounts"][0]["net_return"],
        0.12,
        214,
        deflated_sharpe=economics["deflated_sharpe"]["probability"],
        overfitting=economics["overfitting"]["probability"],
        permutation=economics["permutation"]["p_value"],
    )
    config = _config(base)
    direction = {
        "word": "not distinguishable",
        "text": "Of what it gains over climatology, 4 % comes from which way prices move and 96 % from how "
        "far: against the same forecast blind to direction its half-Brier differs by -0.00002 "
        "[-0.00011, 0.00008], which is not distinguishable.",
    }
    report: dict[str, Any] = plain(
        {
            "schema": "consilium.judge/1",
            "version": "0.1.0",
            "run": {"id": "000042-1f3a9c2e", "trials": 17},
            "config": config,
            "config_hash": digest(config),
            "data": {
                **base["data"],
                "symbols": list(SYMBOLS),
                "rows": hours * len(SYMBOLS),
                "features": "candle62",
                "first": to_iso(before),
                "unseen": list(UNSEEN),
            },
            "split": _split(before, ts),
            "development": _development(rng),
            "models": base["models"],
            "baselines": base["baselines"],
            "consensus": {
                **base["consensus"],
                "gates": {
                    "edge": {
                        "actionable": 655,
                        "share": 0.091,
                        "reasons": {"below_edge": 6_400, "below_break_even": 145},
                    },
                    "seed": {"actionable": 12, "share": 0.0017, "reasons": {"flat": 7_188}},
                },
                "conformal": [
                    {
                        "month": month,
                        "outcomes": 7_000 + 90 * k,
                        "coverage": 0.79 + 0.01 * k,
                        "singletons": 0.3,
                    }
                    for k, month in enumerate(("2024-01", "2024-02", "2024-03", "2024-04"))
                ],
            },
            "primary": found.as_dict(),
            "direction": direction,
            "mirror": {**_comparison(losses["consensus"], losses["equal"], ts, draws)},
            "unseen": {
                "symbols": list(UNSEEN),
                "comparison": _comparison(losses["consensus"], losses["climatology"], ts, draws),
                "text": "On symbols never trained on the consensus is as good as on the others.",
            },
            "secondary": _secondary(base, rng, ts, draws),
            "months": [
                {"difference": month["mean_difference"], **month}
                for month in map(asdict, loss_by_month(losses["consensus"], losses["climatology"], ts, 4))
            ],
            "table": table_part(rng),
            "ablations": ablations_part(losses, ts, draws, rng),
            "diversity": _diversity(losses),
            "calibration": base["calibration"],
            "weights": base["weights"],
            "economics": economics,
            "controls": controls_part(),
            "past": [
                {
                    "run": f"0000{41 - k}-9799b7b3",
                    "ended": f"2024-0{9 - k}-01T08:15:00Z",
                    "data": data,
                    "origin": origin_of(data),
                    "config_hash": digest(k),
                    "word": word,
                    "trading_word": "does not pay",
                }
                for k, (word, data) in enumerate(
                    (
                        ("not distinguishable", "candles.parquet"),
                        ("better", "simulate:signal_ic=0.4"),
                        ("worse", "candles.parquet"),
                    )
                )
            ],
            "judgement": {
                "word": found.word,
                "text": f"{found.text} {direction['text']}",
                **traded.as_dict(),
            },
            "verdict": f"{found.text} {traded.text}",
            "notes": base["notes"],
            "failures": [],
        }
    )
    return report


def _losses(hours: int, rng: np.random.Generator) -> dict[str, Array]:
    """Losses of the lock-box: a gain over climatology, none over the best single model."""
    climatology = 0.33 + 0.05 * rng.standard_normal(hours)
    shared = climatology - 0.004 + 0.01 * rng.standard_normal(hours)
    return {
        "consensus": shared,
        "climatology": climatology,
        "equal": shared + 0.00005 + 0.0004 * rng.standard_normal(hours),
        **{name: shared + 0.002 * rng.standard_normal(hours) for name in MODELS},
    }


def _comparison(ours: Array, other: Array, ts: NDArray[np.int64], draws: int) -> dict[str, Any]:
    c = compare_half_brier(ours, other, ts, 4, 0, draws=draws)
    return {
        "difference": c.mean_difference,
        "low": c.low,
        "high": c.high,
        "p_value": c.p_value,
        "word": c.word,
        "n_timestamps": c.n_timestamps,
        "reason": c.reason,
    }


def _config(base: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **base["config"],
        "rule": "smart_vote",
        "trust": "fixed_share",
        "gates": "edge",
        "horizon": 4,
        "label": LabelSpec(horizon=4).as_dict(),
        "label_id": "b94461e3f527",
        "limits": True,
        "interval_ns": HOUR_NS,
        "universe": list(SYMBOLS),
        "comparators": ["climatology", "best single model on development (xgboost)", "equal-weight mean"],
        "alpha": 0.05,
        "settings": {
            "costs": {"maker_fee": 0.001, "taker_fee": 0.001, "half_spread": 0.0001, "participation": 0.01},
            "ensemble": {"conformal": 0.2, "meta": True},
            "paper": {"profile": "NORMAL"},
        },
    }


def _folds(first: int, last: int, count: int) -> list[dict[str, Any]]:
    edges = np.linspace(first, last, count + 1).astype(np.int64).tolist()
    return [
        {
            "test_first": to_iso(a),
            "test_last": to_iso(b - HOUR_NS),
            "rows": 4_800,
            "fit_rows": 9_600 + 4_800 * k,
            "skilled": {name: name != "logistic" or k > 1 for name in MODELS},
        }
        for k, (a, b) in enumerate(pairwise(edges))
    ]


def _split(before: int, ts: NDArray[np.int64]) -> dict[str, Any]:
    first, last = int(ts[0]), int(ts[-1])
    third = last - (last - first) // 3
    return {
        "development": {
            "first": to_iso(before),
            "last": to_iso(first - HOUR_NS),
            "rows": 36_000,
            "folds": _folds(before + int(0.4 * (first - before)), first, 5),
        },
        "lockbox": {
            "first": to_iso(first),
            "last": to_iso(last),
            "rows": 24_000,
            "folds": _folds(first, last, 4),
            "openings": 2,
            "opened_by": [
                {"run": "000031-9799b7b3", "kind": "judge", "started": "2024-08-01T08:01:00Z"},
                {"run": "000040-5ab9c111", "kind": "judge", "started": "2024-09-01T08:03:00Z"},
            ],
            "text": "Two earlier runs read these rows.",
        },
        "unseen": {"symbols": list(UNSEEN), "first": to_iso(third), "last": to_iso(last), "rows": 1_600},
    }


def _development(rng: np.random.Generator) -> dict[str, Any]:
    said = ("prior", 0.3247), ("persistence", 0.3199)
    paths = {name: rng.normal(-0.003 + 0.002 * k, 0.001, 5) for k, name in enumerate(MODELS)}
    return {
        "best_single": "xgboost",
        "models": {
            name: {
                "half_brier": 0.3201 + 0.0004 * k,
                "climatology": 0.3247,
                "log_loss": 1.0610 + 0.001 * k,
                "no_skill_folds": k,
                "folds": 5,
            }
            for k, name in enumerate(MODELS)
        }
        | {
            name: {
                "half_brier": half_brier,
                "climatology": 0.3247,
                "log_loss": 1.0731,
                "no_skill_folds": 5,
                "folds": 5,
            }
            for name, half_brier in said
        },
        "cross_validation": {
            "groups": 6,
            "tested": 2,
            "splits": 15,
            "paths": 5,
            "embargo_bars": 200,
            "models": {
                name: {
                    "differences": found.tolist(),
                    "mean": float(found.mean()),
                    "worst": float(found.max()),
                    "best": float(found.min()),
                    "reason": None,
                }
                for name, found in paths.items()
            },
            "text": "xgboost gains on every path.",
        },
    }


def _secondary(
    base: Mapping[str, Any], rng: np.random.Generator, ts: NDArray[np.int64], draws: int
) -> dict[str, Any]:
    count = len(ts)
    confidence = rng.uniform(0.34, 0.6, size=count)
    right = rng.uniform(size=count) < 0.35 + 0.5 * (confidence - 0.34)
    score, symbols = rng.normal(size=(count, 6)), np.repeat(ts, 6)
    ranked = icir(
        score.ravel(),
        (0.05 * score + rng.normal(size=score.shape)).ravel(),
        symbols,
        horizon_bars=4,
        seed=0,
        draws=draws,
    )
    slope = recalibration(confidence, right, ts, horizon_bars=4, seed=0, draws=draws)
    rows = [
        {
            "figure": figure,
            "against": against,
            "ours": ours,
            "other": other,
            "difference": ours - other,
            "low": ours - other - 0.004,
            "high": ours - other + 0.004,
            "p_value": p,
            "p_holm": min(1.0, 4 * p),
            "word": word,
            "reason": None,
        }
        for figure, against, ours, other, p, word in (
            ("log_loss", "logistic", 1.0621, 1.0623, 0.31, "not distinguishable"),
            ("log_loss", "persistence", 1.0621, 1.0751, 0.00001, "better"),
            ("mcc", "logistic", 0.0648, 0.0681, 0.22, "not distinguishable"),
            ("ece", "log_pool", 0.0204, 0.0101, 0.002, "worse"),
        )
    ]
    nothing = dict.fromkeys(("ours", "other", "difference", "low", "high", "p_value", "p_holm"))
    rows.append(
        {
            **nothing,
            "figure": "ic",
            "against": "prior",
            "word": "not distinguishable",
            "reason": "constant forecast",
        }
    )
    return {
        "rows": rows,
        "icir": {name: figure.as_dict() for name, figure in ranked.items()},
        "recalibration": {name: figure.as_dict() for name, figure in slope.items()},
        "coverage": coverage_against_accuracy(confidence, right).as_dict(),
        "tests": 4,
        "absent": [{"name": "minirocket", "reason": "not asked for"}],
        "oracle": {"name": "lightgbm", "half_brier": 0.3199, "consensus": 0.3204},
        "text": "Better in log-loss than persistence; its calibration is worse than that of log_pool.",
    }


def _diversity(losses: Mapping[str, Array]) -> dict[str, Any]:
    found = effective_models(np.column_stack([losses[name] - losses["climatology"] for name in MODELS]))
    return {**asdict(found), "text": found.remark(len(MODELS))}
