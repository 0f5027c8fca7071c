"""Rounds that train a task among simulated participants, in secret and, to compare, in the open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.federated.attempt import PhaseFigures
from consilium.app.federated.crowd import Given, identity_of
from consilium.app.federated.simulation import (
    Simulated,
    excluded,
    of_terms,
    owner_names,
    peak_memory_mb,
    play,
    session_terms,
    totals,
    who_drops,
)
from consilium.app.federated.visible import VISIBLE, play_visible
from consilium.app.stages import ProgressCall, silent
from consilium.domain import Update, UsageError
from consilium.federated.coordinator import SECOND, SessionCoordinator
from consilium.federated.entropy import SeededEntropy
from consilium.federated.learner import Learner, masked_input
from consilium.federated.owners import Owner, OwnerList
from consilium.federated.parameters import count_of
from consilium.federated.registration import Registration
from consilium.federated.report import RoundReport
from consilium.federated.rounds import Closed, RoundOutcome, RoundPlan, StartAttempt
from consilium.federated.secure_round import AttemptDone, AttemptFailed, SecureRound
from consilium.federated.session import Mode
from consilium.federated.tasks import Task, task_class
from consilium.federated.visible_round import VisibleRound

DEFAULT_ROUNDS = 3
BARS = 1_500
"""Of each simulated symbol."""
CLIP, TASK_CLIP_INT = 2.0, 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What is trained.

    Parameters
    ----------
    task
        A name in TASKS.
    rounds
        >= 1.
    data
        Candles of the task candles; None for a simulated market of one symbol for each participant.
    """

    task: str
    rounds: int
    data: str | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UsageError("--rounds must be >= 1", self.rounds, "correct the option")


@dataclass(slots=True)
class Session:
    """A session that is simulated, with its learners and what it cost.

    Parameters
    ----------
    asked
        What is simulated.
    kept
        The coordinator's side.
    learners
        By name.
    phases
        Figures of all rounds, by phase.
    error
        Largest error of any decoded sum.
    reports
        One a round.
    """

    asked: Simulated
    kept: SessionCoordinator
    learners: dict[str, Learner]
    phases: dict[str, PhaseFigures] = field(default_factory=dict)
    error: int = 0
    journal_bytes: int = 0
    terms: dict[str, Any] = field(default_factory=dict)
    reports: list[RoundReport] = field(default_factory=list)

    def phase(self, name: str) -> PhaseFigures:
        """Return the figures of a phase."""
        return self.phases.setdefault(name, PhaseFigures(name))

    def book(self, phases: list[PhaseFigures]) -> None:
        """Add what an attempt cost."""
        for one in phases:
            into = self.phase(one.phase)
            for name in PhaseFigures.__slots__[1:]:
                setattr(into, name, getattr(into, name) + getattr(one, name))


def make_task(task: Trained, owners: tuple[str, ...], seed: int) -> Task:
    """Return the task with the rows of all participants.

    Raises
    ------
    UsageError
        Fewer symbols than participants.
    """
    made: Task
    if task.task != "candles":
        made = task_class(task.task)(owners, seed=seed)
        return made
    from consilium.market import simulator
    from consilium.market.sources import load_candles

    if task.data in (None, "simulate"):
        series = simulator.simulate(symbols=len(owners), bars=BARS, seed=seed, signal_ic=0.1).series
    else:
        series = load_candles(str(task.data)).series
    if len(series) < len(owners):
        raise UsageError(
            f"--participants must be <= {len(series)}, a symbol or more for each",
            len(owners),
            "ask fewer, or give more symbols",
        )
    symbols = sorted(series)
    panels = {
        owner: {name: series[name] for name in symbols[at :: len(owners)]} for at, owner in enumerate(owners)
    }
    made = task_class("candles")(panels, stride=4, seed=seed)
    return made


def open_session(asked: Simulated, task: Trained, made: Task) -> Session:
    """Return a session in which everybody has joined, under real keys."""
    keys = {name: identity_of(asked.seed, name).signing for name in made.participants}
    owners = OwnerList(owners=tuple(Owner(owner=name, key=key.public) for name, key in keys.items()))
    terms = session_terms(asked, task=task.task, rounds=task.rounds, clip=CLIP)
    kept = SessionCoordinator(terms, owners, made.initial())
    kept.move("open", ts=1)
    for name, key in keys.items():
        registration = Registration(
            participant=name,
            owner=name,
            session=terms.session,
            key=key.public,
            capabilities=(task.task, str(asked.mode)),
            examples=made.examples(name),
        )
        kept.register(registration.signed(key.private))
    kept.move("running", ts=2)
    return Session(asked, kept, {name: Learner(name, made, terms) for name in made.participants})


