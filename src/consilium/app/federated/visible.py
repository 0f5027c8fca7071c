"""A simulated round whose updates the coordinator sees."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from time import perf_counter, process_time

import numpy as np

from consilium.app.federated.attempt import PhaseFigures
from consilium.app.federated.crowd import Vectors
from consilium.app.stages import ProgressCall, silent
from consilium.domain import Update
from consilium.federated.aggregators import make_aggregator
from consilium.federated.coordinator import SECOND
from consilium.federated.quantising import Scale, dequantise
from consilium.federated.rounds import Closed, Member, RoundEffect, RoundOutcome, RoundPlan, Tick
from consilium.federated.session import Mode
from consilium.federated.visible_round import Received, VisibleRound

VISIBLE = "visible"
BASE = "synthetic"


def play_visible(
    machine: VisibleRound,
    updates: Iterable[Update],
    gone: Collection[str],
    figures: PhaseFigures,
    progress: ProgressCall = silent,
) -> RoundOutcome:
    """Hand the updates of all but those who fell silent to a round; return what came of it.

    Bytes are those of the values, 8 each: a carrier adds its own frame.
    """
    began = perf_counter()
    effects: list[RoundEffect] = []
    for done, update in enumerate(updates, 1):
        if update.participant not in gone:
            figures.upload_bytes += update.delta.nbytes
            figures.messages += 1
            cpu = process_time()
            effects += machine.handle(Received(update=update, now=machine.plan.ts_opened + 1))
            figures.server_cpu_s += process_time() - cpu
        progress(VISIBLE, done, len(machine.plan.members))
    cpu = process_time()
    effects += machine.handle(Tick(now=machine.plan.ts_cut_off))
    figures.server_cpu_s += process_time() - cpu
    figures.wall_s += perf_counter() - began
    return next(effect.outcome for effect in effects if isinstance(effect, Closed))


def synthetic_round(
    owners: Sequence[str],
    vectors: Vectors,
    *,
    dimension: int,
    scale: Scale,
    gone: Collection[str],
    progress: ProgressCall = silent,
) -> tuple[RoundOutcome, PhaseFigures, float]:
    """Play one visible round of synthetic updates; return how far its mean is from the plain one as well."""
    figures = PhaseFigures(VISIBLE)
    total = np.zeros(dimension, dtype=np.int64)

    def updates() -> Iterator[Update]:
        for name in owners:
            cpu = process_time()
            whole = vectors.vector(name)
            delta = dequantise(whole, scale)
            figures.update_cpu_s += process_time() - cpu
            if name not in gone:
                np.add(total, whole, out=total)
            yield Update(participant=name, round=1, base_version=BASE, delta=delta, num_examples=1)

    machine = VisibleRound(_plan(owners, dimension, scale), make_aggregator("mean"), {})
    outcome = play_visible(machine, updates(), gone, figures, progress)
    if outcome.mean is None:
        return outcome, figures, 0.0
    plain = dequantise(total, scale, len(outcome.survivors))
    return outcome, figures, float(np.abs(outcome.mean - plain).max())


def _plan(owners: Sequence[str], dimension: int, scale: Scale) -> RoundPlan:
    return RoundPlan(
        session="simulation",
        number=1,
        mode=Mode.VISIBLE,
        members=tuple(Member(participant=name, weight=1, base_version=BASE) for name in sorted(owners)),
        dimension=dimension,
        # Rounding may lengthen an update that has the length of the clip.
        clip=scale.step * scale.norm_bound(dimension),
        clip_int=scale.clip_int,
        with_bit=False,
        least=1,
        attempts=1,
        exponent=0.0,
        ts_opened=0,
        ts_cut_off=SECOND,
    )
