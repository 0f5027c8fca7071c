"""What a participant makes of a round that is announced: a plan of its own, or a refusal."""

from collections.abc import Iterable, Mapping
from math import exp
from typing import Any, Final

from consilium.app.federated.agreeing import OwnFloors
from consilium.domain import InvalidValue
from consilium.federated.agreement import Agreement
from consilium.federated.clipping import RATE
from consilium.federated.optimizers import make_optimizer
from consilium.federated.rounds import Member, RoundPlan
from consilium.federated.sampling import choose, sample_size
from consilium.federated.secure_round import most_barred
from consilium.federated.session import Mode

ALMOST: Final = 1e-9


def asked_in(on: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the owners who are asked in the attempt that is on."""
    return tuple(sorted(row["owner"] for row in on["members"] if row["asked"]))


def plan_of(
    on: Mapping[str, Any], agreement: Agreement, *, dimension: int, joined: Iterable[str], own: OwnFloors
) -> RoundPlan:
    """Return the plan of a round as this participant makes it, from what it holds.

    What the coordinator alone can know is taken from it and bounded: number, times, who has joined, the clip
    where it follows the norms, and which model. All else is computed here.

    Parameters
    ----------
    on
        The round as it is announced.
    agreement
        What this participant holds.
    dimension
        Numbers of its model.
    joined
        Who was said to have joined before.
    own
        What its owner asks beyond the terms.

    Raises
    ------
    InvalidValue
        A round that is not the agreed one: with value, bound and cure.
    """
    terms = agreement.terms
    number = int(on["number"])
    if not 1 <= number <= terms.rounds:
        raise InvalidValue(f"a round must lie in [1, {terms.rounds}], as agreed", number, "leave the session")
    eligible = _eligible(on, agreement, frozenset(joined))
    _check_drawn(on, agreement, eligible, number)
    _check_asked(on, agreement, own)
    _check_weights(on, agreement)
    return RoundPlan(
        session=terms.session,
        number=number,
        mode=terms.mode,
        members=tuple(
            Member(participant=row["owner"], weight=int(row["weight"]), base_version=str(row["base_version"]))
            for row in on["members"]
        ),
        eligible=eligible,
        dimension=make_optimizer(terms.optimizer, **terms.options).parts * dimension,
        clip=_clip(on, agreement, number),
        clip_int=terms.clip_int,
        with_bit=terms.adapt_clip and terms.mode is not Mode.VISIBLE,
        least=terms.least_participants,
        attempts=terms.attempts,
        exponent=0.0,
        ts_opened=int(on["ts_opened"]),
        ts_cut_off=int(on["ts_cut_off"]),
    )


def _eligible(on: Mapping[str, Any], agreement: Agreement, joined: frozenset[str]) -> tuple[str, ...]:
    """Return who is said to have joined: admitted owners, and all who were said so before."""
    told = [str(name) for name in on["eligible"]]
    weights = agreement.owners.weights(agreement.terms.owner_cap)
    strange = [name for name in told if not weights.get(name)]
    if strange or told != sorted(set(told)):
        raise InvalidValue(
            "who has joined must be admitted owners with a stake, each once and in order",
            ", ".join(strange[:3]) or "another order",
            "compare the owner list with the coordinator's",
        )
    gone = sorted(joined - set(told))
    if gone:
        raise InvalidValue(
            "who has joined must stay joined",
            f"a draw without {', '.join(gone[:3])}",
            "ask why; those who are missing join again",
        )
    return tuple(told)


def _check_drawn(on: Mapping[str, Any], agreement: Agreement, eligible: tuple[str, ...], number: int) -> None:
    """Repeat the public draw; refuse other members."""
    terms = agreement.terms
    for row in on["members"]:
        if row["participant"] != row["owner"] or int(row["staleness"]):
            raise InvalidValue(
                "a member must go by its owner's name, and train from the newest model",
                f"{row['participant']} of {row['owner']}",
                "ask why",
            )
    members = [row["owner"] for row in on["members"]]
    count = sample_size(len(eligible), terms.sample_fraction, terms.least_participants)
    drawn = choose(eligible, count, seed=terms.seed, session=terms.session, round_number=number)
    if members != list(drawn):
        other = sorted(set(members) ^ set(drawn))
        raise InvalidValue(
            f"members of round {number} must be the {len(drawn)} that the public draw gives",
            f"{len(members)}, which differ in {', '.join(other[:3])}",
            "repeat the draw, and compare who has joined",
        )


def _check_asked(on: Mapping[str, Any], agreement: Agreement, own: OwnFloors) -> None:
    """Refuse a first attempt without any who was drawn and is not said to be at fault; and too small ones."""
    asked, least = asked_in(on), max(agreement.terms.least_participants, own.least)
    if len(asked) < least:
        raise InvalidValue(f"an attempt must be among >= {least}, as agreed", len(asked), "wait for more")
    drawn = {row["owner"] for row in on["members"]}
    named = on.get("barred", [])
    barred = drawn.intersection(map(str, named if isinstance(named, list) else []))
    most = most_barred(agreement.colluders)
    if len(barred) > most:
        raise InvalidValue(f"at most {most} may be left out as found at fault", len(barred), "ask why")
    if int(on["attempt"]) <= 1 and set(asked) != drawn - barred:
        raise InvalidValue(
            f"the first attempt must ask all {len(drawn - barred)} who were drawn", len(asked), "ask why"
        )


def _check_weights(on: Mapping[str, Any], agreement: Agreement) -> None:
    weights = agreement.owners.weights(agreement.terms.owner_cap)
    for row in on["members"]:
        if row["weight"] != weights[row["owner"]]:
            raise InvalidValue(
                f"weight of {row['owner']} must be {weights[row['owner']]}, as the owner list gives it",
                row["weight"],
                "compare the owner list with the coordinator's",
            )


def _clip(on: Mapping[str, Any], agreement: Agreement, number: int) -> float:
    """Return the clip: the agreed one, or as far from it as the rounds before can have brought it."""
    terms, clip = agreement.terms, float(on["clip"])
    reach = exp(RATE / 2 * (number - 1)) * (1 + ALMOST) if terms.adapt_clip else 1.0
    lowest, highest = terms.clip / reach, terms.clip * reach
    if not lowest <= clip <= highest:
        bound = f"the agreed {terms.clip:g}" if reach == 1.0 else f"in [{lowest:.6g}, {highest:.6g}]"
        raise InvalidValue(f"clip of round {number} must be {bound}", clip, "leave the session")
    return clip
