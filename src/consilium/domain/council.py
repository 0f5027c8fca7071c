"""What the council hears: facts from sources, the passing of time, and what operators ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from consilium.domain.checks import require_at_least, require_name
from consilium.domain.errors import InvalidValue
from consilium.domain.governance import Policy


def _require_head(message: "AccountReported | HealthReported | ModelReported") -> None:
    require_name("source", message.source)
    require_at_least("sequence", message.sequence, 0)
    require_at_least("ts_event", message.ts_event, 0)
    require_at_least("received_at", message.received_at, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReported:
    """An account by one source; None where the source does not say.

    Parameters
    ----------
    source, sequence
        Who says it, and its running number there: an older or repeated one changes nothing.
    ts_event
        When it was so; UTC nanoseconds.
    received_at
        When it came, by the council's clock: a report from the future is known by it. 0 where the source
        keeps that clock itself.
    interval_ns
        How often the source speaks; 0 if unknown.
    equity
        Raw, in quote units, >= 0.
    nav
        Unitised value, > 0; None to take equity for it.
    drawdown, max_drawdown
        As the source computed them; None to compute them from nav.
    realized_pnl_today
        Quote units. With ``drawdown`` given it is believed for the daily loss where no day-open is known.
    losing_closes
        How many closes have lost so far, counted as ``consecutive_losses`` are: it tells of a run that was
        broken and made again between two reports. None if unknown.
    profit
        Realised profit above the last high that is not yet split, quote units; None if unknown.
    """

    source: str
    sequence: int
    ts_event: int
    interval_ns: int = 0
    equity: float
    nav: float | None = None
    drawdown: float | None = None
    max_drawdown: float | None = None
    realized_pnl_today: float | None = None
    exposure: float | None = None
    leverage: float | None = None
    margin_ratio: float | None = None
    positions: int | None = None
    unprotected: int | None = None
    win_rate: float | None = None
    sharpe: float | None = None
    consecutive_losses: int | None = None
    losing_closes: int | None = None
    winning_days: int | None = None
    losing_days: int | None = None
    locked: float = 0.0
    reserve: float = 0.0
    profit: float | None = None
    received_at: int = 0

    def __post_init__(self) -> None:
        _require_head(self)
        require_at_least("equity", self.equity, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReported:
    """The health of a system by one source.

    Parameters
    ----------
    system_status
        HEALTHY, DEGRADED, CRITICAL or EMERGENCY; any other counts as unknown.
    ess_state
        Level that the source itself claims; empty if it says none. The worse of it and our own counts.
    faults
        Demands of a freeze: ``journal`` or ``reconciliation`` with a reason.
    received_at
        As of `AccountReported`.
    """

    source: str
    sequence: int
    ts_event: int
    system_status: str
    ess_state: str = ""
    detail: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)
    received_at: int = 0

    def __post_init__(self) -> None:
        _require_head(self)
        require_name("system_status", self.system_status)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReported:
    """A model's figures by one source; None where there is too little behind them.

    Its sequence runs by source and model. ``received_at`` is as of `AccountReported`.
    """

    source: str
    sequence: int
    ts_event: int
    model: str
    sharpe: float | None = None
    win_rate: float | None = None
    days: int = 0
    trades: int | None = None
    staleness_days: float | None = None
    received_at: int = 0

    def __post_init__(self) -> None:
        _require_head(self)
        require_name("model", self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumesReported:
    """30-day volume in quote units by symbol that is followed; it ranks the universe."""

    ts_event: int
    volumes: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """The clock moved on; nothing else has happened."""

    ts_event: int

    def __post_init__(self) -> None:
        require_at_least("ts_event", self.ts_event, 0)


COMMAND_ACTIONS = (
    "mode", "risk", "profile", "allocation", "universe", "role", "approve", "review", "release", "retire",
    "acknowledge",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilCommanded:
    """What an operator asks of the council.

    Parameters
    ----------
    command_id
        Unique; the id of its decision or approval is made of it.
    action
        ``mode``, ``risk``, ``profile``, ``allocation``, ``universe``: place or loosen a hold. ``role``:
        switch one on or off. ``approve``: the second person of an approval. ``review``: of a freeze,
        of reduce-only, or a rebase of the peak. ``release``: of an operator's hold.
        ``retire``: of a silent source.
        ``acknowledge``: of a page.
    payload
        By action; see `consilium.council.commands`.
    person, key_id
        Who asks, and by which key; never the key itself.
    ts_event
        By the council's clock.
    received_at
        As of `AccountReported`.
    """

    command_id: str
    action: str
    payload: Mapping[str, object]
    reason: str
    person: str
    key_id: str = ""
    authenticated_at: int = 0
    ts_event: int
    received_at: int = 0

    def __post_init__(self) -> None:
        for name in ("command_id", "reason", "person"):
            require_name(name, getattr(self, name))
        require_at_least("ts_event", self.ts_event, 0)
        require_at_least("received_at", self.received_at, 0)
        if self.action not in COMMAND_ACTIONS:
            raise InvalidValue(
                f"action must be one of {', '.join(COMMAND_ACTIONS)}", repr(self.action), "choose one"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChanged:
    """Another policy is in force, and the decisions that made it so."""

    policy: Policy
    decisions: tuple[str, ...]
    ts_event: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictResolved:
    """Two officers ruled on one kind at one instant: who prevailed, and over which decision."""

    kind: str
    winner_id: str
    winner: str
    loser_id: str
    loser: str
    payload: Mapping[str, object]
    reason: str
    ts_event: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRefused:
    """A report or command that changed nothing: which, and why."""

    what: str
    source: str
    reason: str
    ts_event: int
