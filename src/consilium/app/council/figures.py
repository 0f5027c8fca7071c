"""What the council tells Prometheus: counted from the journal, so that a restart forgets nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from consilium.app.council.watch import CouncilWatch
from consilium.app.exposition import Sample, families
from consilium.domain import Mode

PREFIX = "consilium_council_"
PROFILES = ("MICRO", "LOW", "NORMAL", "AGGRESSIVE")

METRICS: dict[str, tuple[str, str]] = {
    "decisions_total": ("counter", "Decisions published, by kind and officer."),
    "decisions_last_hour": ("gauge", "Decisions of the last hour: 5 to 10 is usual, over 20 is much."),
    "conflicts_total": ("counter", "Conflicts of two officers on one kind."),
    "conflicts_last_hour": ("gauge", "Conflicts of the last hour; 5 raise an alert."),
    "conflict_ratio": ("gauge", "Conflicts over decisions; under 0.05 is usual."),
    "overrides_total": ("counter", "Decisions that the supervisor has overridden."),
    "override_ratio": ("gauge", "Overrides over decisions; under 0.02 is usual."),
    "freezes_total": ("counter", "Freezes; less than one a week is usual."),
    "mode": ("gauge", "1 at the mode in force, 0 at the others."),
    "profile": ("gauge", "1 at the capital profile in force, 0 at the others."),
    "roles_active": ("gauge", "Roles that sit."),
    "holds": ("gauge", "Restrictions in force, by owner."),
    "approvals_waiting": ("gauge", "Loosenings that wait for a second person."),
    "alerts_unacknowledged": ("gauge", "Alerts that stand and nobody has seen, by severity."),
    "pages_waiting": ("gauge", "Pages that a sender has still to carry."),
    "halted_seconds_total": ("counter", "Time in FROZEN or EMERGENCY, by the council's clock."),
}
"""Name without its prefix: type and help. docs/operations.md lists them."""

log = structlog.get_logger("consilium.metrics")


class CouncilMetrics(Collector):
    """The figures of a council, read at each scrape.

    Parameters
    ----------
    watch
        Counts.
    status
        Tells how the council stands.
    """

    def __init__(self, watch: CouncilWatch, status: Callable[[], Mapping[str, Any]]) -> None:
        self._watch = watch
        self._status = status

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are not checked by asking before anything has started."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all figures; those of a part that cannot be read are left out."""
        try:
            status = self._status()
        except Exception as error:  # noqa: BLE001 - what was counted must still be seen
            log.warning("the council's status could not be read", error=type(error).__name__)
            status = {}
        yield from families(PREFIX, METRICS, self._samples(status))

    def _samples(self, status: Mapping[str, Any]) -> Iterator[Sample]:
        tally, now = self._watch.tally(), int(status.get("now") or 0)
        for (kind, officer), count in tally.decisions.items():
            yield "decisions_total", "", {"kind": kind, "officer": officer}, float(count)
        overrides = tally.of_kind("OVERRIDE")
        yield "decisions_last_hour", "", {}, float(tally.decisions_in_the_hour(now))
        yield "conflicts_total", "", {}, float(tally.conflicts)
        yield "conflicts_last_hour", "", {}, float(tally.conflicts_in_the_hour(now))
        yield "conflict_ratio", "", {}, tally.share(tally.conflicts)
        yield "overrides_total", "", {}, float(overrides)
        yield "override_ratio", "", {}, tally.share(overrides)
        yield "freezes_total", "", {}, float(tally.freezes)
        yield "halted_seconds_total", "", {}, tally.halted_s(now)
        yield from _standing(status)
        for severity in ("critical", "high", "medium", "low"):
            waiting = [s for s in self._watch.unacknowledged() if s.alert.severity == severity]
            yield "alerts_unacknowledged", "", {"severity": severity}, float(len(waiting))
        for sender, pages in self._watch.outstanding().items():
            yield "pages_waiting", "", {"sender": sender}, float(pages)


def _standing(status: Mapping[str, Any]) -> Iterator[Sample]:
    mode, profile = status.get("mode"), status.get("profile")
    if mode:
        for one in Mode:
            yield "mode", "", {"mode": one.value}, float(one.value == mode)
    if profile:
        for name in PROFILES:
            yield "profile", "", {"profile": name}, float(name == profile)
    if "roles" in status:
        yield "roles_active", "", {}, float(sum(bool(on) for on in status["roles"].values()))
    owners: dict[str, int] = {}
    for hold in status.get("holds", ()):
        owners[str(hold.get("owner"))] = owners.get(str(hold.get("owner")), 0) + 1
    for owner, count in owners.items():
        yield "holds", "", {"owner": owner}, float(count)
    if "approvals" in status:
        yield "approvals_waiting", "", {}, float(len(status["approvals"]))
