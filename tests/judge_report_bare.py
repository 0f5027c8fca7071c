"""A report of the schema ``consilium.judge/1`` in which nothing could be computed."""

from typing import Any

from judge_report_sample import sample_judge_report

TOO_FEW = "too few independent outcomes"


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
