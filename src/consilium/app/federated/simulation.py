"""A round among simulated participants, with the machines, keys and messages of a real one."""

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter, process_time
from typing import Any

import numpy as np

from consilium.app.federated.attempt import PhaseFigures, Played, Stageplay
from consilium.app.federated.crowd import Cast, Crowd, Synthetic, Vectors, identity_of
from consilium.app.federated.crowds import Crowds
from consilium.app.federated.visible import synthetic_round
from consilium.app.stages import ProgressCall, silent
from consilium.domain import InvalidValue, UsageError
from consilium.federated.groups import group_count
from consilium.federated.parameters import count_of
from consilium.federated.quantising import Scale
from consilium.federated.roster import Cohort, Member
from consilium.federated.secure_sum.coordinator import SumCoordinator
from consilium.federated.secure_sum.terms import Floors, SumParams
from consilium.federated.session import LEAST_SECRET, Mode, Terms
from consilium.federated.threats import statement

COORDINATOR = "coordinator"
SESSION = "simulation"
SILENT = "fell silent after the shares, as the simulation asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What is simulated.

    Parameters
    ----------
    participants
        N, >= 3.
    params
        d, values of an update, >= 1.
    mode
        ``sum``, ``grouped`` or ``visible``.
    dropout
        Share that falls silent after the shares, in [0, 1): exactly floor(D N), seeded.
    gamma, delta
        Share of colluders in [0, .5) and of dropouts in [0, 1) that the terms allow for.
    byzantine
        Share of attackers that groups must bear, in [0, .5); for ``grouped`` only.
    clip_int
        Integer that stands for the clip, in [1, 2^31).
    ring_bits
        32 or 64; None for the smallest that cannot wrap.
    seed
        Of updates, dropouts and keys: simulated keys are no secret.
    jobs
        Processes that play participants, >= 1.
    """

    participants: int = 1_000
    params: int = 100_000
    mode: Mode = Mode.SUM
    dropout: float = 0.0
    gamma: float = 0.1
    delta: float = 0.05
    byzantine: float = 0.05
    clip_int: int = 4_096
    ring_bits: int | None = None
    seed: int = 7
    jobs: int = 1

    def __post_init__(self) -> None:
        _require(
            self.participants >= LEAST_SECRET,
            f"--participants must be >= {LEAST_SECRET}, so that a sum hides each",
            self.participants,
        )
        _require(self.params >= 1, "--params must be >= 1", self.params)
        _require(0.0 <= self.dropout < 1.0, "--dropout must lie in [0, 1)", self.dropout)
        _require(self.jobs >= 1, "--jobs must be >= 1", self.jobs)
        _require(self.seed >= 0, "--seed must be >= 0", self.seed)

    @property
    def silent(self) -> int:
        """How many fall silent."""
        return count_of(self.dropout, self.participants)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        names = ("participants", "params", "dropout", "gamma", "delta", "seed", "jobs")
        return {name: getattr(self, name) for name in names} | {"mode": str(self.mode)}


def _require(holds: bool, bound: str, value: object) -> None:
    if not holds:
        raise UsageError(bound, value, "correct the option")


def owner_names(participants: int) -> tuple[str, ...]:
    """Return names in the order of their indices.

    Examples
    --------
    >>> owner_names(3)
    ('p00000', 'p00001', 'p00002')
    """
    width = max(5, len(str(participants - 1)))
    return tuple(f"p{at:0{width}}" for at in range(participants))


def who_drops(owners: Sequence[str], count: int, seed: int, *times: int) -> tuple[str, ...]:
    """Return who falls silent: seeded, and exactly so many."""
    rng = np.random.default_rng([seed, 0xD0, *times])
    return tuple(sorted(owners[i] for i in rng.choice(len(owners), count, replace=False)))


def terms_of(
    request: Simulated,
    cohort: Cohort,
    *,
    dimension: int,
    number: int = 1,
    attempt: int = 0,
    agreed: bytes = bytes(32),
) -> SumParams:
    """Return the terms of an attempt, computed as for a real one.

    Raises
    ------
    InvalidValue
        A ring that could wrap, shares that no threshold serves, or groups that cannot both hide and bear.
    """
    groups = 1
    if request.mode is Mode.GROUPED:
        groups = group_count(len(cohort), request.gamma, request.byzantine, delta=request.delta)
    terms = SumParams.plan(
        session=SESSION,
        round=number,
        attempt=attempt,
        cohort=cohort.digest,
        participants=len(cohort),
        dimension=dimension,
        clip_int=request.clip_int,
        gamma=request.gamma,
        delta=request.delta,
        groups=groups,
        colluders=colluders_of(request, groups),
        model_digest=agreed,
    )
    return terms if request.ring_bits is None else replace(terms, ring_bits=request.ring_bits)


def colluders_of(request: Simulated, groups: int) -> int | None:
    """Return how many may lie: of all, also where fewer are asked again; of a group, what a draw brings."""
    return count_of(request.gamma, request.participants) if groups == 1 else None


def play(
    request: Simulated,
    owners: Sequence[str],
    vectors: Vectors,
    *,
    dimension: int,
    dropped: Sequence[str],
    number: int = 1,
    attempt: int = 0,
    agreed: bytes = bytes(32),
    progress: ProgressCall = silent,
) -> tuple[SumParams, Played, int]:
    """Play one attempt; return its terms, what came of it, and the largest error of the decoded sum.

    Raises
    ------
    InvalidValue
        Terms under which no sum is safe.
    """
    coordinator = identity_of(request.seed, COORDINATOR)
    members = {owner: Member(identity_of(request.seed, owner).signing.public) for owner in owners}
    cohort = Cohort(members)
    terms = terms_of(request, cohort, dimension=dimension, number=number, attempt=attempt, agreed=agreed)
    cast = Cast(
        session=SESSION,
        seed=request.seed,
        members=members,
        coordinator=(COORDINATOR, Member(coordinator.signing.public)),
        floors=_floors(request, len(owners), terms),
        agreed=agreed,
        vectors=vectors,
        times=(number, attempt),
    )

    def act(crowd: Crowd | Crowds) -> tuple[Played, int]:
        stage = Stageplay(
            SumCoordinator(terms, coordinator, cohort),
            cohort.owners,
            crowd,
            dropped=dropped,
            deadline_ns=max(terms.deadlines),
            moved=progress,
        )
        return (played := stage.play()), _error(played, crowd)

    if request.jobs == 1:
        return (terms, *act(Crowd(cast, owners)))
    with Crowds(cast, owners, request.jobs) as crowds:
        return (terms, *act(crowds))


def _floors(request: Simulated, participants: int, terms: SumParams) -> Floors:
    return Floors.of(
        participants,
        request.gamma,
        request.delta,
        groups=terms.groups,
        colluders=colluders_of(request, terms.groups),
        clip_int=terms.clip_int,
    )


def _error(played: Played, crowd: Crowd | Crowds) -> int:
    """Return how far the decoded sum is from the integer sum of what the survivors masked."""
    names, total, _ = crowd.finish()
    if played.result is None or total is None:
        return 0
    if set(names) != set(played.result.survivors):
        raise InvalidValue(
            "survivors must be those whose vectors were masked",
            f"{len(played.result.survivors)} of {len(names)}",
            "report this: it is a bug",
        )
    return int(np.abs(total - played.result.total).max())


def simulate(request: Simulated, progress: ProgressCall = silent) -> dict[str, Any]:
    """Simulate one round of synthetic updates; return its report.

    Raises
    ------
    InvalidValue, UsageError
        A request that no round can serve.
    """
    began, cpu = perf_counter(), process_time()
    owners = owner_names(request.participants)
    dropped = who_drops(owners, request.silent, request.seed)
    vectors = Synthetic(
        seed=request.seed, dimension=request.params, scale=Scale(clip=1.0, clip_int=request.clip_int)
    )
    found = _visible if request.mode is Mode.VISIBLE else _secret
    return {
        "kind": "federated simulation",
        **request.as_dict(),
        **found(request, owners, vectors, dropped, progress),
        "wall_s": perf_counter() - began,
        "main_process_cpu_s": process_time() - cpu,
        "peak_memory_mb": peak_memory_mb(),
        "accuracy": None,
        "clean_accuracy": None,
        "threats": list(statement(session_terms(request), request.participants)),
    }


def _secret(
    request: Simulated,
    owners: Sequence[str],
    vectors: Synthetic,
    dropped: Sequence[str],
    progress: ProgressCall,
) -> dict[str, Any]:
    terms, played, error = play(
        request, owners, vectors, dimension=request.params, dropped=dropped, progress=progress
    )
    survivors = () if played.result is None else played.result.survivors
    return {
        **of_terms(terms),
        **totals(played.phases),
        "journal_bytes": played.journal_bytes,
        "max_abs_error": error if survivors else None,
        "survivors": len(survivors),
        "excluded": excluded(dropped, played.troubles),
        "failed": played.failed,
    }


def _visible(
    request: Simulated,
    owners: Sequence[str],
    vectors: Synthetic,
    dropped: Sequence[str],
    progress: ProgressCall,
) -> dict[str, Any]:
    outcome, figures, error = synthetic_round(
        owners,
        vectors,
        dimension=request.params,
        scale=vectors.scale,
        gone=frozenset(dropped),
        progress=progress,
    )
    return {
        **of_terms(None),
        **totals([figures]),
        "journal_bytes": 0,
        "max_abs_error": error if outcome.survivors else None,
        "survivors": len(outcome.survivors),
        "excluded": excluded(dropped, {}),
        "failed": outcome.failed,
    }


def session_terms(request: Simulated, **given: Any) -> Terms:
    """Return the terms of the session that is simulated."""
    return Terms(
        session=SESSION,
        task=given.pop("task", "synthetic"),
        mode=request.mode,
        gamma=request.gamma,
        delta=request.delta,
        clip_int=request.clip_int,
        seed=request.seed,
        **given,
    )


def totals(phases: Sequence[PhaseFigures]) -> dict[str, Any]:
    """Return figures of all phases, and of each."""
    names = ("server_cpu_s", "participant_cpu_s", "update_cpu_s", "upload_bytes", "download_bytes")
    return {
        **{name: sum(getattr(phase, name) for phase in phases) for name in names},
        "phases": [phase.as_dict() for phase in phases],
    }


def excluded(dropped: Sequence[str], troubles: Mapping[str, str]) -> list[dict[str, str]]:
    """Return without whom the round went on, and why."""
    reasons = {**dict.fromkeys(dropped, SILENT), **troubles}
    return [{"participant": name, "reason": reasons[name]} for name in sorted(reasons)]


def peak_memory_mb() -> float:
    """Return the most memory that this process ever had, in MB; that of its children not included."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1e6 if sys.platform == "darwin" else 1e3)


def of_terms(terms: SumParams | None) -> dict[str, Any]:
    """Return what was computed for an attempt; all None where nothing was secret."""
    names = ("neighbours", "threshold", "groups", "ring_bits", "clip_int", "survivors")
    found = {name: None if terms is None else getattr(terms, name) for name in names}
    return found | {"least_survivors": found.pop("survivors")}
