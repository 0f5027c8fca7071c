"""What is worth a call: which rows of the journal raise an alert, how bad it is, and when it is over."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Any

from consilium.app.council.tally import CONFLICT, DECISION, HALTED, POLICY, Tally, is_freeze
from consilium.domain import DecisionKind, Event
from consilium.domain.time import HOUR_NS

SEVERITIES = ("critical", "high", "medium", "low")
"""From the worst on."""

SILENT = "silent:"
"""Before the names of sources, in the key of an alert."""

MANY_CONFLICTS = 5
"""Conflicts in an hour that raise an alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that somebody should know.

    Parameters
    ----------
    alert_id
        Made of its key and its cause: the same row raises the same alert.
    key
        What it is about: while an alert of a key is open, no other one of it is raised.
    kind
        frozen, emergency, micro, conflicts, research, scores, approval or silent.
    severity
        critical, high, medium or low.
    title, text
        One line, and the reason.
    ts_event
        When it came about, by the council's clock; UTC nanoseconds.
    decision
        The decision behind it, as it was published; empty if there is none.
    """

    alert_id: str
    key: str
    kind: str
    severity: str
    title: str
    text: str
    ts_event: int
    decision: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An alert and what became of it.

    Parameters
    ----------
    ts_raised
        When it was written down, by the wall clock.
    acknowledged_by, ts_acknowledged
        Who has seen it, and when; empty and 0 before.
    over
        Whether what it tells has passed.
    """

    alert: Alert
    ts_raised: int
    acknowledged_by: str = ""
    ts_acknowledged: int = 0
    over: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return self.alert.as_dict() | {
            "ts_raised": self.ts_raised,
            "acknowledged_by": self.acknowledged_by,
            "ts_acknowledged": self.ts_acknowledged,
            "over": self.over,
        }


def alert(
    key: str,
    kind: str,
    severity: str,
    title: str,
    text: str,
    *,
    cause: str,
    ts_event: int,
    decision: Mapping[str, Any] | None = None,
) -> Alert:
    """Make an alert; its id says key and cause.

    Examples
    --------
    >>> made = [alert("a", "frozen", "critical", "t", "x", cause="e1", ts_event=n) for n in (0, 9)]
    >>> made[0].alert_id == made[1].alert_id
    True
    """
    named = sha256(f"{key}\0{cause}".encode()).hexdigest()[:16]
    return Alert(
        alert_id=named,
        key=key,
        kind=kind,
        severity=severity,
        title=title,
        text=text,
        ts_event=ts_event,
        decision=dict(decision or {}),
    )


def raised_by(event: Event, tally: Tally) -> Iterator[Alert]:
    """Yield the alerts that a row raises.

    Parameters
    ----------
    tally
        With the row counted.
    """
    payload = event.payload
    if not isinstance(payload, Mapping):
        return
    if event.topic == DECISION:
        yield from _of_decision(event, payload, tally)
    elif event.topic == POLICY and tally.mode in HALTED:
        yield _of_halt(event, tally)
    elif event.topic == CONFLICT and tally.conflicts_in_the_hour(event.ts_event) >= MANY_CONFLICTS:
        count = tally.conflicts_in_the_hour(event.ts_event)
        yield alert(
            "conflicts",
            "conflicts",
            "medium",
            f"{count} conflicts among officers within an hour",
            f"The newest: {payload.get('winner')} prevailed over {payload.get('loser')} "
            f"on {payload.get('kind')}.",
            cause=event.event_id,
            ts_event=event.ts_event,
        )


def _of_halt(event: Event, tally: Tally) -> Alert:
    """Return the alert of a halt by what is in force, whoever placed it."""
    frozen = tally.mode == "FROZEN"
    title = "Trading is frozen" if frozen else "Mode EMERGENCY: positions are closed and none is opened"
    kind = "frozen" if frozen else "emergency"
    why = tally.mode_reason or "See the holds."
    return alert(kind, kind, "critical", title, why, cause=event.event_id, ts_event=event.ts_event)


