"""What the officers see, decide, and what is in force because of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from consilium.domain.checks import require_at_least, require_fraction, require_name
from consilium.domain.trading import PortfolioSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is in force now: the meet of all holds and the base limits.

    Parameters
    ----------
    profile
        Name of the capital profile.
    max_risk_per_trade, max_daily_risk
        Fractions of equity that one trade, and all open positions together, may lose at their stops.
    max_positions
        Open positions at most.
    max_leverage
        Gross notional / equity at most.
    max_position_usd
        Value of one position in quote units at most.
    max_drawdown
        No entries beyond this drawdown, a fraction.
    max_exposure
        Initial margin / equity at most.
    stop_multiplier
        Moves the stop (1 is two ATR), never the size.
    entry, strategy_exit, protective_stop, operator_reduces
        Capabilities of the mode in force.
    """

    profile: str = "NORMAL"
    max_risk_per_trade: float = 0.02
    max_daily_risk: float = 0.05
    max_positions: int = 5
    max_leverage: float = 10.0
    max_position_usd: float = 10_000.0
    max_drawdown: float = 0.08
    max_exposure: float = 0.90
    stop_multiplier: float = 1.0
    entry: bool = True
    strategy_exit: bool = True
    protective_stop: bool = True
    operator_reduces: bool = True

    def __post_init__(self) -> None:
        for name in ("max_risk_per_trade", "max_daily_risk", "max_drawdown", "max_exposure"):
            require_fraction(name, getattr(self, name))
        for name in ("max_positions", "max_leverage", "max_position_usd", "stop_multiplier"):
            require_at_least(name, getattr(self, name), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """The facts at one instant, the same for every officer.

    Parameters
    ----------
    system, ess
        System health (HEALTHY, DEGRADED, CRITICAL, EMERGENCY) and emergency-stop level; empty if unknown.
    performance
        Figures by model.
    """

    snapshot_id: str
    ts_event: int
    portfolio: PortfolioSnapshot
    system: str = ""
    ess: str = ""
    performance: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An officer's ruling of one kind.

    Parameters
    ----------
    expires_at
        UTC nanoseconds, None if it does not expire by time.
    overrides
        Id of the decision that this one cancels, empty if none.
    """

    decision_id: str
    ts_event: int
    officer: str
    kind: str
    payload: Mapping[str, object]
    reason: str
    expires_at: int | None = None
    overrides: str = ""
    snapshot_id: str = ""

    def __post_init__(self) -> None:
        for name in ("decision_id", "officer", "kind", "reason"):
            require_name(name, getattr(self, name))
