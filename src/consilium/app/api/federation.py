"""Bodies of /api/federation, in the words of seed 001; ratios are fractions although they end in ``_pct``."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from consilium.app.api.answers import TOLD
from consilium.app.api.schemas import REASON, STRICT, WHOLE, Model, Symbol
from consilium.domain import canonical_model

MOST_MINUTES = 1_440
"""An operator's restriction and loosening end within a day."""

Reason = Annotated[
    str, Field(pattern=REASON, max_length=500, description="Why, in one line; it is journaled.")
]
Minutes = Annotated[
    int | None,
    Field(ge=1, le=MOST_MINUTES, description="Until it ends by itself; a day at most."),
    WHOLE,
]
Leverage = Annotated[float, Field(gt=0.0, le=10.0)]
Drawdown = Annotated[float, Field(gt=0.0, le=0.08)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Position = Annotated[float, Field(gt=0.0, le=1e12)]
Multiplier = Annotated[float, Field(gt=0.0, le=10.0)]

LIMITS = (
    "max_leverage", "max_position_size_usd", "max_drawdown_pct", "max_exposure_pct", "stop_loss_multiplier",
)  # fmt: skip
"""In the seed's words."""


def _asking(**example: Any) -> ConfigDict:
    return ConfigDict(**STRICT, json_schema_extra={"examples": [example]})


class Asked(BaseModel):
    """What an operator wants of the council, why, and for how long."""

    reason: Reason
    duration_minutes: Minutes = None

    def asked(self) -> dict[str, Any]:
        """Return what is asked for, as the council hears it."""
        return self.model_dump(exclude={"reason"})


class ChangeMode(Asked):
    """The mode that an operator wants; a tighter one holds at once, a looser one takes two persons."""

    model_config = _asking(mode="PAUSED", reason="Manual testing", duration_minutes=60)

    mode: Literal["LIVE", "SHADOW", "PAUSED", "REDUCING", "EMERGENCY"]


class AdjustRisk(Asked):
    """Limits that an operator wants, at least one; those that are not given stay as they are."""

    model_config = STRICT | {
        "json_schema_extra": {
            "examples": [{"max_leverage": 5.0, "max_drawdown_pct": 0.05, "reason": "Emergency tightening"}],
            "anyOf": [{"required": [name], "properties": {name: {"type": "number"}}} for name in LIMITS],
        }
    }

    max_leverage: Leverage | None = None
    max_position_size_usd: Position | None = None
    max_drawdown_pct: Drawdown | None = None
    max_exposure_pct: Share | None = None
    stop_loss_multiplier: Multiplier | None = None

    def asked(self) -> dict[str, Any]:
        """Return the limits that were given, and for how long."""
        return {**self.limits(), "duration_minutes": self.duration_minutes}

    def limits(self) -> dict[str, float]:
        """Return those that were given."""
        found = {name: getattr(self, name) for name in LIMITS}
        return {name: value for name, value in found.items() if value is not None}

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        if not self.limits():
            raise ValueError(f"at least one of {', '.join(LIMITS)} must be given")
        return self


class ChangeProfile(Asked):
    """The capital profile that an operator wants."""

    model_config = _asking(profile="LOW", reason="A quiet week", duration_minutes=240)

    profile: Literal["MICRO", "LOW", "NORMAL", "AGGRESSIVE"]


class ChangeUniverse(Asked):
    """The only symbols in which positions may be opened."""

    model_config = _asking(symbols=["BTCUSDT", "ETHUSDT"], reason="Thin books elsewhere")

    symbols: Annotated[
        list[Symbol],
        Field(min_length=1, max_length=100, json_schema_extra={"uniqueItems": True}),
    ]

    @model_validator(mode="after")
    def _require_each_once(self) -> Self:
        if len(set(self.symbols)) < len(self.symbols):
            raise ValueError("each symbol may stand once")
        return self


class ChangeAllocation(Asked):
    """The share of one model; the officers spread the rest. A day, if no end is given."""

    model_config = _asking(model="xgboost", weight=0.4, reason="Retrained yesterday", duration_minutes=600)

    model: Model
    weight: Annotated[float, Field(ge=0.0, le=1.0)]

    def asked(self) -> dict[str, Any]:
        """Return what is asked for, with the model's one name."""
        return {**super().asked(), "model": canonical_model(self.model)}


class GiveReason(BaseModel):
    """Why."""

    model_config = _asking(reason="Seen on the desk")

    reason: Reason


class ReviewFreeze(BaseModel):
    """What a person has looked at: a freeze, reduce-only, or a rebase of the peak of the drawdown."""

    model_config = _asking(what="freeze", reason="Positions and stops looked at, data are fresh")

    what: Literal["freeze", "reduce_only", "rebase"] = "freeze"
    reason: Reason


class Ruled(BaseModel):
    """A command that holds from now on, and the decision that says so."""

    model_config = TOLD

    success: Literal[True]
    decision_id: str


class ModeRuled(Ruled):
    """The mode that was asked for."""

    mode: str


class RiskRuled(Ruled):
    """The limits that were asked for."""

    limits: dict[str, float]


class ProfileRuled(Ruled):
    """The profile that was asked for."""

    profile: str


class UniverseRuled(Ruled):
    """The symbols that were asked for."""

    symbols: list[str]


class AllocationRuled(Ruled):
    """The share that was asked for."""

    model: str
    weight: float


class Waiting(BaseModel):
    """A loosening: nothing has changed yet, another person must complete it."""

    model_config = TOLD

    success: Literal[False]
    approval_id: str
    detail: str
    decision_id: str | None = Field(
        default=None, description="Of the part that only tightens, which holds already."
    )


class RoleSwitched(BaseModel):
    """Whether a role sits."""

    model_config = TOLD

    success: Literal[True]
    role: str
    status: Literal["enabled", "disabled"]


class Noted(BaseModel):
    """A command that changes no limit, and its place in the journal's events."""

    model_config = TOLD

    success: Literal[True]
    event_id: str


class FederationStatus(BaseModel):
    """Who sits, and what they have come to."""

    model_config = TOLD

    roles: dict[str, bool]
    total_decisions: int = Field(ge=0)
    last_update: str | None = Field(description="Time of the newest decision; null before the first.")
    mode: str
    detail: str
    profile: str
    advice: dict[str, Any] | None = Field(
        default=None, description="The learned forecast of drawdown and its scores; absent where it is off."
    )


class DecisionShown(BaseModel):
    """A ruling of an officer, or of an operator."""

    model_config = TOLD

    decision_id: str
    decision_type: str
    role_source: str
    priority: int
    timestamp: str
    reason: str
    payload: dict[str, Any]
    offset: int = Field(description="Its place in the journal.")


class Decisions(BaseModel):
    """Decisions, newest first."""

    model_config = ConfigDict(extra="forbid")

    total: int = Field(ge=0, description="How many are shown.")
    decisions: list[DecisionShown]
    next: int | None = Field(description="`before` of the next page; null where this is the last.")


class PolicyShown(BaseModel):
    """What is in force: the tightest of all holds and the base limits."""

    model_config = TOLD

    mode: str = Field(description="LIVE, SHADOW, PAUSED or EMERGENCY.")
    detail: str = Field(description="The mode as the desk knows it: REDUCING and FROZEN too.")
    profile: str
    max_leverage: float
    max_position_size_usd: float
    max_drawdown_pct: float
    max_exposure_pct: float
    stop_loss_multiplier: float
    active_symbols: list[str] | None = Field(description="Null for all that are followed.")


class Holds(BaseModel):
    """Restrictions in force."""

    model_config = ConfigDict(extra="forbid")

    holds: list[dict[str, Any]]


class Approvals(BaseModel):
    """Loosenings that wait for another person."""

    model_config = ConfigDict(extra="forbid")

    approvals: list[dict[str, Any]]


class AlertShown(BaseModel):
    """Something that somebody should know."""

    model_config = TOLD

    alert_id: str
    kind: str
    severity: Literal["critical", "high", "medium", "low"]
    title: str
    text: str
    timestamp: str
    acknowledged_by: str
    over: bool


class Alerts(BaseModel):
    """Alerts, the worst that nobody has seen first."""

    model_config = ConfigDict(extra="forbid")

    alerts: list[AlertShown]
    waiting: dict[str, int] = Field(description="By sender, pages that it has still to carry.")


class Explained(BaseModel):
    """A decision: what led to it, what it holds, and what would release that."""

    model_config = TOLD

    decision: DecisionShown
    in_force: bool | None = Field(
        default=None, description="Whether it holds anything now; null if not known."
    )
    released_by: str = Field(default="", description="What ends that.")
    earliest_at: str | None = Field(default=None, description="When at the earliest.")