def _of_decision(event: Event, decision: Mapping[str, Any], tally: Tally) -> Iterator[Alert]:
    kind, said = decision.get("decision_type"), decision.get("payload")
    payload = said if isinstance(said, Mapping) else {}
    officer, reason = str(decision.get("role_source")), str(decision.get("reason"))
    more: dict[str, Any] = {"cause": event.event_id, "ts_event": event.ts_event, "decision": decision}
    if is_freeze(decision):
        severity = str(payload.get("severity", ""))
        title = f"Trading is frozen by {officer}{f' ({severity})' if severity else ''}"
        key = f"frozen:{decision.get('rule', '')}"
        yield alert(key, "frozen", "critical", title, reason, **more)
    elif kind == DecisionKind.CAPITAL_PROFILE and payload.get("profile") == "MICRO":
        if tally.profile_before(event.ts_event) != "MICRO":
            yield alert(
                "micro", "micro", "high", f"Capital profile down to MICRO by {officer}", reason, **more
            )
    elif kind == DecisionKind.RESEARCH_TASK:
        task, model = payload.get("task_type"), payload.get("model_name")
        title = f"Research: {task}{f' of {model}' if model else ''}"
        yield alert(f"research:{task}:{model}:{event.event_id}", "research", "low", title, reason, **more)
    elif kind == DecisionKind.STRATEGY_ALLOCATION and payload.get("alert") is True:
        title = "No model has a score above 0: all weigh the same"
        yield alert("scores", "scores", "medium", title, reason, **more)