def train(asked: Simulated, task: Trained, progress: ProgressCall = silent) -> dict[str, Any]:
    """Train for some rounds; return the report.

    ``accuracy`` is on rows that nobody learned from; ``clean_accuracy`` is that of the same training in mode
    visible without dropouts: plain means of the same updates.

    Raises
    ------
    UsageError, InvalidValue
        A request that no round can serve.
    """
    began, cpu = perf_counter(), process_time()
    made = make_task(task, owner_names(asked.participants), asked.seed)
    session = run_session(asked, task, made, progress, "round")
    clean = replace(asked, mode=Mode.VISIBLE, dropout=0.0)
    beside = session if clean == asked else run_session(clean, task, made, progress, "in the open, round")
    last = session.reports[-1]
    failed = [f"round {one.number}: {one.failed}" for one in session.reports if one.failed]
    return {
        "kind": "federated simulation",
        **asked.as_dict(),
        "params": made.dimension,
        "task": task.task,
        "rounds": task.rounds,
        **(session.terms or of_terms(None)),
        **totals(list(session.phases.values())),
        "wall_s": perf_counter() - began,
        "main_process_cpu_s": process_time() - cpu,
        "peak_memory_mb": peak_memory_mb(),
        "journal_bytes": session.journal_bytes,
        "max_abs_error": None if asked.mode is Mode.VISIBLE else session.error,
        "accuracy": _accuracy(last),
        "clean_accuracy": _accuracy(beside.reports[-1]),
        "survivors": len(last.survivors),
        "excluded": [one.as_dict() for one in last.excluded],
        "failed": "; ".join(failed),
        "round_reports": [one.as_dict() for one in session.reports],
        "threats": list(last.threats),
    }


def _accuracy(report: RoundReport) -> float | None:
    return None if report.performance is None else float(report.performance["accuracy"])


def run_session(asked: Simulated, task: Trained, made: Task, progress: ProgressCall, said: str) -> Session:
    """Play all rounds of a session."""
    session = open_session(asked, task, made)
    for number in range(1, task.rounds + 1):
        if session.kept.session.ended:
            break
        progress(said, number - 1, task.rounds)
        machine = session.kept.open_round(number * 10**6 * SECOND)
        if machine is None:
            break
        outcome = play_round(session, machine)
        report = session.kept.close_round(outcome, now=machine.plan.ts_cut_off, judge=made.evaluate)
        for name in machine.plan.by_id:
            session.learners[name].settle(number, counted=name in outcome.survivors)
        session.reports.append(report)
        progress(said, number, task.rounds, report.failed)
    return session


def play_round(session: Session, machine: VisibleRound | SecureRound) -> RoundOutcome:
    """Train, sum in secret or in the open, and return what came of it."""
    plan, asked = machine.plan, session.asked
    names = tuple(plan.by_id)
    gone = who_drops(names, count_of(asked.dropout, len(names)), asked.seed, plan.number)
    updates = _updates(session, plan)
    if isinstance(machine, VisibleRound):
        return play_visible(machine, (one for one, _ in updates.values()), gone, session.phase(VISIBLE))
    integers = {
        name: masked_input(update, within, plan, SeededEntropy(f"{asked.seed} {plan.number} {name}".encode()))
        for name, (update, within) in updates.items()
    }
    effects = machine.start()
    while True:
        (effect,) = effects
        if isinstance(effect, Closed):
            return effect.outcome
        assert isinstance(effect, StartAttempt)  # noqa: S101 - a secret round does nothing else
        effects = machine.handle(_attempt(session, plan, effect, integers, gone))


def _updates(session: Session, plan: RoundPlan) -> dict[str, tuple[Update, bool]]:
    """Let every member train from the model of the round."""
    kept, figures = session.kept, session.phase("train")
    began, cpu = perf_counter(), process_time()
    found = {
        name: session.learners[name].update(
            plan.number, kept.parameters, kept.version, kept.optimizer_state, clip=plan.clip
        )
        for name in plan.by_id
    }
    figures.update_cpu_s += process_time() - cpu
    figures.wall_s += perf_counter() - began
    figures.download_bytes += kept.parameters.nbytes * len(found)
    return found


def _attempt(
    session: Session,
    plan: RoundPlan,
    start: StartAttempt,
    integers: Mapping[str, NDArray[np.int64]],
    gone: Sequence[str],
) -> AttemptDone | AttemptFailed:
    terms, played, error = play(
        session.asked,
        start.members,
        Given({name: integers[name] for name in start.members}),
        dimension=start.size,
        dropped=[name for name in gone if name in start.members],
        number=plan.number,
        attempt=start.attempt,
    )
    session.book(played.phases)
    session.terms, session.error = of_terms(terms), max(session.error, error)
    session.journal_bytes += played.journal_bytes
    out = {one["participant"]: one["reason"] for one in excluded(gone, played.troubles)}
    if played.result is None:
        return AttemptFailed(attempt=start.attempt, why=played.failed, released=played.released, excluded=out)
    return AttemptDone(
        attempt=start.attempt, total=played.result.total, survivors=played.result.survivors, excluded=out
    )
