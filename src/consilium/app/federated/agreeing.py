"""From a round's plan to the terms of one secure sum: the same arithmetic on both sides."""

from collections.abc import Mapping

from consilium.domain import Update
from consilium.federated.roster import Cohort
from consilium.federated.rounds import RoundPlan, StartAttempt
from consilium.federated.secure_sum.terms import STAGES, Floors, SumParams
from consilium.federated.session import Terms

SECOND = 1_000_000_000


def params_of(
    terms: Terms, plan: RoundPlan, start: StartAttempt, cohort: Cohort, *, version: str
) -> SumParams:
    """Return the terms of an attempt.

    Half of the round's time is for the first answer, which comes after training; the others share the rest.

    Raises
    ------
    InvalidValue
        Numbers with which no secure sum is safe.
    """
    whole = terms.cut_off_seconds * SECOND
    return SumParams.plan(
        session=terms.session,
        round=plan.number,
        attempt=start.attempt,
        cohort=cohort.digest,
        participants=len(cohort),
        dimension=start.size,
        clip_int=plan.clip_int,
        gamma=terms.gamma,
        delta=terms.delta,
        groups=start.groups,
        deadlines=(whole // 2, *[whole // (2 * STAGES - 2)] * (STAGES - 1)),
        model_digest=bytes.fromhex(version),
    )


def floors_of(terms: Terms, *, participants: int, dimension: int, clip_int: int, groups: int) -> Floors:
    """Return what a participant that agreed to these terms asks of each attempt."""
    return Floors.of(
        participants, terms.gamma, terms.delta, groups=groups, clip_int=clip_int, dimension=dimension
    )


def claims_of(update: Update) -> Mapping[str, float | None]:
    """Return what a participant says of itself: shown, never trusted."""
    return {
        "examples": update.num_examples,
        "performance": update.local_performance,
        "seconds": update.seconds,
    }
