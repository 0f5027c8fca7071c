"""Learned advice: what a forecast of drawdown may do, which is to tighten and nothing else.

Advice is turned into holds of CEO (A1) and CRO (A2), and holds only bound: the policy is their meet, so more
of them never loosens anything. There is no way from advice to a release, a grant or a waiver. A hold of
advice ends with the forecast's horizon, and nobody waits for it. A forecast that has not yet beaten what is
known without it (the past rate, and the fixed rules) is heard and does nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from consilium.council.afterwards import policy_after
from consilium.council.holds import PROFILE_ORDER
from consilium.council.payloads import kind_of, payload_of
from consilium.council.role import Proposal
from consilium.domain import Briefing, Hold, Policy
from consilium.domain.checks import require_at_least, require_fraction, require_name

EXPOSURE_FROM = 0.35
"""A2: probability from which the CRO halves exposure."""

PROFILE_FROM = 0.5
"""A1: probability from which the CEO goes one profile down."""

EXPOSURE_FACTOR = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A forecast of drawdown, and how the forecaster has done so far.

    Parameters
    ----------
    source
        Who forecasts.
    ts_event
        When; UTC nanoseconds.
    horizon_ns
        How far ahead it looks; its holds last as long.
    depth
        Loss from now that is meant, a fraction.
    probability
        That nav falls by more than ``depth`` within the horizon.
    earned
        Whether its Brier score so far is better than those of the past rate and of the fixed rules, by more
        than two standard errors; without it nothing follows.
    """

    source: str
    ts_event: int
    horizon_ns: int
    depth: float
    probability: float
    earned: bool = False

    def __post_init__(self) -> None:
        require_name("source", self.source)
        require_at_least("ts_event", self.ts_event, 0)
        require_at_least("horizon_ns", self.horizon_ns, 1)
        require_fraction("depth", self.depth)
        require_fraction("probability", self.probability)


def holds_of(advice: Advice, base: Policy) -> tuple[Hold, ...]:
    """Return the holds that follow from advice: bounds at or below the base, with an end.

    Parameters
    ----------
    advice
        What was forecast.
    base
        The limits without any hold.

    Examples
    --------
    >>> said = Advice(source="logistic", ts_event=0, horizon_ns=10, depth=0.02, probability=0.6, earned=True)
    >>> [(hold.hold_id, hold.value, hold.expires_at) for hold in holds_of(said, Policy())]
    [('cro/A2/max_exposure', 0.45, 10), ('ceo/A1/profile', 'LOW', 10)]
    >>> doubtful = Advice(source="new", ts_event=0, horizon_ns=10, depth=0.02, probability=0.6)
    >>> holds_of(doubtful, Policy())
    ()
    """
    if not advice.earned:
        return ()
    told = f"{advice.probability:.0%} to lose more than {advice.depth:.1%}, by {advice.source}"
    found = []
    if advice.probability >= EXPOSURE_FROM:
        found.append(_hold("cro", "A2", "max_exposure", base.max_exposure * EXPOSURE_FACTOR, told, advice))
    if advice.probability >= PROFILE_FROM:
        lower = PROFILE_ORDER[max(PROFILE_ORDER.index(base.profile) - 1, 0)]
        found.append(_hold("ceo", "A1", "profile", lower, told, advice))
    return tuple(found)


def lasts(standing: Hold | None, wanted: Hold) -> bool:
    """Whether a hold that stands says the same for at least half of the time: it is not told anew."""
    if standing is None or standing.value != wanted.value:
        return False
    ends, wished = standing.expires_at, wanted.expires_at
    return ends is None or wished is None or ends - wanted.ts_event > (wished - wanted.ts_event) / 2


def tightening(hold: Hold, briefing: Briefing, symbols: Iterable[str]) -> Proposal:
    """Return the proposal of an officer that places a hold of advice and releases nothing."""
    kind = kind_of(hold.key)
    return Proposal(
        rule=hold.rule,
        kind=kind,
        payload=payload_of(kind, policy_after(briefing, [hold]), symbols),
        reason=hold.reason,
        holds=(hold,),
        expires_at=hold.expires_at,
    )


def _hold(owner: str, rule: str, key: str, value: float | str, told: str, advice: Advice) -> Hold:
    return Hold(
        owner=owner,
        rule=rule,
        key=key,
        value=value,
        reason=told,
        ts_event=advice.ts_event,
        expires_at=advice.ts_event + advice.horizon_ns,
    )
