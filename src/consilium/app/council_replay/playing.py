"""Plays a historical paper run again under a council: account, books and room are those of the service.

Nothing here decides: candles go to `Accounts`, what they conclude to `CouncilRoom`, and its policy acts on
the account as it does in `consilium serve`. Two persons stand by who review what waits for a review.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.council_replay.history import Close, History
from consilium.app.live.account import Accounts
from consilium.app.live.council_room import CouncilRoom
from consilium.app.live.terms import Terms
from consilium.app.settings import Settings
from consilium.council.service import CouncilService
from consilium.domain import (
    ConflictResolved,
    Consensus,
    ConsiliumError,
    CouncilCommanded,
    Decision,
    Fill,
    HealthReported,
    ModelConfigured,
    PoolChanged,
)
from consilium.domain.time import DAY_NS, HOUR_NS

Floats = NDArray[np.float64]

PERSONS = ("first", "second")
NOTE = "replayed: looked at positions, fills and the market"


@dataclass(slots=True, kw_only=True)
class Played:
    """What came of one run.

    Parameters
    ----------
    ts, nav
        Every close, and what a unit was worth at it.
    modes
        Mode in force after each close.
    fired
        By rule, when it began to hold, or ruled without a hold.
    decisions
        How many of each officer, kind and rule.
    conflicts, reviews
        How many.
    fills, fees
        Of the account.
    holds_left
        In force at the end.
    """

    ts: list[int] = field(default_factory=list)
    nav: list[float] = field(default_factory=list)
    drawdown: list[float] = field(default_factory=list)
    exposure: list[float] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)
    fired: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    decisions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    log: list[Decision] = field(default_factory=list)
    conflicts: int = 0
    reviews: int = 0
    fills: int = 0
    holds_left: tuple[str, ...] = ()

    @property
    def worst(self) -> float:
        """The largest drawdown from any earlier peak of nav."""
        nav = np.array([1.0, *self.nav])
        return float((1.0 - nav / np.maximum.accumulate(nav)).max())

    @property
    def net_return(self) -> float:
        """Last nav less 1."""
        return self.nav[-1] - 1.0

    def daily(self) -> Floats:
        """Return simple returns by UTC day, the first and last part of a day in."""
        ends: dict[int, float] = {}
        for ts, nav in zip(self.ts, self.nav, strict=True):
            ends[(ts - 1) // DAY_NS] = nav
        navs = np.array([1.0, *ends.values()])
        found: Floats = navs[1:] / navs[:-1] - 1.0
        return found

    def share(self, *modes: str) -> float:
        """Return the share of closes after which one of the modes was in force."""
        return sum(mode in modes for mode in self.modes) / len(self.modes)


class Reviewers:
    """Two persons who review a freeze some hours after it came, and reduce-only after a day of being flat.

    Parameters
    ----------
    hours
        From a freeze to its review, and from one review to the next.
    """

    def __init__(self, hours: float) -> None:
        self._every = int(hours * HOUR_NS)
        self._last: int | None = None

    def due(self, council: CouncilService, ts: int) -> Iterator[CouncilCommanded]:
        """Yield what they ask for now."""
        if self._last is not None and ts - self._last < self._every:
            return
        stopped = [hold for hold in council.holds.values() if hold.key == "mode" and hold.owner != "operator"]
        since = {hold.rule: hold.ts_event for hold in stopped}
        freezes = [begun for rule, begun in since.items() if rule.startswith("F")]
        reviewed = council.briefing.reviews.get("freeze", ())
        if freezes and len(reviewed) < len(PERSONS) and ts - min(freezes) >= self._every:
            self._last = ts
            fallen = council.briefing.portfolio.drawdown_rebased
            deep = isinstance(fallen, float) and fallen >= 0.05
            for person in PERSONS:
                if deep:
                    yield _review("rebase", person, ts)
                yield _review("freeze", person, ts)
        elif "R2" in since and ts - since["R2"] >= DAY_NS:
            if council.briefing.reviews.get("reduce_only", ()):
                return
            self._last = ts
            yield _review("reduce_only", PERSONS[0], ts)


def _review(what: str, person: str, ts: int) -> CouncilCommanded:
    return CouncilCommanded(
        command_id=f"replay-{what}-{person}-{ts}",
        action="review",
        payload={"what": what, "note": NOTE},
        reason=NOTE,
        person=person,
        key_id=person,
        authenticated_at=ts,
        ts_event=ts,
    )


class _Shares:
    """Stands where the ensemble stands in the service: takes the weights that the CIO gives to models."""

    def __init__(self) -> None:
        self.allocations: dict[str, float] = {}
        self.configured: dict[str, float] = {}
        """None: the stored consensuses were reached with equal ones."""

    def handle(self, message: Any) -> tuple[()]:
        """Take a weight."""
        if isinstance(message, ModelConfigured) and message.allocation is not None:
            self.allocations[message.model] = message.allocation
        return ()


class Theatre:
    """One account and one council over one history.

    Parameters
    ----------
    history
        What happened.
    settings
        Of the account and of the council; ``council.enabled`` False leaves the account alone.
    without
        Rows of the table that never fire.
    review_hours
        See `Reviewers`; None for nobody who reviews.
    """

    def __init__(
        self,
        history: History,
        settings: Settings,
        *,
        without: frozenset[str] = frozenset(),
        review_hours: float | None = 4.0,
    ) -> None:
        symbols = tuple(sorted(history.panel))
        spaced = {name: history.panel[name].bars_per_day for name in symbols}
        self.history = history
        self.terms = Terms(
            feed="replay:history", interval_ns=history.interval_ns, symbols=symbols, bars_per_day=spaced
        )
        self.accounts = Accounts(settings, symbols, history.interval_ns, spaced, horizon=history.horizon)
        self._shares = _Shares()
        self.room = CouncilRoom(settings, self.terms, self.accounts, lambda: self._shares, without)
        self.reviewers = None if review_hours is None else Reviewers(review_hours)
        self._began: frozenset[str] = frozenset()

    def play(self) -> Played:
        """Live through the whole history; return what came of it."""
        history, played = self.history, Played()
        pool = PoolChanged(
            models=dict.fromkeys(history.models, "replayed"), missing={}, label={}, means={}, ts_event=0
        )
        self.accounts.models(pool, history.horizon)
        self.room.pool(pool)
        self.accounts.warm_up(history.warm)
        self.room.warm_up(history.warm)
        if history.closes:
            first = history.closes[0].ts
            healthy = HealthReported(
                source="system", sequence=0, ts_event=first - 1, system_status="HEALTHY", detail="replayed"
            )
            self._note(played, first, self.room.hear([healthy]))
        for close in history.closes:
            self._step(played, close)
        service = self.room.service
        played.holds_left = tuple(sorted(service.holds)) if service is not None else ()
        return played

    def _step(self, played: Played, close: Close) -> None:
        traded = self.accounts.step(close.ts, close.candles, close.predictions, self._agreed(close))
        said = self.room.close(close.ts, close.candles, traded)
        if self.room.service is not None and self.reviewers is not None:
            for command in self.reviewers.due(self.room.service, close.ts):
                try:
                    said = [*said, *self.room.hear([command])]
                    played.reviews += 1
                except ConsiliumError:
                    continue
        self._note(played, close.ts, [*traded, *said])
        books = self.accounts.trading.portfolio
        policy = self.accounts.trading.gate.policy
        played.ts.append(close.ts)
        played.nav.append(books.nav)
        played.drawdown.append(books.drawdown)
        played.exposure.append(books.margin / books.equity if books.equity > 0.0 else 0.0)
        played.modes.append(policy.mode)
        played.profiles.append(policy.profile)

    def _agreed(self, close: Close) -> list[Consensus]:
        """Return the consensuses, reached again where the CIO has given other weights."""
        followed = self.room.followed()
        kept = [s for s in close.consensuses if followed is None or s.symbol in followed]
        shares = self._shares.allocations
        if not shares or not close.stored:
            return kept
        return [
            replace(
                stored, allocations={name: shares.get(name, 0.0) for name in stored.models}
            ).reached_again(stored.predictions)
            for stored in close.stored
            if followed is None or stored.consensus.symbol in followed
        ]

    def _note(self, played: Played, ts: int, said: Sequence[Any]) -> None:
        for message in said:
            if isinstance(message, Decision):
                played.log.append(message)
                played.decisions[message.officer, message.kind, message.rule] += 1
                if message.kind in ("OVERRIDE", "RESEARCH_TASK", "CASHFLOW"):
                    played.fired[message.rule].append(ts)
            played.conflicts += isinstance(message, ConflictResolved)
            played.fills += isinstance(message, Fill)
        if self.room.service is None:
            return
        holds: Mapping[str, Any] = self.room.service.holds
        began = frozenset(hold.rule for hold in holds.values())
        for rule in sorted(began - self._began):
            if rule not in played.fired or played.fired[rule][-1:] != [ts]:
                played.fired[rule].append(ts)
        self._began = began
