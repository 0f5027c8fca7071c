"""Planted faults of the council: each one breaks a promise, and must be noticed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from consilium.council import (
    approvals,
    briefing,
    chamber,
    commands,
    facts,
    freezing,
    holds,
    ladder,
    permissions,
    service,
    sitting,
    standing,
    windows,
)
from consilium.council.roles import ceo, cio, cro, supervisor
from consilium.council.timers import MINUTE
from consilium.domain import Figure, Hold, Missing, PolicyChanged, UnknownName

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Mutant:
    """A fault by name, and what plants it."""

    name: str
    plant: Callable[[Patch], None]

    def __str__(self) -> str:
        return self.name


MUTANTS: list[Mutant] = []


def mutant(name: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    def enter(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTANTS.append(Mutant(name, plant))
        return plant

    return enter


def _at_least(figure: Figure, bound: float) -> bool:
    return not isinstance(figure, Missing) and figure >= bound


@mutant("a freeze may end without its dwell")
def _(patch: Patch) -> None:
    patch.setattr(freezing, "FREEZE_DWELL", 0)


@mutant("a freeze ends by time")
def _(patch: Patch) -> None:
    place = standing.Standing.place

    def timed(self: standing.Standing, hold: Hold, decision_id: str) -> bool:
        placed = place(self, hold, decision_id)
        if holds.is_freeze(hold):
            self.holds[hold.hold_id] = replace(
                self.holds[hold.hold_id], expires_at=hold.ts_event + 120 * MINUTE
            )
        return placed

    patch.setattr(standing.Standing, "place", timed)


@mutant("a freeze ends as soon as it is calm")
def _(patch: Patch) -> None:
    patch.setattr(supervisor, "CALM_FOR", 0)


@mutant("one person's review ends every freeze")
def _(patch: Patch) -> None:
    patch.setattr(freezing, "REVIEWERS", {"CRITICAL": 1, "HIGH": 1, "MEDIUM": 1})


@mutant("reviews outlive a new freeze")
def _(patch: Patch) -> None:
    patch.setattr(approvals.Reviews, "clear", lambda *_: False)


@mutant("a freeze that sets on again keeps its old clock")
def _(patch: Patch) -> None:
    patch.setattr(
        standing,
        "same_hold",
        lambda a, b: (a.hold_id, a.value, a.expires_at) == (b.hold_id, b.value, b.expires_at),
    )


@mutant("the supervisor freezes at a threshold, not above it")
def _(patch: Patch) -> None:
    patch.setattr(supervisor, "above", _at_least)


@mutant("the risk officer tightens at a threshold, not above it")
def _(patch: Patch) -> None:
    patch.setattr(cro, "above", _at_least)


@mutant("the chief executive steps down at a threshold, not above it")
def _(patch: Patch) -> None:
    patch.setattr(ladder, "above", _at_least)


@mutant("the investment officer narrows at a threshold, not above it")
def _(patch: Patch) -> None:
    patch.setattr(cio, "above", _at_least)


@mutant("a lower rank releases a higher rank's hold")
def _(patch: Patch) -> None:
    evaluate = ceo.ChiefExecutive.evaluate

    def usurping(self: ceo.ChiefExecutive, facts_now: Any, memory: Mapping[str, Any]) -> Any:
        ruling = evaluate(self, facts_now, memory)
        others = tuple(name for name in facts_now.holds if name.startswith("cro/"))
        grasped = tuple(replace(one, releases=(*one.releases, *others)) for one in ruling.proposals)
        return replace(ruling, proposals=grasped)

    patch.setattr(ceo.ChiefExecutive, "evaluate", usurping)
    patch.setattr(sitting, "may_release", lambda *_: True)


@mutant("an operator releases an officer's hold")
def _(patch: Patch) -> None:
    def check(self: permissions.Permissions, command: Any, _: int) -> None:
        if command.payload["hold_id"] not in self._standing.holds:
            raise UnknownName("hold", "none", ())

    patch.setattr(permissions.Permissions, "_check_release", check)
    patch.setattr(commands, "is_waiver", lambda _: True)


@mutant("a replay is heard")
def _(patch: Patch) -> None:
    patch.setattr(facts.Facts, "_last", lambda *_: None)


@mutant("a command may be given twice")
def _(patch: Patch) -> None:
    patch.setattr(permissions, "is_halt", lambda _: True)


@mutant("what is unknown for long freezes nothing")
def _(patch: Patch) -> None:
    patch.setattr(supervisor, "unknown_parts", lambda _: ())


@mutant("a loss over a gap is not seen")
def _(patch: Patch) -> None:
    value = windows.InForce.value

    def blind(self: windows.InForce, now: int) -> float | None:
        lone = len(self._entries) < 2 or self._entries[-2][0] <= now - self._span_ns
        return self._entries[-1][1] if lone else value(self, now)

    add = windows.InForce.add

    def adding(self: windows.InForce, ts: int, worth: float) -> None:
        if self._entries and self._entries[-1][0] < ts - self._span_ns:
            self._entries.clear()
        add(self, ts, worth)

    patch.setattr(windows.InForce, "value", blind)
    patch.setattr(windows.InForce, "add", adding)


@mutant("every source is waited for as long as the slowest")
def _(patch: Patch) -> None:
    bounds_of = facts.Facts.bounds_of
    patch.setattr(
        facts.Facts,
        "bounds_of",
        lambda self, _="": max(bounds_of(self, name) for name in ("", *self.accounts)),
    )


@mutant("a report from the future is heard")
def _(patch: Patch) -> None:
    refusal = facts.Facts.refusal
    patch.setattr(
        facts.Facts,
        "refusal",
        lambda self, report: "" if "future" in (why := refusal(self, report)) else why,
    )


@mutant("a figure that is no number is heard")
def _(patch: Patch) -> None:
    patch.setattr(facts, "out_of_range", lambda *_: "")


@mutant("what is unknown counts as calm")
def _(patch: Patch) -> None:
    patch.setattr(chamber, "unknown_parts", lambda _: ())


@mutant("the better of two sources counts")
def _(patch: Patch) -> None:
    worse = briefing._worse

    def better(name: str, first: Any, second: Any) -> Any:
        if not isinstance(first, int | float):
            return worse(name, first, second)
        return second if worse(name, first, second) == first else first

    patch.setattr(briefing, "_worse", better)


@mutant("limits are halved from what is in force, not from the base")
def _(patch: Patch) -> None:
    tightened = cro._tightened
    patch.setattr(
        cro,
        "_tightened",
        lambda facts_now, *rest: tightened(replace(facts_now, base=facts_now.policy), *rest),
    )


@mutant("the policy is the loosest of holds")
def _(patch: Patch) -> None:
    patch.setattr(holds, "tighter", holds.looser)


@mutant("a waiver reaches the supervisor's holds")
def _(patch: Patch) -> None:
    patch.setattr(holds, "WAIVED_OWNERS", holds.WAIVED_OWNERS | {"supervisor"})
    patch.setattr(commands, "WAIVED_OWNERS", holds.WAIVED_OWNERS | {"supervisor"})
    patch.setattr(permissions.Permissions, "_check_loosening", lambda *_: None)


@mutant("weights are not normalised")
def _(patch: Patch) -> None:
    patch.setattr(holds, "spread", lambda fixed, wanted: {**wanted, **fixed})


@mutant("the same person approves what he asked for")
def _(patch: Patch) -> None:
    patch.setattr(permissions, "second_person", lambda *_: None)


@mutant("a restart forgets how long conditions have held")
def _(patch: Patch) -> None:
    restore = chamber.Chamber.restore
    patch.setattr(
        chamber.Chamber,
        "restore",
        lambda self, state: restore(self, {**state, "memories": {}}),
    )


@mutant("a restart forgets when holds end")
def _(patch: Patch) -> None:
    read = standing._read_hold
    patch.setattr(standing, "_read_hold", lambda saved: read({**saved, "expires_at": None}))


@mutant("an officer that is switched off loses its holds")
def _(patch: Patch) -> None:
    switch = commands.Operators._switch

    def losing(self: commands.Operators, payload: Mapping[str, Any], now: int) -> None:
        switch(self, payload, now)
        if not payload["enabled"]:
            for name in [n for n in self._standing.holds if n.startswith(f"{payload['role']}/")]:
                self._standing.release(name)

    patch.setattr(commands.Operators, "_switch", losing)


@mutant("the risk officer can be switched off")
def _(patch: Patch) -> None:
    patch.setattr(permissions, "ALWAYS_ON", frozenset(("supervisor",)))


@mutant("the supervisor overrides nothing")
def _(patch: Patch) -> None:
    patch.setattr(supervisor.Supervisor, "review", lambda *_: ())


@mutant("a cause of a pause is forgotten at once")
def _(patch: Patch) -> None:
    patch.setattr(ceo, "GONE_FOR", 0)


@mutant("MICRO ends as soon as the drawdown is back")
def _(patch: Patch) -> None:
    patch.setattr(ladder, "MICRO_DWELL", 0)


@mutant("the emergency stop's thresholds go back at once")
def _(patch: Patch) -> None:
    patch.setattr(cro, "ESS_DWELL", 0)


@mutant("a policy changes and nobody is told")
def _(patch: Patch) -> None:
    handle_all = service.CouncilService.handle_all

    def silent(self: service.CouncilService, *rest: Any) -> Any:
        return [one for one in handle_all(self, *rest) if not isinstance(one, PolicyChanged)]

    patch.setattr(service.CouncilService, "handle_all", silent)


@mutant("who is frozen may enter")
def _(patch: Patch) -> None:
    patch.setitem(holds.CAPABILITIES, "FROZEN", (True, False, True, True))
