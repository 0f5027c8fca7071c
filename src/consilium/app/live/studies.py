"""A process that carries out a study which the researcher asked for, and leaves its report as JSON.

It reads one request from its standard input and ends when that is closed, as a training does. What it tries
is registered in the run table: every trial counts.
"""

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from consilium.app.backtest.registration import Material
    from consilium.training.dataset import Dataset

REPEATS = 3
"""Permutations of a feature."""

FIT_SHARE = 0.6
"""Share of the rows, the oldest, that a model of a study is fitted on."""


def material_of(asked: Mapping[str, Any]) -> "Material":
    """Read the candles that were played, as far as a model of the service may know them."""
    from consilium.app.backtest.registration import Material
    from consilium.app.backtest.request import BacktestRequest
    from consilium.app.live.training_worker import played
    from consilium.app.settings import Settings

    settings = Settings.model_validate(asked["settings"])
    request = BacktestRequest.checked(
        settings=settings,
        data=asked["data"],
        bar=asked["bar"],
        models=tuple(asked["models"]),
        features=settings.training.features,
        horizon=settings.training.horizon,
    )
    material = Material.read(request)
    return replace(material, observed=played(material.observed, asked.get("until")))


def dataset_of(material: "Material") -> "Dataset":
    """Build the rows of a study."""
    from consilium.app.labelling import labelled

    _, spec = labelled(material.request.settings.training, material.observed, material.request.horizon)
    return material.observed.dataset(material.features, spec)


def backtest_strategy(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Trade the consensus of every rule and trust policy over the same forecasts."""
    from consilium.app.backtest.economics import Economics
    from consilium.app.backtest.pooling import pool
    from consilium.app.backtest.registration import registered
    from consilium.app.backtest.run import forecast
    from consilium.app.openings import open_outcomes
    from consilium.app.stages import silent
    from consilium.ensemble import RULES, TRUST

    material = material_of(asked)
    table, request = material.run_table(), material.request
    found: list[dict[str, Any]] = []
    forecasts = dataset = economics = None
    for rule in RULES:
        for trust in TRUST:
            tried = replace(material, request=replace(request, rule=rule, trust=trust))
            config = tried.registration(study="backtest_strategy")
            with registered("backtest", tried, table, config) as entry:
                if forecasts is None or dataset is None or economics is None:
                    open_outcomes(entry.row, tried.observed, seed=request.settings.training.seed)
                    dataset = dataset_of(material)
                    forecasts = forecast(request, dataset)
                    start = int(dataset.ts_event[forecasts.rows[0]])
                    economics = Economics(request, material.observed.panel, start)
                pooled = pool(tried.request, dataset, forecasts, request.gates, silent)
                account = economics.account(pooled.signals, limits=True)
                figures = {
                    "rule": rule,
                    "trust": trust,
                    "net_return": float(account.equity[-1] / account.initial_cash - 1.0),
                    "trades": len(account.trades),
                    "win_rate": _share([trade.net_pnl > 0 for trade in account.trades]),
                }
                entry.row.record(figures)
                found.append(figures)
    best = max(found, key=lambda row: (row["net_return"], row["rule"], row["trust"]))
    return {"grid": found, "best": best, "trials": len(found)}


def feature_engineering(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Tell what each feature is worth to a model: permuted in the test, and left out of the learning."""
    import numpy as np

    from consilium.app.backtest.registration import registered
    from consilium.models import make_forecaster

    material = material_of(asked)
    model, training = str(asked["model"]), material.request.settings.training
    config = material.registration(study="feature_engineering", model=model)
    with registered("research", material, material.run_table(), config) as entry:
        dataset = dataset_of(material)
        window = make_forecaster(model).window
        rows = np.flatnonzero(dataset.labelled)[window:]
        split = int(len(rows) * FIT_SHARE)
        raw = np.asarray(dataset.inputs(rows, window), dtype=np.float64)
        flat = raw[:split].reshape(-1, raw.shape[-1])
        x = (raw - flat.mean(axis=0)) / np.where(flat.std(axis=0) > 0.0, flat.std(axis=0), 1.0)
        y = dataset.y[rows]
        rng = np.random.default_rng(training.seed)

        def loss(without: int | None = None, permuted: int | None = None, fitted: Any = None) -> Any:
            given = x.copy()
            if without is not None:
                given[..., without] = 0.0
            if fitted is None:
                fitted = make_forecaster(model).fit(given[:split], y[:split])
            test = given[split:]
            if permuted is not None:
                test[..., permuted] = test[rng.permutation(len(test))][..., permuted]
            p = np.clip(fitted.predict_proba(test)[np.arange(len(test)), y[split:]], 1e-6, 1.0)
            return float(-np.log(p).mean()), fitted

        whole, fitted = loss()
        features = []
        for column, name in enumerate(dataset.feature_names):
            permuted = [loss(permuted=column, fitted=fitted)[0] - whole for _ in range(REPEATS)]
            features.append(
                {
                    "feature": name,
                    "permutation": float(np.mean(permuted)),
                    "spread": float(np.std(permuted)),
                    "ablation": loss(without=column)[0] - whole,
                }
            )
        features.sort(key=lambda row: (-row["permutation"], row["feature"]))
        entry.row.record({"log_loss": whole, "features": len(features)})
    return {
        "model": model,
        "log_loss": whole,
        "log_loss_of_thirds": log(3.0),
        "rows": {"fitted": split, "tested": len(rows) - split},
        "features": features,
    }


STUDIES = {"backtest_strategy": backtest_strategy, "feature_engineering": feature_engineering}


def carry_out(asked: Mapping[str, Any]) -> Path:
    """Do a study, write its report whole, and return where it is."""
    report = STUDIES[asked["kind"]](asked)
    path = Path(asked["out"])
    write_report(path, {"decision_id": asked["decision_id"], "task_type": asked["kind"], **report})
    return path


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_bytes(orjson.dumps(dict(report), option=orjson.OPT_INDENT_2))
    beside.replace(path)


def _share(won: list[bool]) -> float | None:
    return sum(won) / len(won) if won else None


def _lines() -> Iterator[bytes]:
    read = bytearray()
    while piece := os.read(0, 1):
        read += piece
        if piece == b"\n":
            yield bytes(read)
            read.clear()


def _end_with_parent() -> None:
    while os.read(0, 4_096):
        pass
    os._exit(1)


def main() -> int:
    """Carry out one request; say why not in one line."""
    from consilium.app.live.training_worker import THREAD_VARIABLES
    from consilium.domain import ConsiliumError

    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")
    asked = orjson.loads(next(_lines()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        carry_out(asked)
    except ConsiliumError as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
