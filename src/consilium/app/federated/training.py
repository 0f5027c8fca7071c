"""Rounds that train a task among simulated participants, in secret and, to compare, in the open."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.federated.attempt import PhaseFigures
from consilium.app.federated.crowd import Given, identity_of
from consilium.app.federated.learning import InProcess, LearnedRound, seated
from consilium.app.federated.simulation import (
    COORDINATOR,
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
from consilium.app.federated.summing import Summed
from consilium.app.stages import ProgressCall, silent
from consilium.domain import UsageError
from consilium.federated.agreement import Agreement
from consilium.federated.coordinator import SECOND
from consilium.federated.entropy import SeededEntropy
from consilium.federated.parameters import count_of
from consilium.federated.report import RoundReport
from consilium.federated.rounds import RoundPlan, StartAttempt
from consilium.federated.secure_round import AttemptDone, AttemptFailed
from consilium.federated.secure_sum.terms import SumParams
from consilium.federated.session import Mode, SessionState
from consilium.federated.tasks import Task, task_class

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


class SimulatedSums:
    """Plays secret sums as the simulation of one round does: seeded keys, figures of each phase, dropouts.

    Parameters
    ----------
    asked
        What is simulated.
    held
        What is agreed; all sides of a simulation hold the same.
    """

    def __init__(self, asked: Simulated, held: Agreement) -> None:
        self._asked, self._held = asked, held
        self.terms: SumParams | None = None
        """Of the last attempt."""

    def __call__(
        self, plan: RoundPlan, start: StartAttempt, model: str, vectors: Mapping[str, NDArray[np.int64]]
    ) -> Summed:
        """Play one attempt; those who drop out fall silent after the shares."""
        gone = silent_in(self._asked, tuple(plan.by_id), plan.number)
        self.terms, played, error = play(
            self._asked,
            start.members,
            Given(vectors),
            dimension=start.size,
            dropped=[name for name in gone if name in start.members],
            number=plan.number,
            attempt=start.attempt,
            agreed=self._held.digest(plan, model),
        )
        out = {one["participant"]: one["reason"] for one in excluded(gone, played.troubles)}
        event: AttemptDone | AttemptFailed
        if played.result is None:
            event = AttemptFailed(
                attempt=start.attempt, why=played.failed, released=played.released, excluded=out
            )
            return Summed(event=event, phases=played.phases, journal_bytes=played.journal_bytes)
        event = AttemptDone(
            attempt=start.attempt, total=played.result.total, survivors=played.result.survivors, excluded=out
        )
        return Summed(event=event, error=error, phases=played.phases, journal_bytes=played.journal_bytes)


def silent_in(asked: Simulated, names: tuple[str, ...], number: int) -> tuple[str, ...]:
    """Return who falls silent in a round."""
    return who_drops(names, count_of(asked.dropout, len(names)), asked.seed, number)


@dataclass(slots=True)
class Session:
    """What came of a session that was simulated.

    Parameters
    ----------
    played
        Its rounds.
    terms
        What was computed for its last secret sum; None without one.
    """

    played: list[LearnedRound] = field(default_factory=list)
    terms: SumParams | None = None

    @property
    def reports(self) -> list[RoundReport]:
        """One a round."""
        return [one.report for one in self.played]

    @property
    def phases(self) -> list[PhaseFigures]:
        """Figures of all rounds, by phase."""
        found: dict[str, PhaseFigures] = {}
        for one in self.played:
            for phase in one.phases:
                found.setdefault(phase.phase, PhaseFigures(phase.phase)).add(phase)
        return list(found.values())


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


def run_session(asked: Simulated, task: Trained, made: Task, progress: ProgressCall, said: str) -> Session:
    """Play all rounds of a session in which everybody has joined, under seeded keys."""
    terms = session_terms(asked, task=task.task, rounds=task.rounds, clip=CLIP)
    kept, seats = seated(
        made,
        terms,
        {name: identity_of(asked.seed, name).signing for name in made.participants},
        entropy=lambda name: SeededEntropy(f"{asked.seed} {name}".encode()),
    )

    def absent(name: str, number: int) -> bool:
        # In a secret round those who drop out share first: the sum sees to that.
        return asked.mode is Mode.VISIBLE and name in silent_in(asked, made.participants, number)

    hub = identity_of(asked.seed, COORDINATOR)
    sums = SimulatedSums(
        asked, Agreement(terms=terms, options={}, owners=kept.owners, coordinator=hub.signing.public)
    )
    world = InProcess(
        kept,
        hub,
        seats,
        judge=made.evaluate,
        absent=absent,
        clock=lambda: kept.number * 10**6 * SECOND,
        summing=sums,
    )
    session = Session()
    while kept.session.state is SessionState.RUNNING:
        number = kept.number
        progress(said, number - 1, task.rounds)
        session.played.append(world.round())
        progress(said, number, task.rounds, session.reports[-1].failed)
    session.terms = sums.terms
    return session


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
        **of_terms(session.terms),
        **totals(session.phases),
        "wall_s": perf_counter() - began,
        "main_process_cpu_s": process_time() - cpu,
        "peak_memory_mb": peak_memory_mb(),
        "journal_bytes": sum(one.journal_bytes for one in session.played),
        "max_abs_error": max(
            (e for one in session.played if (e := one.max_abs_error) is not None), default=None
        ),
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
