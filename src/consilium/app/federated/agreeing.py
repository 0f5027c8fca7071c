"""From a round's plan to the terms of one secure sum: the same arithmetic on both sides."""

from collections.abc import Mapping
from dataclasses import dataclass

from consilium.domain import Update
from consilium.domain.checks import require_at_least
from consilium.federated.agreement import Agreement
from consilium.federated.roster import Cohort
from consilium.federated.rounds import RoundPlan, StartAttempt
from consilium.federated.secure_sum.terms import STAGES, Floors, SumParams

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFloors:
    """What an owner asks beyond the terms, whatever they say.

    Parameters
    ----------
    least
        Fewest participants and survivors of a round, >= 0.
    gamma
        Least share of colluding owners that the terms must withstand, >= 0.
    visible
        Whether the coordinator may see its updates.
    """

    least: int = 0
    gamma: float = 0.0
    visible: bool = False

    def __post_init__(self) -> None:
        require_at_least("--least", self.least, 0)
        require_at_least("--gamma", self.gamma, 0.0)


def params_of(
    agreement: Agreement, plan: RoundPlan, start: StartAttempt, cohort: Cohort, *, model: str
) -> SumParams:
    """Return the terms of an attempt.

    Half of the round's time is for the first answer, which comes after training; the others share the rest.

    Parameters
    ----------
    agreement
        What the coordinator holds of the session.
    plan, start
        The round, and the attempt.
    cohort
        Who is asked.
    model
        As `consilium.federated.agreement.model_digest` names what is trained from.

    Raises
    ------
    InvalidValue
        Numbers with which no secure sum is safe.
    """
    terms = agreement.terms
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
        colluders=_colluders(agreement, start.groups),
        least=_least(agreement, start.groups),
        deadlines=(whole // 2, *[whole // (2 * STAGES - 2)] * (STAGES - 1)),
        model_digest=agreement.digest(plan, model),
    )


def floors_of(
    agreement: Agreement, *, participants: int, dimension: int, groups: int = 1, own: OwnFloors | None = None
) -> Floors:
    """Return what a participant asks of each attempt, from the terms and the owner list that it holds.

    All c = floor(gamma N) colluders of the N who were admitted may be among those who are asked: who is
    asked, and who is said to have joined, is the coordinator's word.

    Raises
    ------
    InvalidValue
        So few participants that no threshold withstands all colluders.
    """
    terms = agreement.terms
    return Floors.of(
        participants,
        terms.gamma,
        terms.delta,
        groups=groups,
        colluders=_colluders(agreement, groups),
        least=max(_least(agreement, groups), 0 if own is None else own.least),
        clip_int=terms.clip_int,
        dimension=dimension,
    )


def _colluders(agreement: Agreement, groups: int) -> int | None:
    # The size of a group counts the colluders that a random draw may bring.
    return agreement.colluders if groups == 1 else None


def _least(agreement: Agreement, groups: int) -> int:
    return agreement.terms.least_participants if groups == 1 else 1


def claims_of(update: Update) -> Mapping[str, float | None]:
    """Return what a participant says of itself: shown, never trusted."""
    return {
        "examples": update.num_examples,
        "performance": update.local_performance,
        "seconds": update.seconds,
    }
