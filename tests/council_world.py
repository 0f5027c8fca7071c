"""A council in a world where everything goes wrong: sources, clocks, operators, restarts and replays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import council_history as history
from consilium.council.service import CouncilService
from consilium.domain import (
    AccountReported,
    CouncilCommanded,
    HealthReported,
    InvalidValue,
    Missing,
    ModelReported,
    ReportRefused,
    TimePassed,
    VolumesReported,
)
from council_laws import Laws, Output, Seen
from council_oracle import DAY, HOUR, MINUTE, SECOND
from council_told import law

START = 1_700_006_400 * SECOND  # a day's open
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "LTCUSDT", "BNBUSDT", "DOTUSDT")
MODELS = ("xgboost", "lightgbm", "nhits")
PERSONS = ("ann", "bob", "cay")

SLACK = {30 * DAY: 2 * HOUR, DAY: 2 * MINUTE, 15 * MINUTE: MINUTE}
"""By window: how late a peak may be forgotten."""
WATCHED = 8
"""One message of so many has its state hashed before and after: that costs more than all the rest."""

Maker = Callable[[], CouncilService]


@dataclass
class Source:
    """One that reports accounts, as it sees itself."""

    name: str
    interval_ns: int = 60 * SECOND
    sequence: int = 0
    nav: float = 10_000.0
    peak: float = 10_000.0
    said: list[AccountReported] = field(default_factory=list)
    accepted: list[AccountReported] = field(default_factory=list)


class World:
    """Drives one council, and holds it to its laws after each message."""

    def __init__(self, make: Maker) -> None:
        self.make = make
        self.council = make()
        self.laws = Laws()
        self.now = START
        self.sources = {"paper": Source("paper")}
        self.retired: dict[str, list[AccountReported]] = {}
        self.heard: list[Any] = []
        self.told: list[Output] = []
        self.numbers: dict[str, int] = {}
        self.commanded: list[CouncilCommanded] = []
        """What was carried out."""
        self.health_at: dict[str, int] = {}
        """When each source of health was heard last."""
        self.seen = Seen.of(self.council)

    # --- hearing ------------------------------------------------------------------------------------------

    def hear(self, message: Any) -> list[Output]:
        """Let the council handle a message, and check every law."""
        watched = len(self.heard) % WATCHED == 0
        mark = self.council.state_hash() if watched else ""
        outputs = list(self.council.handle(message))
        if watched and not self.council.changed:
            law("unchanged means the same state hash", self.council.state_hash() == mark, message)
        if not (isinstance(message, TimePassed) and not self.council.changed):
            self.heard.append(message)
            self.told += outputs
        self.seen = self.laws.after(self.seen, outputs, self.council)
        return outputs

    def refuse(self, message: Any, why: str) -> None:
        """Let the council hear what it must refuse without a trace."""
        state = self.council.state_hash()
        outputs = self.hear(message)
        said = [one for one in outputs if isinstance(one, ReportRefused)]
        law(f"{why} is refused and explained", said and len(said) == len(outputs), message, outputs)
        law(f"I7 {why} changes nothing", self.council.state_hash() == state, message)

    def number(self, stream: str) -> int:
        self.numbers[stream] = self.numbers.get(stream, 0) + 1
        return self.numbers[stream]

    # --- facts --------------------------------------------------------------------------------------------

    def tick(self, seconds: float) -> list[Output]:
        """Let time pass, and nothing else happen."""
        self.now += int(seconds * SECOND)
        return self.hear(TimePassed(ts_event=self.now))

    def report(self, source: str = "paper", move: float = 0.0, **figures: Any) -> list[Output]:
        """Report an account whose nav moved by a fraction."""
        if source not in self.sources:  # a retired one counts anew, and its peak is remembered
            self.sources[source] = Source(source, accepted=self.retired.pop(source, []))
        one = self.sources[source]
        one.nav = max(1.0, one.nav * (1.0 + move))
        one.sequence += 1
        said: dict[str, Any] = {
            "equity": one.nav,
            "exposure": 0.2,
            "leverage": 1.0,
            "margin_ratio": 0.05,
            "positions": 1,
            "unprotected": 0,
        }
        if one.accepted and one.accepted[-1].drawdown is not None:  # who once gave it goes on
            said["drawdown"] = history.fall(one.accepted, self.now, 30 * DAY)
        if one.accepted and one.accepted[-1].nav is not None:
            said["nav"] = one.nav
        message = AccountReported(
            source=source,
            sequence=one.sequence,
            ts_event=self.now,
            interval_ns=one.interval_ns,
            **(said | figures),
        )
        one.said.append(message)
        outputs = self.hear(message)
        if not any(isinstance(said, ReportRefused) for said in outputs):
            one.accepted.append(message)
            self._figures()
        return outputs

    def _figures(self) -> None:
        """Compare figures that the council computes with those of all reports, of the worse source."""
        of, now = self.council.briefing.portfolio, self.council.briefing.ts_event
        loss = of.daily_loss
        spoken = [one.accepted for one in self.sources.values() if one.accepted]
        told = {one.name: one.accepted[-1] for one in self.sources.values() if one.accepted}
        if self.health_at and {*told, *self.health_at} == set(self.council.sources) - {"books"}:
            late = history.lateness(told, list(self.health_at.values()), now)
            law("late and lost by source", (of.late, of.lost) == late, late, of)
        for name, figure, low, high, window in (
            ("drawdown", of.drawdown, history.drawdown, history.drawdown, 30 * DAY),
            ("ess loss", of.ess_loss, history.fall_of_marks, history.fall_of_marks, DAY),
            ("loss of 15 minutes", of.loss_15m, history.fall_of_marks, history.fall_of_marks, 15 * MINUTE),
        ):
            if isinstance(figure, Missing):
                continue
            least = max(low(reports, now, window - SLACK[window]) for reports in spoken)
            most = max(high(reports, now, window + SLACK[window]) for reports in spoken)
            law(f"{name} as reported", least - 1e-9 <= figure <= most + 1e-9, figure, least, most)

        days = [history.daily_loss(reports, now) for reports in spoken]
        if not isinstance(loss, Missing) and not any(isinstance(day, Missing) for day in days):
            most = max(day for day in days if not isinstance(day, Missing))
            law("daily loss as reported", abs(loss - most) <= 1e-9, loss, days)

    def health(self, status: str = "HEALTHY", source: str = "system", **more: Any) -> list[Output]:
        sequence = self.number(f"health:{source}")
        outputs = self.hear(
            HealthReported(source=source, sequence=sequence, ts_event=self.now, system_status=status, **more)
        )
        if not any(isinstance(said, ReportRefused) for said in outputs):
            self.health_at[source] = self.now
        return outputs

    def model(self, model: str, sharpe: float | None, win_rate: float | None, days: int, age: float) -> None:
        self.hear(
            ModelReported(
                source="books",
                sequence=self.number("books"),
                ts_event=self.now,
                model=model,
                sharpe=sharpe,
                win_rate=win_rate,
                days=days,
                trades=100,
                staleness_days=age,
            )
        )

    def volumes(self, order: Sequence[int]) -> None:
        said = {symbol: 1e6 * (1 + rank) for symbol, rank in zip(SYMBOLS, order, strict=False)}
        self.hear(VolumesReported(ts_event=self.now, volumes=said))

    def calm(self, span: int, pieces: int = 6, **figures: Any) -> None:
        """Report good news from all sources until a span has passed."""
        step = max(1, span // pieces)
        for one in self.sources.values():
            one.interval_ns = step
        quiet = {"positions": 0, "exposure": 0.0} | figures
        for name in list(self.sources):
            self.report(name, 0.0, **quiet)  # says how long the next may take
        for _ in range(pieces):
            self.now += step
            self.health()
            for name in list(self.sources):
                self.report(name, 0.0, **quiet)
            self.hear(TimePassed(ts_event=self.now))

    # --- operators ----------------------------------------------------------------------------------------

    def command(self, action: str, payload: dict[str, Any], person: str = "ann") -> list[Output]:
        waiting = set(self.council.approvals)
        message = CouncilCommanded(
            command_id=f"c{self.number('commands')}",
            action=action,
            payload=payload,
            reason="a test asks",
            person=person,
            authenticated_at=self.now,
            ts_event=self.now,
        )
        approval = self.council.approvals.get(str(payload.get("approval_id")))
        waived = dict(self.laws.waived)
        if approval is not None:
            self.laws.waived |= dict.fromkeys(self._loosened(approval), self.now + DAY)
        reviewed = {what: set(who) for what, who in self.laws.reviewed.items()}
        if action == "review":
            self.laws.reviewed.setdefault(str(payload["what"]), set()).add(person)
        outputs = self.hear(message)
        refused = any(isinstance(one, ReportRefused) for one in outputs)
        if refused:
            self.laws.waived, self.laws.reviewed = waived, reviewed
        elif action == "approve" and approval is not None:
            law("a second person approves", approval.person != person, approval, person)
        if not refused:
            self.commanded.append(message)
        new = set(self.council.approvals) - waiting
        law("an approval waits without effect", not new or not self._moved(outputs), outputs)
        return outputs

    def approve(self, person: str) -> None:
        """Let a person approve the newest that waits."""
        waiting = list(self.council.approvals)
        if not waiting:
            return
        one = self.council.approvals[waiting[-1]]
        if one.person == person:
            state = self.council.state_hash()
            self.command("approve", {"approval_id": waiting[-1]}, person)
            law("the same person approves nothing", self.council.state_hash() == state, one)
        else:
            self.command("approve", {"approval_id": waiting[-1]}, person)

    def review(self, what: str, persons: int) -> None:
        for person in PERSONS[:persons]:
            self.command("review", {"what": what, "note": "seen"}, person)

    @staticmethod
    def _loosened(approval: Any) -> set[str]:
        keys = {
            "mode": {"mode"},
            "profile": {"profile"},
            "universe": {"symbols"},
            "risk": {
                "max_leverage",
                "max_position_usd",
                "max_exposure",
                "max_drawdown",
                "stop_multiplier",
                "mode",
            },
        }
        return keys.get(approval.action, set())

    @staticmethod
    def _moved(outputs: Sequence[Output]) -> bool:
        return any(type(one).__name__ == "PolicyChanged" for one in outputs)

    # --- failures -----------------------------------------------------------------------------------------

    def replay(self, back: int) -> None:
        """Say again what a source said some reports ago."""
        for one in self.sources.values():
            if one.said:
                self.refuse(one.said[-1 - back % len(one.said)], "a replay")
                return

    def command_again(self, back: int) -> None:
        """Give a command again that was carried out; a halt alone acts again."""
        if self.commanded:
            one = self.commanded[-1 - back % len(self.commanded)]
            if one.payload.get("mode") != "FROZEN":
                self.refuse(one, "a command given twice")

    def from_the_future(self, seconds: float) -> None:
        one = self.sources["paper"]
        self.hear(TimePassed(ts_event=self.now))
        message = AccountReported(
            source=one.name,
            sequence=one.sequence + 1,
            ts_event=self.now + int((5 + seconds) * SECOND),
            interval_ns=one.interval_ns,
            equity=one.nav,
            received_at=self.now,
        )
        self.refuse(message, "a report from the future")

    def nonsense(self, figure: str, value: float) -> None:
        """Report a figure that is no number: refused by the report itself, or by the council."""
        one = self.sources["paper"]
        try:
            figures: dict[str, Any] = {"equity": one.nav} | {figure: value}
            message = AccountReported(
                source=one.name, sequence=one.sequence + 1, ts_event=self.now, **figures
            )
        except InvalidValue as problem:
            law("a refusal names the figure", figure in str(problem), problem)
        else:
            self.refuse(message, "nonsense")

    def clock_back(self, seconds: float) -> None:
        """Set the clock back: what is then said of the past changes nothing that was in force."""
        now = self.council.briefing.ts_event
        past = now - int(seconds * SECOND)
        if past < START:
            return
        policy, holds, begun = self.council.policy, dict(self.council.holds), self.council.state()["now"]
        self.hear(TimePassed(ts_event=past))
        law("a clock that goes back changes nothing", self.council.policy == policy, policy)
        law("a clock that goes back lifts nothing", dict(self.council.holds) == holds, holds)
        law("time does not go back", self.council.state()["now"] >= begun, self.council.state()["now"])

    def switch(self, role: str, on: bool) -> None:
        holds = dict(self.council.holds)
        outputs = self.command("role", {"role": role, "enabled": on})
        refused = any(isinstance(one, ReportRefused) for one in outputs)
        fixed = role in {"cro", "supervisor"} and not on
        law("the CRO and the supervisor stay", refused or not fixed, role)
        law("an unknown role is refused", refused or role != "nobody")
        if not on:
            kept = all(n in self.council.holds or h.expires_at is not None for n, h in holds.items())
            law("an officer switched off keeps its holds", kept, holds)

    def release(self, index: int, person: str) -> None:
        """Ask for the end of any hold: an operator may end an operator's only."""
        names = sorted(self.council.holds)
        if not names:
            return
        name = names[index % len(names)]
        owner = self.council.holds[name].owner
        self.command("release", {"hold_id": name}, person)
        law(
            "I6 an operator releases operators' holds",
            owner == "operator" or name in self.council.holds,
            name,
        )

    def retire(self, source: str) -> None:
        """Retire a source; only a silent one may go."""
        outputs = self.command("retire", {"source": source})
        if not any(isinstance(one, ReportRefused) for one in outputs) and source != "paper":
            gone = self.sources.pop(source, None)
            if gone is not None:
                self.retired[source] = gone.accepted

    def restore(self) -> None:
        """Go on in a council made anew from the state."""
        state, mark = self.council.state(), self.council.state_hash()
        policy, holds = self.council.policy, dict(self.council.holds)
        fresh = self.make()
        fresh.restore(state)
        law("I4 a restore gives the same state", fresh.state_hash() == mark)
        law("I4 a restore gives the same policy", fresh.policy == policy, fresh.policy, policy)
        law("I4 a restore gives the same holds", dict(fresh.holds) == holds)
        self.council = fresh

    def from_zero(self) -> None:
        """Let a new council hear all that was heard: it must come to the same, and say the same."""
        fresh = self.make()
        told: list[Output] = []
        for message in self.heard:
            told += fresh.handle(message)
        law("I9 a replay from zero gives the same state", fresh.state_hash() == self.council.state_hash())
        parted = [pair for pair in zip(told, self.told, strict=False) if pair[0] != pair[1]]
        same = not parted and len(told) == len(self.told)
        law("I9 a replay from zero says the same", same, parted[:1], len(told), len(self.told))
