"""What the officers see, decide, and what is in force because of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from consilium.domain.checks import require_at_least, require_fraction, require_name
from consilium.domain.errors import InvalidValue


class Mode(StrEnum):
    """What the desk may do, from the loosest to the tightest."""

    LIVE = "LIVE"
    SHADOW = "SHADOW"
    PAUSED = "PAUSED"
    REDUCING = "REDUCING"
    EMERGENCY = "EMERGENCY"
    FROZEN = "FROZEN"


class DecisionKind(StrEnum):
    """What an officer may rule on."""

    CAPITAL_PROFILE = "CAPITAL_PROFILE"
    MODE_CHANGE = "MODE_CHANGE"
    RISK_ADJUSTMENT = "RISK_ADJUSTMENT"
    ESS_POLICY = "ESS_POLICY"
    STRATEGY_ALLOCATION = "STRATEGY_ALLOCATION"
    SYMBOL_UNIVERSE = "SYMBOL_UNIVERSE"
    CASHFLOW = "CASHFLOW"
    RESEARCH_TASK = "RESEARCH_TASK"
    OVERRIDE = "OVERRIDE"
    FREEZE = "FREEZE"


PRIORITIES: Mapping[str, int] = {
    "operator": 0,
    "supervisor": 1,
    "cro": 2,
    "ceo": 3,
    "cio": 4,
    "cfo": 5,
    "researcher": 6,
}
"""Rank by officer: a lower number prevails. The operator's is that of a decision, not of a release."""


class Missing(Enum):
    """Why a figure has no value."""

    INSUFFICIENT = "insufficient"
    """There is too little behind it: no rule fires on it, in either direction."""
    UNKNOWN = "unknown"
    """It should be there and is not: what needs it fails closed."""


