"""Reports of the schema ``consilium.judge/1``: one that is full, one in which nothing could be computed."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import HOUR_NS, digest, plain, to_iso
from consilium.ensemble import RULES, TRUST
from consilium.training.judge import (
    Moments,
    ablation,
    compare_half_brier,
    coverage_against_accuracy,
    effective_models,
    icir,
    loss_by_month,
    minimum_track_record,
    overfitting_probability,
    permutation_test,
    recalibration,
    rejection_rate,
    trading_judgement,
    verdict,
)
from consilium.training.judge.permutation import BarReturns
from consilium.training.judge.sharpe import deflated_sharpe
from consilium.training.labels import LabelSpec
from consilium.training.runs.openings import origin_of
from report_sample import FIRST, MODELS, sample_report

SYMBOLS = tuple(f"COIN{place:02d}USDT" for place in range(10))
UNSEEN = SYMBOLS[4::5]
TOO_FEW = "too few independent outcomes"
Array = NDArray[np.float64]


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
    economics = _economics(base, rng, draws)
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
            "table": _table(rng),
            "ablations": _ablations(losses, ts, draws, rng),
            "diversity": _diversity(losses),
            "calibration": base["calibration"],
            "weights": base["weights"],
            "economics": economics,
            "controls": _controls(),
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


def _table(rng: np.random.Generator) -> dict[str, Any]:
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


def _ablations(
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


def _diversity(losses: Mapping[str, Array]) -> dict[str, Any]:
    found = effective_models(np.column_stack([losses[name] - losses["climatology"] for name in MODELS]))
    return {**asdict(found), "text": found.remark(len(MODELS))}


def _economics(base: Mapping[str, Any], rng: np.random.Generator, draws: int) -> dict[str, Any]:
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


def _controls() -> dict[str, Any]:
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


def bare_judge_report() -> dict[str, Any]:
    """Build a report of one model and few bars: no symbols unseen, no trade, reasons instead of figures."""
    full = sample_judge_report(hours=300, draws=20)
    nothing = {"value": None, "low": None, "high": None, "n": 60, "reason": TOO_FEW}
    silent = dict.fromkeys(
        ("difference", "low", "high", "smallest_visible", "statistic", "critical", "p_value", "p_holm")
    )
    comparison = {**silent, "n_timestamps": 60, "word": "not distinguishable", "reason": TOO_FEW}
    identical = {**comparison, "difference": 0.0, "excluded": True, "reason": "identical forecasts"}
    account = {
        "net_return": 0.0,
        "sharpe": None,
        "sharpe_se": None,
        "sortino": None,
        "max_drawdown": 0.0,
        "turnover": 0.0,
        "fees": 0.0,
        "trades": 0,
        "win_rate": None,
        "reason": "no trade was made",
    }
    figures = dict.fromkeys(
        ("log_loss", "brier", "ece", "mcc", "macro_f1", "ic", "accuracy", "coverage"), nothing
    )
    text = f"not distinguishable from climatology: {TOO_FEW} (60 hours at horizon 4 are 15; 100 are needed)."
    direction = {"word": None, "text": ""}
    return {
        **full,
        "data": {**full["data"], "symbols": ["BTCUSDT"], "unseen": [], "findings": []},
        "run": {"id": "000001-1f3a9c2e", "trials": 1},
        "split": {
            **full["split"],
            "lockbox": {**full["split"]["lockbox"], "openings": 0, "opened_by": [], "text": ""},
            "unseen": None,
        },
        "development": {
            "best_single": "xgboost",
            "models": {
                "xgboost": {
                    "half_brier": None,
                    "climatology": None,
                    "log_loss": None,
                    "no_skill_folds": 5,
                    "folds": 5,
                    "reason": "no outcomes",
                }
            },
            "cross_validation": {
                "groups": 6,
                "tested": 2,
                "splits": 15,
                "paths": 5,
                "embargo_bars": 200,
                "models": {
                    "xgboost": {
                        "differences": [],
                        "mean": None,
                        "worst": None,
                        "best": None,
                        "reason": "fewer times than the embargo needs",
                    }
                },
                "text": "",
            },
        },
        "models": {"xgboost": {**figures, "no_skill_folds": 4, "folds": 4}},
        "baselines": {},
        "consensus": {
            **figures,
            "levels": {"none": 60},
            "gates": {"edge": {"actionable": 0, "share": 0.0, "reasons": {}}},
            "conformal": None,
        },
        "primary": {
            "word": "not distinguishable",
            "text": text,
            "comparisons": [
                {**comparison, "against": "climatology", "excluded": False},
                {**identical, "against": "the best single model (xgboost)"},
                {**identical, "against": "the equal-weight mean"},
            ],
        },
        "direction": direction,
        "mirror": comparison,
        "unseen": None,
        "secondary": {
            "rows": [
                {**comparison, "figure": "log_loss", "against": "logistic", "ours": None, "other": None}
            ],
            "icir": {"mean_ic": nothing, "icir": {**nothing, "reason": "no timestamp has 5 symbols"}},
            "recalibration": {"slope": nothing, "intercept": nothing},
            "coverage": {"coverage": [], "accuracy": [], "threshold": [], "reason": "no outcomes"},
            "oracle": None,
            "text": "",
        },
        "months": [
            {**comparison, "month": "2024-03", "difference": 0.001},
            {**comparison, "month": "2024-04"},
        ],
        "table": {
            "rows": [
                {
                    **silent,
                    "rule": "smart_vote",
                    "trust": "fixed_share",
                    "half_brier": None,
                    "log_loss": None,
                    "in_set": True,
                    "p_set": None,
                    "primary": True,
                    "trading": {"edge": {"net_return": None, "trades": None}},
                    "reason": TOO_FEW,
                }
            ],
            "spa": {"p_value": None, "best": None, "best_difference": None, "variants": 0, "reason": TOO_FEW},
            "confidence_set": {"level": 0.9, "names": ["smart_vote + fixed_share"], "reason": TOO_FEW},
            "text": "",
        },
        "ablations": {
            "forecast": [{**identical, "part": "trust"}],
            "full": {"net_return": None, "trades": 0},
            "trading": [
                {
                    **silent,
                    "part": "gates",
                    "net_return": None,
                    "trades": 0,
                    "reason": "no trade was made",
                }
            ],
            "text": "",
        },
        "diversity": {
            "models": 1,
            "speaking": 0,
            "effective": None,
            "mean_correlation": None,
            "text": "When 1 of 1 agree, none of them says more than climatology.",
        },
        "calibration": {"consensus": {"predicted": [], "observed": [], "count": []}},
        "weights": {"ts": [], "xgboost": []},
        "economics": {
            "accounts": [{**account, "name": "1x costs"}],
            "equity": full["economics"]["equity"][:2],
            "drawdown": [[ts, 0.0] for ts, _ in full["economics"]["equity"][:2]],
            "buy_and_hold": None,
            "buy_and_hold_return": None,
            "held_equal_volatility": {
                "net_return": None,
                "share": None,
                "equity": [],
                "reason": "no volatility",
            },
            "flat": None,
            "permutation": {
                "p_value": None,
                "net_return": None,
                "median": None,
                "high": None,
                "permutations": None,
                "way": None,
                "reason": "too short",
            },
            "deflated_sharpe": {"probability": None, "trials": 1, "days": 3, "reason": "fewer than 30 days"},
            "overfitting": {
                "probability": None,
                "trials": 1,
                "splits": 0,
                "loss": None,
                "reason": "not applicable: 1 trial, 10 are needed",
            },
            "capacity": {"rows": [], "largest": None, "text": None},
            "books": {"xgboost": account},
            "word": "does not pay",
            "text": "",
        },
        "controls": {
            "negative": [
                {"name": "random walk", "word": None, "text": "", "reason": "not run", "comparisons": []}
            ],
            "positive": [{"ic": 0.03, "word": None, "text": "", "reason": "not run"}],
            "power": {
                "date": None,
                "command": None,
                "worlds": None,
                "rows": [],
            },
            "text": "",
        },
        "past": [],
        "judgement": {
            "word": "not distinguishable",
            "text": text,
            "trading_word": "does not pay",
            "trading_text": "The paper account made no trade and kept its money, which is a valid result.",
        },
        "verdict": text,
        "notes": [],
        "failures": ["lightgbm failed in fold 3: out of memory"],
    }
