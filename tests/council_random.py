"""Random facts for the council: figures of every size, exact thresholds, what is missing, and holds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from consilium.domain import (
    AccountFigures,
    AccountReported,
    Briefing,
    Figure,
    HealthReported,
    Hold,
    Missing,
    ModelFigures,
    Policy,
)
from council_oracle import DAY, SECOND

THRESHOLDS = {
    "drawdown": (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10),
    "rise": (0.02,),
    "exposure": (0.85,),
    "rate": (0.40, 0.45, 0.50, 0.60, 0.65),
    "sharpe": (1.0, 1.5, 2.0),
    "loss": (0.001, 0.02, 0.03, 0.05, 0.07, 0.08),
    "equity": (1000.0, 1500.0),
    "reserve": (0.05, 0.15),
}
SPREAD = {
    "drawdown": (0.0, 0.14),
    "rise": (-0.02, 0.05),
    "exposure": (0.0, 1.1),
    "rate": (0.2, 0.9),
    "sharpe": (-1.0, 4.0),
    "loss": (0.0, 0.1),
    "equity": (500.0, 20_000.0),
    "reserve": (0.0, 0.3),
}
SYMBOLS = tuple(
    f"{name}USDT" for name in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC", "BNB", "DOT", "TRX")
)
MODES = ("LIVE", "SHADOW", "PAUSED", "REDUCING", "EMERGENCY", "FROZEN")


def figure(rng: np.random.Generator, kind: str) -> float:
    """Return a value of a kind: an exact threshold, a hair beside one, or anything."""
    bounds = THRESHOLDS[kind]
    if rng.random() < 0.4:
        bound = float(bounds[rng.integers(len(bounds))])
        return float(np.nextafter(bound, bound + rng.integers(-1, 2)))
    low, high = SPREAD[kind]
    return float(rng.uniform(low, high if rng.random() < 0.5 else low + 0.3 * (high - low)))


def _maybe(rng: np.random.Generator, value: float) -> Figure:
    draw = rng.random()
    if draw < 0.05:
        return Missing.UNKNOWN
    return Missing.INSUFFICIENT if draw < 0.1 else value


def account(rng: np.random.Generator) -> AccountFigures:
    """Return random figures of an account."""
    drawdown, late = figure(rng, "drawdown"), bool(rng.random() < 0.1)
    most = max(drawdown, figure(rng, "drawdown"))
    positions = int(rng.integers(0, 10))
    figures: dict[str, Figure] = {
        "equity": figure(rng, "equity"),
        "nav": figure(rng, "equity"),
        "drawdown": drawdown,
        "max_drawdown": most,
        "drawdown_rebased": drawdown if rng.random() < 0.8 else 0.5 * drawdown,
        "max_drawdown_rebased": most if rng.random() < 0.8 else 0.5 * most,
        "drawdown_rise": figure(rng, "rise"),
        "daily_loss": figure(rng, "loss"),
        "ess_loss": figure(rng, "loss"),
        "loss_15m": figure(rng, "loss"),
        "exposure": figure(rng, "exposure"),
        "leverage": float(rng.uniform(0, 5)),
        "margin_ratio": float(rng.uniform(0, 1)),
        "positions": positions,
        "unprotected": int(rng.integers(0, positions + 1)) if rng.random() < 0.3 else 0,
        "win_rate": figure(rng, "rate"),
        "sharpe": figure(rng, "sharpe"),
        "consecutive_losses": int(rng.integers(0, 8)),
        "winning_days": int(rng.integers(0, 8)),
        "losing_days": int(rng.integers(0, 5)),
        "reserve": figure(rng, "reserve"),
        "profit": float(rng.uniform(0, 500)),
        "age_s": float(rng.uniform(0, 60)),
    }
    return AccountFigures(
        **{name: _maybe(rng, float(value)) for name, value in figures.items()},  # type: ignore[arg-type]
        late=late,
        lost=late and bool(rng.random() < 0.5),
    )


def briefing(rng: np.random.Generator, ts_event: int, **more: Any) -> Briefing:
    """Return a random briefing at an instant."""
    said: dict[str, Any] = {
        "snapshot_id": f"{rng.integers(2**62):016x}",
        "ts_event": ts_event,
        "portfolio": account(rng),
        "system": str(rng.choice(["HEALTHY"] * 5 + ["DEGRADED", "CRITICAL", "EMERGENCY", ""])),
        "ess": str(rng.choice(["NOMINAL"] * 5 + ["CAUTION", "WARNING", "CRITICAL", ""])),
        "performance": {
            name: ModelFigures(
                sharpe=_maybe(rng, figure(rng, "sharpe")),
                win_rate=_maybe(rng, figure(rng, "rate")),
                days=int(rng.integers(0, 500)),
                staleness_days=_maybe(rng, float(rng.integers(0, 60))),
            )
            for name in ("xgboost", "lightgbm", "nhits")[: int(rng.integers(0, 4))]
        },
        "faults": {"journal": "no append"} if rng.random() < 0.03 else {},
        "volumes": {symbol: float(rng.integers(1, 6)) for symbol in SYMBOLS},
        "base": Policy(symbols=SYMBOLS[:5]),
        "policy": Policy(symbols=SYMBOLS[:5]),
    }
    return Briefing(**(said | more))


def messages(rng: np.random.Generator, count: int, start: int) -> Sequence[Any]:
    """Return random reports of an account and of health, seconds to days apart."""
    now = start
    made: list[Any] = []
    for number in range(1, count + 1):
        now += (
            int(rng.choice([1, 30, 60, 600, 3600, 7200, 86_400], p=[0.2, 0.2, 0.3, 0.1, 0.1, 0.05, 0.05]))
            * SECOND
        )
        if rng.random() < 0.3:
            system = str(rng.choice(["HEALTHY"] * 6 + ["DEGRADED", "CRITICAL", "EMERGENCY"]))
            made.append(HealthReported(source="system", sequence=number, ts_event=now, system_status=system))
            continue
        of = account(rng)
        names = ("drawdown", "exposure", "leverage", "margin_ratio", "win_rate", "sharpe")
        said: dict[str, Any] = {
            name: None
            if isinstance(value := getattr(of, name), Missing)
            else abs(value)
            if name != "sharpe"
            else value
            for name in names
        }
        for name in ("positions", "unprotected", "consecutive_losses", "winning_days", "losing_days"):
            said[name] = None if isinstance(value := getattr(of, name), Missing) else int(value)
        drawdown = said["drawdown"]
        said["max_drawdown"] = None if drawdown is None else max(drawdown, figure(rng, "drawdown"))
        made.append(
            AccountReported(
                source="paper",
                sequence=number,
                ts_event=now,
                interval_ns=DAY,
                equity=figure(rng, "equity"),
                **said,
            )
        )
    return made


def holds(rng: np.random.Generator, count: int) -> list[Hold]:
    """Return random holds of restrictions by all officers."""
    made = []
    ceilings = {
        "max_leverage": 12.0,
        "max_position_usd": 12_000.0,
        "max_exposure": 1.0,
        "max_drawdown": 0.1,
        "stop_multiplier": 1.2,
        "ess_caution": 0.04,
        "ess_warning": 0.06,
        "ess_critical": 0.1,
    }
    for number in range(count):
        key = str(rng.choice(["mode", "profile", "symbols", *ceilings]))
        value: float | str | tuple[str, ...]
        if key == "mode":
            value = str(rng.choice(MODES))
        elif key == "profile":
            value = str(rng.choice(["MICRO", "LOW", "NORMAL", "AGGRESSIVE"]))
        elif key == "symbols":
            value = tuple(sorted(rng.choice(SYMBOLS, size=int(rng.integers(1, 9)), replace=False).tolist()))
        else:
            value = float(rng.uniform(0.05, 1.0) * ceilings[key])
        made.append(
            Hold(
                owner=str(rng.choice(["supervisor", "cro", "ceo", "cio", "operator"])),
                rule=f"T{number}",
                key=key,
                value=value,
                reason="a test",
                ts_event=0,
            )
        )
    return made