Figure = float | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is in force now: the meet of all holds and the base limits.

    Parameters
    ----------
    mode
        Name of the tightest mode in force.
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
        Capabilities: the AND of all modes in force.
    reduce
        Positions beyond the limits are reduced to them (REDUCING).
    flatten
        All positions are closed, reduce-only (EMERGENCY).
    ess_caution, ess_warning, ess_critical
        Losses from the highest nav of 24 hours at which the emergency stop escalates.
    symbols
        The universe for entries; None for all that is followed.
    weights
        Allocation by model; empty for equal ones.
    profit_lock, reinvest, reserve_buffer
        How realised profit is split; they sum to 1.
    """

    mode: str = Mode.LIVE.value
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
    reduce: bool = False
    flatten: bool = False
    ess_caution: float = 0.03
    ess_warning: float = 0.05
    ess_critical: float = 0.08
    symbols: tuple[str, ...] | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    profit_lock: float = 0.30
    reinvest: float = 0.60
    reserve_buffer: float = 0.10

    def __post_init__(self) -> None:
        for name in (
            "max_risk_per_trade", "max_daily_risk", "max_drawdown", "max_exposure",
            "ess_caution", "ess_warning", "ess_critical", "profit_lock", "reinvest", "reserve_buffer",
        ):  # fmt: skip
            require_fraction(name, getattr(self, name))
        for name in ("max_positions", "max_leverage", "max_position_usd", "stop_multiplier"):
            require_at_least(name, getattr(self, name), 0.0)
        if self.mode not in Mode.__members__:
            raise InvalidValue(f"mode must be one of {', '.join(Mode)}", repr(self.mode), "choose one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A restriction that stays until its owner, or a higher rank, releases it.

    Parameters
    ----------
    owner
        The officer who placed it, or ``operator``.
    rule
        Row of the table that placed it, such as ``F1``; ``O1`` for an operator's.
    key
        What it bounds: a limit or threshold of `Policy`, ``mode``, ``profile``, ``symbols`` or
        ``allocation:MODEL``.
    value
        A bound for limits, a name for mode and profile, names for symbols.
    ts_event
        When it was placed.
    expires_at
        UTC nanoseconds after which it ends by itself; None for never.
    decision_id
        What placed it.
    """

    owner: str
    rule: str
    key: str
    value: float | str | tuple[str, ...]
    reason: str
    ts_event: int
    expires_at: int | None = None
    decision_id: str = ""

    def __post_init__(self) -> None:
        for name in ("owner", "rule", "key", "reason"):
            require_name(name, getattr(self, name))

    @property
    def hold_id(self) -> str:
        """Names it: one owner, rule and key have one hold at most."""
        return f"{self.owner}/{self.rule}/{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFigures:
    """The account as the officers see it: of all sources the worse value of each figure.

    Ratios are fractions, money is in quote units, drawdowns are >= 0.

    Parameters
    ----------
    drawdown, max_drawdown
        From the 30-day peak of nav now, and the most of it in 30 days.
    drawdown_rebased, max_drawdown_rebased
        The same since the last rebase of the peak; equal to the first two where there was none.
    drawdown_rise
        Drawdown now less the lowest of the last 24 hours, in points.
    daily_loss
        Loss of nav since the day's open, >= 0.
    ess_loss
        Loss from the highest nav of the last 24 hours, >= 0.
    loss_15m
        Loss of nav over the last 15 minutes, >= 0.
    positions, unprotected
        Open positions, and those of them without a live stop.
    long_losses
        Losing closes that made, or prolonged, a run of five or more; of all sources together.
    reserve
        Share of equity in reserve.
    profit
        Realised profit above the last high, >= 0, not yet split.
    age_s
        Seconds since the oldest required source spoke.
    late, lost
        Whether any is silent for more than max(60 s, 2 intervals), and than max(300 s, 5 intervals).
    """

    equity: Figure = Missing.UNKNOWN
    nav: Figure = Missing.UNKNOWN
    drawdown: Figure = Missing.UNKNOWN
    max_drawdown: Figure = Missing.UNKNOWN
    drawdown_rebased: Figure = Missing.UNKNOWN
    max_drawdown_rebased: Figure = Missing.UNKNOWN
    drawdown_rise: Figure = Missing.INSUFFICIENT
    daily_loss: Figure = Missing.UNKNOWN
    ess_loss: Figure = Missing.UNKNOWN
    loss_15m: Figure = Missing.UNKNOWN
    exposure: Figure = Missing.UNKNOWN
    leverage: Figure = Missing.UNKNOWN
    margin_ratio: Figure = Missing.UNKNOWN
    positions: Figure = Missing.UNKNOWN
    unprotected: Figure = Missing.UNKNOWN
    win_rate: Figure = Missing.INSUFFICIENT
    sharpe: Figure = Missing.INSUFFICIENT
    consecutive_losses: Figure = Missing.INSUFFICIENT
    long_losses: Figure = Missing.INSUFFICIENT
    winning_days: Figure = Missing.INSUFFICIENT
    losing_days: Figure = Missing.INSUFFICIENT
    reserve: Figure = Missing.UNKNOWN
    profit: Figure = Missing.UNKNOWN
    age_s: Figure = Missing.UNKNOWN
    late: bool = True
    lost: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """What a model's unit-size shadow book came to, net of cost, and how old the model is."""

    sharpe: Figure = Missing.INSUFFICIENT
    win_rate: Figure = Missing.INSUFFICIENT
    days: int = 0
    staleness_days: Figure = Missing.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """The facts at one instant, the same for every officer.

    Parameters
    ----------
    snapshot_id
        Hash of the facts: equal facts have equal ids.
    ts_event
        Now, by the Clock port; UTC nanoseconds.
    portfolio
        The account.
    system
        System health: HEALTHY, DEGRADED, CRITICAL or EMERGENCY; empty if unknown.
    ess
        Emergency-stop level by the thresholds in force: NOMINAL, CAUTION, WARNING or CRITICAL; empty if
        unknown.
    performance
        Figures by model that is allowed to speak.
    policy
        In force before this evaluation.
    base
        The limits without any hold.
    holds
        In force before this evaluation, by `Hold.hold_id`.
    faults
        What demands a freeze by itself (F6): ``journal``, ``reconciliation``; by name, why.
    reviews
        Persons who have reviewed since the last trigger, by what they reviewed: ``freeze``, ``reduce_only``,
        ``rebase``.
    volumes
        By followed symbol, its 30-day volume in quote units.
    started_at
        When the council began to sit; UTC nanoseconds.
    floor_usd
        Least equity, below which trading is frozen (F4).
    disabled_rules
        Rows of the table that never fire: for a comparison with and without them.
    fresh_since
        Since when the required sources have spoken without a gap: what lies before it was not watched.
    accounts
        How many sources have told of an account.
    lost_after_ns
        How long required facts may be unknown with open positions (F6).
    """

    snapshot_id: str
    ts_event: int
    portfolio: AccountFigures = field(default_factory=AccountFigures)
    system: str = ""
    ess: str = ""
    performance: Mapping[str, ModelFigures] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    base: Policy = field(default_factory=Policy)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    reviews: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    volumes: Mapping[str, float] = field(default_factory=dict)
    started_at: int = 0
    floor_usd: float = 1000.0
    disabled_rules: frozenset[str] = frozenset()
    fresh_since: int = 0
    accounts: int = 0
    lost_after_ns: int = 300_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An officer's ruling of one kind.

    Parameters
    ----------
    expires_at
        UTC nanoseconds, None if it does not expire by time.
    overrides
        Id of the decision that this one cancels, empty if none.
    rule
        Row of the table that fired.
    cause_id
        The message that led to it.
    code_hash, config_hash
        Of the rules and of the settings they were carried out with.
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
    rule: str = ""
    cause_id: str = ""
    code_hash: str = ""
    config_hash: str = ""

    def __post_init__(self) -> None:
        for name in ("decision_id", "officer", "kind", "reason"):
            require_name(name, getattr(self, name))

    @property
    def priority(self) -> int:
        """Rank of its officer; a lower number prevails."""
        return PRIORITIES[self.officer]
