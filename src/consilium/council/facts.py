"""What the council has heard, by source, and which reports it refuses.

Each source counts its own reports: one that is not newer than the last changes nothing. Sources are never
reconciled with each other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from consilium.council.accounts import Account
from consilium.council.claims import OUTSIDE, is_trusted
from consilium.council.rules import CouncilRules
from consilium.domain import (
    AccountReported,
    HealthReported,
    ModelFigures,
    ModelReported,
    UnknownName,
    VolumesReported,
)
from consilium.domain.checks import finite
from consilium.domain.time import DAY_NS, SECOND_NS

LONGEST_INTERVAL_NS = DAY_NS
"""No source is waited for as if it spoke more rarely than daily."""
MOST_SOURCES = 32
"""Outside sources at a time, of which each may have a hold, an alert and a place in the state."""
MOST_MODELS = 64
"""Models of outside sources."""
RESTING_NS = 30 * DAY_NS
"""No peak is remembered for longer."""

Report = AccountReported | HealthReported | ModelReported
MOST_COUNTED = 1e9
"""Of days, trades and losses: sums of counts stay far below what a number holds exactly."""
_RANGES: Mapping[str, tuple[float, float]] = {
    "nav": (1e-300, float("inf")),
    "drawdown": (0.0, 1.0),
    "max_drawdown": (0.0, 1.0),
    "realized_pnl_today": (-float("inf"), float("inf")),
    "exposure": (0.0, float("inf")),
    "leverage": (0.0, float("inf")),
    "margin_ratio": (0.0, float("inf")),
    "positions": (0.0, MOST_COUNTED),
    "unprotected": (0.0, MOST_COUNTED),
    "win_rate": (0.0, 1.0),
    "sharpe": (-float("inf"), float("inf")),
    "consecutive_losses": (0.0, MOST_COUNTED),
    "losing_closes": (0.0, MOST_COUNTED),
    "winning_days": (0.0, MOST_COUNTED),
    "losing_days": (0.0, MOST_COUNTED),
    "locked": (0.0, float("inf")),
    "reserve": (0.0, float("inf")),
    "profit": (0.0, float("inf")),
    "interval_ns": (0.0, float("inf")),
    "staleness_days": (0.0, MOST_COUNTED),
    "days": (0.0, MOST_COUNTED),
    "trades": (0.0, MOST_COUNTED),
}


def out_of_range(report: object, names: Iterable[str]) -> str:
    """Say which field of a report is no finite number of its range; empty if none is."""
    for name in names:
        value = getattr(report, name)
        if value is None:
            continue
        low, high = _RANGES[name]
        if not (finite(value) and low <= value <= high):
            return f"{name} must be finite and lie in [{low:g}, {high:g}]; got {value}"
    return ""


def too_early(ts_event: int, received_at: int, rules: CouncilRules) -> str:
    """Say how far ahead of its coming a message is dated; empty where it is not, or where nobody says."""
    ahead = (ts_event - received_at) / SECOND_NS
    if not received_at or ahead <= rules.future_s:
        return ""
    return f"it lies {ahead:.1f} s in the future; the bound is {rules.future_s:g} s"


_ACCOUNT_FIELDS = tuple(name for name in _RANGES if name in AccountReported.__dataclass_fields__)
_MODEL_FIELDS = tuple(name for name in _RANGES if name in ModelReported.__dataclass_fields__)


class Facts:
    """The newest word of each source."""

    def __init__(self, rules: CouncilRules) -> None:
        self._rules = rules
        self.trusted = frozenset(rules.trusted_sources)
        """Outside sources that count in full."""
        self.accounts: dict[str, Account] = {}
        self.health: dict[str, HealthReported] = {}
        self.models: dict[tuple[str, str], ModelReported] = {}
        self.volumes: dict[str, float] = {}
        self.volumes_at = 0
        self.resting: dict[str, Account] = {}
        """Accounts of retired sources: one that speaks again goes on from its old peak."""
        self.performance: dict[str, ModelFigures] | None = None
        """Figures by model, once combined; None after another word."""
        self.fresh_since = 0
        """When the newest gap ended in which a required source was late; 0 for none."""
        self.retired: dict[str, int] = {}
        """Time of the last word of each retired source: what it said before is not heard again."""

    def refusal(self, report: Report | VolumesReported) -> str:
        """Say why a report changes nothing; empty if it does."""
        if isinstance(report, VolumesReported):
            bad = [name for name, value in report.volumes.items() if not (finite(value) and value >= 0)]
            if bad:
                return f"volume of {bad[0]} must be finite and >= 0"
            return "it is older than the volumes heard last" if report.ts_event < self.volumes_at else ""
        ahead = too_early(report.ts_event, report.received_at, self._rules)
        if ahead:
            return ahead
        crowded = self._crowded(report)
        if crowded:
            return crowded
        last = self._last(report)
        if last is not None and report.sequence <= last[0]:
            return f"sequence must be > {last[0]}; got {report.sequence}: a replay, or an older one"
        if last is not None and report.ts_event < last[1]:
            return "it is older than what the source said last"
        if last is None and report.ts_event <= self.retired.get(report.source, -1):
            return "it is older than the retirement of its source"
        if isinstance(report, AccountReported):
            return out_of_range(report, _ACCOUNT_FIELDS) or self._measure_changed(report)
        return out_of_range(report, _MODEL_FIELDS) if isinstance(report, ModelReported) else ""

    def _crowded(self, report: Report) -> str:
        """Say why there is no room for an outside source, or for its model; empty if there is."""
        if not report.source.startswith(OUTSIDE):
            return ""
        known = {name for name, _ in self._spoken() if name.startswith(OUTSIDE)}
        if report.source not in known and len(known) >= MOST_SOURCES:
            return f"{MOST_SOURCES} outside sources are heard; retire one that is silent"
        if not isinstance(report, ModelReported):
            return ""
        models = {model for source, model in self.models if source.startswith(OUTSIDE)}
        full = report.model not in models and len(models) >= MOST_MODELS
        return f"outside sources may tell of {MOST_MODELS} models; retire one that is silent" if full else ""

    def _measure_changed(self, report: AccountReported) -> str:
        """Say what a source measures otherwise than before: a loss would be wiped by it; empty if nothing."""
        account = self.accounts.get(report.source) or self.resting.get(report.source)
        if account is None:
            return ""
        last = account.report
        if (last.nav is None) != (report.nav is None):
            return "a source must give nav always, or never; it did otherwise: speak under another name"
        if last.drawdown is not None and report.drawdown is None:
            return "a source that gave its drawdown must go on giving it, or speak under another name"
        return ""

    def _last(self, report: Report) -> tuple[int, int] | None:
        """Return sequence and time of what the source said last on this topic."""
        known: Report | None
        if isinstance(report, AccountReported):
            account = self.accounts.get(report.source)
            known = None if account is None else account.report
        elif isinstance(report, HealthReported):
            known = self.health.get(report.source)
        else:
            known = self.models.get((report.source, report.model))
        return None if known is None else (known.sequence, known.ts_event)

    def hear(self, report: Report | VolumesReported) -> None:
        """Take a report that is not refused."""
        self._note_gap(report)
        if isinstance(report, VolumesReported):
            self.volumes = {name: float(report.volumes[name]) for name in sorted(report.volumes)}
            self.volumes_at = report.ts_event
        elif isinstance(report, HealthReported):
            self.health[report.source] = report
        elif isinstance(report, ModelReported):
            self.models[report.source, report.model] = report
            self.performance = None
        elif report.source in self.accounts:
            self.accounts[report.source].hear(report)
        elif report.source in self.resting:
            self.accounts[report.source] = self.resting.pop(report.source)
            self.accounts[report.source].hear(report)
        else:
            self.accounts[report.source] = Account(report)

    def _note_gap(self, report: Report | VolumesReported) -> None:
        """Note where a required source had been silent for too long before this report."""
        if isinstance(report, AccountReported | HealthReported) and (self.accounts or self.health):
            now = report.ts_event
            if any(age > late for age, late, _ in self.ages(now, now)):
                # A report may be dated before another source's: what was not watched stays so.
                self.fresh_since = max(self.fresh_since, now)

    def last_heard(self, source: str) -> int:
        """Return when a source last spoke of anything.

        Raises
        ------
        UnknownName
            No such source.
        """
        times = [ts for name, ts in self._spoken() if name == source]
        if not times:
            raise UnknownName("source", source, {name for name, _ in self._spoken()})
        return max(times)

    def sources(self) -> dict[str, int]:
        """Return when each source last spoke."""
        return {name: self.last_heard(name) for name in sorted({name for name, _ in self._spoken()})}

    def _spoken(self) -> Iterable[tuple[str, int]]:
        yield from ((name, account.report.ts_event) for name, account in self.accounts.items())
        yield from ((name, report.ts_event) for name, report in self.health.items())
        yield from ((name, report.ts_event) for (name, _), report in self.models.items())

    def retire(self, source: str) -> None:
        """Hear a source no more until it speaks of a later time, in any sequence."""
        self.retired[source] = self.last_heard(source)
        if source in self.accounts:
            self.resting[source] = self.accounts.pop(source)
            newest = max(
                account.report.ts_event for account in (*self.accounts.values(), self.resting[source])
            )
            self.resting = {
                name: account
                for name, account in self.resting.items()
                if account.report.ts_event >= newest - RESTING_NS
            }
        self.health.pop(source, None)
        for key in [key for key in self.models if key[0] == source]:
            del self.models[key]
        self.performance = None

    def rebase(self, now: int) -> None:
        """Measure the drawdown of all accounts anew from here."""
        for account in (*self.accounts.values(), *self.resting.values()):
            account.rebase(now)

    def interval_of(self, source: str) -> int:
        """Return how often a source gives its account, in ns, at most daily; 0 where it does not say."""
        account = self.accounts.get(source)
        return 0 if account is None else min(account.report.interval_ns, LONGEST_INTERVAL_NS)

    def silent_after(self, source: str) -> int:
        """Return the silence of a source, in ns, that is worth a call: when it is lost, 300 s at least."""
        return max(int(self._rules.silent_s * SECOND_NS), self.bounds_of(source)[1])

    def retired_after(self, source: str) -> int:
        """Return the silence in ns after which one may be retired: five of its intervals, a day at most.

        What it says of its own interval keeps nobody from doing without it for longer.
        """
        asked = min(5 * self.interval_of(source), LONGEST_INTERVAL_NS)
        return max(int(self._rules.silent_s * SECOND_NS), asked)

    def bounds_of(self, source: str = "") -> tuple[int, int]:
        """Return the ages in ns beyond which a source is late, and lost; by default one without interval.

        That one may take as long as the desk's own slowest account; what an outside source says of its own
        interval counts for nobody else.
        """
        own = (name for name in self.accounts if not name.startswith(OUTSIDE))
        interval = self.interval_of(source) or max(map(self.interval_of, own), default=0)
        late, lost = (int(seconds * SECOND_NS) for seconds in (self._rules.late_s, self._rules.lost_s))
        return max(late, 2 * interval), max(lost, 5 * interval)

    def ages(self, now: int, started_at: int) -> Iterable[tuple[int, int, int]]:
        """Yield of each required source its age, and when it is late, and lost."""
        for name, account in self.accounts.items():
            yield now - account.report.ts_event, *self.bounds_of(name)
        for report in self.health.values():
            yield now - report.ts_event, *self.bounds_of()
        if not (self.accounts and self.health):
            yield now - started_at, *self.bounds_of()

    def model_names(self) -> list[str]:
        """Return all models that a trusted source reported, in order."""
        return sorted({model for source, model in self.models if is_trusted(source, self.trusted)})

    def state(self) -> dict[str, Any]:
        """Return all that was heard, as JSON values."""
        return {
            "accounts": {name: self.accounts[name].state() for name in sorted(self.accounts)},
            "resting": {name: self.resting[name].state() for name in sorted(self.resting)},
            "health": [asdict(self.health[name]) for name in sorted(self.health)],
            "models": [asdict(self.models[key]) for key in sorted(self.models)],
            "volumes": dict(self.volumes),
            "volumes_at": self.volumes_at,
            "retired": dict(sorted(self.retired.items())),
            "fresh_since": self.fresh_since,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        self.accounts = {name: Account.restored(saved) for name, saved in state["accounts"].items()}
        self.resting = {name: Account.restored(saved) for name, saved in state["resting"].items()}
        self.health = {saved["source"]: HealthReported(**saved) for saved in state["health"]}
        self.models = {(saved["source"], saved["model"]): ModelReported(**saved) for saved in state["models"]}
        self.performance = None
        self.volumes, self.volumes_at = dict(state["volumes"]), int(state["volumes_at"])
        self.fresh_since = int(state["fresh_since"])
        self.retired = {name: int(ts) for name, ts in state["retired"].items()}