class AlertBook:
    """Alerts that were raised, as the journal has them; a pure function of its rows.

    Closed alerts are kept for a while, so that they can be looked at.
    """

    KEPT = 200

    def __init__(self) -> None:
        self.standing: dict[str, Standing] = {}
        self.sent: dict[str, dict[str, tuple[int, int]]] = {}
        """By alert and sender: number of the newest page, and when it was sent (wall clock)."""
        self._open: dict[str, str] = {}

    def is_open(self, key: str) -> bool:
        """Tell whether an alert of a key is open."""
        return key in self._open

    def fresh(self, found: Alert) -> bool:
        """Tell whether an alert is to be raised; from then on its key is open."""
        if found.key in self._open or found.alert_id in self.standing:
            return False
        if found.key == "frozen" and self.keys("frozen:"):
            return False  # the decision has told it already
        self._open[found.key] = found.alert_id
        return True

    def raised(self, found: Alert, ts_raised: int) -> None:
        """Take an alert that stands in the journal."""
        self._open[found.key] = found.alert_id
        self.standing.setdefault(found.alert_id, Standing(alert=found, ts_raised=ts_raised))
        self._forget()

    def acknowledged(self, alert_id: str, person: str, ts: int) -> None:
        """Note who has seen an alert; the first one counts."""
        known = self.standing.get(alert_id)
        if known is not None and not known.acknowledged_by:
            self.standing[alert_id] = replace(known, acknowledged_by=person, ts_acknowledged=ts)

    def was_sent(self, alert_id: str, sender: str, number: int, ts: int) -> None:
        """Note that a page arrived."""
        of_alert = self.sent.setdefault(alert_id, {})
        if number >= of_alert.get(sender, (0, 0))[0]:
            of_alert[sender] = (number, ts)

    def close(self, key: str) -> None:
        """Note that what an alert tells has passed."""
        alert_id = self._open.pop(key, None)
        known = self.standing.get(alert_id or "")
        if known is not None and alert_id is not None:
            self.standing[alert_id] = replace(known, over=True)

    def keys(self, prefix: str) -> list[str]:
        """Return open keys that begin so."""
        return [key for key in self._open if key.startswith(prefix)]

    def settle(self, mode: str, profile: str, tally: Tally, now: int) -> None:
        """Close what is over by what is in force and by time.

        Parameters
        ----------
        mode, profile
            In force; empty if not known.
        now
            By the council's clock.
        """
        if mode and mode not in HALTED:
            for key in self.keys("frozen") + self.keys("emergency"):
                self.close(key)
        if profile and profile != "MICRO":
            self.close("micro")
        if self.is_open("scores") and not tally.scores_wanting:
            self.close("scores")
        if self.is_open("conflicts") and tally.conflicts_in_the_hour(now) < MANY_CONFLICTS:
            self.close("conflicts")
        for key in self.keys("research:"):
            found = self.standing.get(self._open[key])
            if found is not None and now - found.alert.ts_event > HOUR_NS:
                self.close(key)

    def newest(self) -> list[Standing]:
        """Return all, the worst that nobody has seen first, then the newest."""
        return sorted(
            self.standing.values(),
            key=lambda s: (s.over, bool(s.acknowledged_by), SEVERITIES.index(s.alert.severity), -s.ts_raised),
        )

    def unacknowledged(self) -> list[Standing]:
        """Return what is not over and nobody has seen."""
        return [s for s in self.newest() if not s.over and not s.acknowledged_by]

    def _forget(self) -> None:
        if len(self.standing) <= self.KEPT:
            return
        done = [s for s in self.standing.values() if s.over]
        for old in sorted(done, key=lambda s: s.ts_raised)[: len(self.standing) - self.KEPT]:
            del self.standing[old.alert.alert_id]
            self.sent.pop(old.alert.alert_id, None)

    def state(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "standing": [standing.as_dict() for standing in self.standing.values()],
            "sent": {key: {name: list(page) for name, page in of.items()} for key, of in self.sent.items()},
            "open": dict(self._open),
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "AlertBook":
        """Take up what `state` returned."""
        made = cls()
        for told in state["standing"]:
            made.standing[told["alert_id"]] = standing_of(told)
        made.sent = {
            key: {name: (page[0], page[1]) for name, page in of.items()} for key, of in state["sent"].items()
        }
        made._open = dict(state["open"])
        return made


def standing_of(told: Mapping[str, Any]) -> Standing:
    """Read what `Standing.as_dict` wrote."""
    mine = ("ts_raised", "acknowledged_by", "ts_acknowledged", "over")
    return Standing(
        alert=alert_of({name: value for name, value in told.items() if name not in mine}),
        **{name: told[name] for name in mine},
    )


def alert_of(told: Mapping[str, Any]) -> Alert:
    """Read what `Alert.as_dict` wrote."""
    return Alert(**told)


def of_status(status: Mapping[str, Any], open_keys: Iterable[str] = ()) -> Sequence[Alert]:
    """Return the alerts that follow from how things stand: approvals that wait, sources that are silent.

    Parameters
    ----------
    status
        Of the council.
    open_keys
        Of the alerts that are open: one of silent sources stands for as long as it names all that are.
    """
    found = [
        alert(
            f"approval:{waiting['approval_id']}",
            "approval",
            "medium",
            f"A second person is asked for: {waiting.get('action', 'a loosening')}",
            f"{waiting.get('person')} asks: {waiting.get('reason')}",
            cause=str(waiting["approval_id"]),
            ts_event=int(waiting.get("ts_event", 0)),
        )
        for waiting in status.get("approvals", ())
    ]
    silent = {
        str(source.get("source")): int(source.get("ts_event", 0))
        for source in status.get("sources", ())
        if source.get("silent")
    }
    return [*found, _of_silence(silent, open_keys)] if silent else found


def _of_silence(silent: Mapping[str, int], open_keys: Iterable[str]) -> Alert:
    """Return one alert for all sources that are silent; a new one only where another joins them."""
    names, since = sorted(silent), max(silent.values())
    key = f"{SILENT}{','.join(names)}"
    for known in open_keys:
        if known.startswith(SILENT) and silent.keys() <= set(known.removeprefix(SILENT).split(",")):
            key = known
    many = len(names) > 1
    return alert(
        key,
        "silent",
        "medium",
        f"{len(names)} sources are silent" if many else f"{names[0]} is silent",
        f"{', '.join(names) if many else 'It'} said nothing for longer than {'they' if many else 'it'} may; "
        "an operator may retire a source.",
        cause=str(since),
        ts_event=since,
    )


def halts_of(status: Mapping[str, Any]) -> Sequence[Alert]:
    """Return the alerts of the halts that stand, as the rows of their decisions would raise them."""
    found = []
    for hold in status.get("holds", ()):
        if hold.get("key") != "mode" or hold.get("value") not in HALTED:
            continue
        owner, frozen = str(hold.get("owner")), hold["value"] == "FROZEN"
        found.append(
            alert(
                f"frozen:{hold.get('rule', '')}" if frozen else "emergency",
                "frozen" if frozen else "emergency",
                "critical",
                f"Trading is frozen by {owner}" if frozen else f"EMERGENCY by {owner}",
                str(hold.get("reason")),
                cause=str(hold.get("decision_id") or hold.get("ts_event")),
                ts_event=int(hold.get("ts_event", 0)),
            )
        )
    return found
