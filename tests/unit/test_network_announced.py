"""Rounds that a participant is told of: it makes the plan itself, or says why it does not."""

from collections.abc import Callable
from dataclasses import fields, replace
from math import exp
from typing import Any

import numpy as np
import pytest

from consilium.app.federated.agreeing import OwnFloors, floors_of
from consilium.app.federated.announced import asked_in, plan_of
from consilium.domain import InvalidValue
from consilium.federated.agreement import Agreement, model_digest
from consilium.federated.local import LocalPlan
from consilium.federated.owners import Owner, OwnerList
from consilium.federated.parameters import degree_for, least_cohort
from consilium.federated.rounds import RoundPlan
from consilium.federated.sampling import choose
from consilium.federated.session import Buffering, Mode, Terms
from federated_cases import SECOND, terms_of

NAMES = tuple(f"desk{number:02}" for number in range(1, 13))
OWNERS = OwnerList(
    owners=tuple(
        Owner(owner=name, key=name.encode().ljust(32), stake=number % 3)
        for number, name in enumerate(NAMES, 1)
    )
)
HERE = tuple(name for name in NAMES if OWNERS.of(name).stake)
Bend = Callable[[dict[str, Any]], dict[str, Any]]


def agreed(**terms: Any) -> Agreement:
    given = {"mode": Mode.SUM, "delta": 0.2, "rounds": 9, "sample_fraction": 0.5, "owner_cap": 0.5, **terms}
    return Agreement(terms=terms_of(**given), options={}, owners=OWNERS, coordinator=b"c" * 32)


def announced(held: Agreement, number: int = 3, **changed: Any) -> dict[str, Any]:
    """Return what an honest coordinator announces."""
    drawn = choose(HERE, 4, seed=held.terms.seed, session="s", round_number=number)
    members = [
        {
            "participant": name,
            "owner": name,
            "weight": OWNERS.weight(name, 0.5),
            "base_version": "v1",
            "staleness": 0,
            "asked": True,
        }
        for name in drawn
    ]
    found: dict[str, Any] = {
        "number": number,
        "attempt": 1,
        "members": members,
        "eligible": list(HERE),
        "clip": 1.0,
        "dimension": 4,
        "ts_opened": SECOND,
        "ts_cut_off": 9 * SECOND,
    }
    return found | changed


def planned(held: Agreement, on: dict[str, Any], *, joined: tuple[str, ...] = (), **own: Any) -> RoundPlan:
    return plan_of(on, held, dimension=4, joined=joined, own=OwnFloors(**own))


def rows(**changed: Any) -> Bend:
    return lambda on: on | {"members": [row | changed for row in on["members"]]}


def only_first_asked(on: dict[str, Any]) -> dict[str, Any]:
    asked = [row | {"asked": at < 3} for at, row in enumerate(on["members"])]
    return on | {"members": asked}


def test_an_honest_announcement_gives_the_coordinators_own_plan() -> None:
    held = agreed(optimizer="scaffold", adapt_clip=True)
    plan = planned(held, announced(held, clip=1.1))
    assert plan.eligible == HERE
    assert (plan.dimension, plan.with_bit, plan.clip, plan.least) == (8, True, 1.1, 3)
    assert len(plan.members) == 4
    assert RoundPlan.from_dict(plan.as_dict()) == plan


@pytest.mark.parametrize(
    ("bend", "words"),
    [
        (lambda on: on | {"number": 10}, r"a round must lie in \[1, 9\], as agreed; got 10"),
        (lambda on: on | {"number": 0}, r"a round must lie in \[1, 9\], as agreed; got 0"),
        (lambda on: on | {"number": 4}, "members of round 4 must be the 4 that the public draw gives; got 4"),
        (lambda on: on | {"eligible": [*on["eligible"], "eve"]}, "admitted owners with a stake, .* got eve"),
        (lambda on: on | {"eligible": ["desk03", *on["eligible"]]}, "with a stake, .* got desk03"),
        (lambda on: on | {"eligible": on["eligible"][::-1]}, "got another order"),
        (lambda on: on | {"eligible": [on["eligible"][0], *on["eligible"]]}, "got another order"),
        (lambda on: on | {"eligible": on["eligible"][:7]}, "must stay joined; got a draw without desk11"),
        (lambda on: on | {"members": on["members"][:3]}, "must be the 4 that the public draw gives; got 3"),
        (lambda on: on | {"members": on["members"][::-1]}, "must be the 4 that the public draw gives"),
        (lambda on: on | {"members": on["members"] * 2}, "must be the 4 that the public draw gives; got 8"),
        (rows(participant="another"), "a member must go by its owner's name"),
        (rows(staleness=1), "a member must go by its owner's name, and train from the newest model"),
        (rows(weight=9), "weight of .* must be [12], as the owner list gives it; got 9"),
        (only_first_asked, "the first attempt must ask all 4 who were drawn; got 3"),
        (lambda on: on | {"clip": 1.0 + 1e-12}, "clip of round 3 must be the agreed 1; got 1.000000000001"),
        (lambda on: on | {"ts_cut_off": SECOND}, "the cut-off must come after the opening"),
    ],
)
def test_another_round_than_the_agreed_one_is_refused(bend: Bend, words: str) -> None:
    held = agreed()
    planned(held, announced(held), joined=HERE)
    with pytest.raises(InvalidValue, match=words) as refused:
        planned(held, bend(announced(held)), joined=HERE)
    assert "\n" not in str(refused.value)


def test_a_clip_goes_no_further_than_the_rounds_before_can_have_brought_it() -> None:
    held = agreed(adapt_clip=True)
    for clip in (exp(0.2), exp(-0.2)):
        planned(held, announced(held, clip=clip))
    for clip in (exp(0.2) * 1.001, exp(-0.2) * 0.999, -1.0):
        with pytest.raises(InvalidValue, match=r"clip of round 3 must be in \[0.818731, 1.2214\]"):
            planned(held, announced(held, clip=clip))


def test_a_retry_asks_those_who_are_left_but_never_fewer_than_the_least_number() -> None:
    held = agreed()
    retry = only_first_asked(announced(held, attempt=2))
    assert len(planned(held, retry).members) == 4
    assert len(asked_in(retry)) == 3
    with pytest.raises(InvalidValue, match="an attempt must be among >= 4, as agreed; got 3"):
        planned(held, retry, least=4)
    with pytest.raises(InvalidValue, match="an attempt must be among >= 4, as agreed; got 3"):
        planned(agreed(least_participants=4), retry)


@pytest.mark.promise(
    "003", "floors come from the signed owner list and the agreed terms, not from who is asked"
)
def test_floors_count_all_colluders_of_the_owner_list_whoever_is_asked() -> None:
    held = agreed(gamma=0.25, delta=0.0)
    assert held.colluders == 3
    # Of 6 who are asked 3 may lie: 5 neighbours, of whom 5 must agree; gamma of those asked would say 4.
    floors = floors_of(held, participants=6, dimension=4)
    assert (floors.neighbours, floors.threshold, floors.survivors, floors.margin) == (5, 5, 6, 5)
    assert degree_for(6, 0.25, 0.0).threshold == 4
    with pytest.raises(InvalidValue, match="5 participants must leave 5 neighbours for the threshold; got 4"):
        floors_of(agreed(gamma=0.34, delta=0.0), participants=5, dimension=4)


def test_survivors_are_never_fewer_than_the_least_number_that_terms_or_owner_ask_for() -> None:
    held = agreed(delta=0.3, least_participants=8)
    assert floors_of(held, participants=10, dimension=4).survivors == 8
    assert floors_of(held, participants=10, dimension=4, own=OwnFloors(least=9)).survivors == 9


@pytest.mark.parametrize("delta", [0.0, 0.05, 0.2, 0.45])
@pytest.mark.parametrize("colluders", [0, 1, 7, 40])
def test_the_least_cohort_is_the_first_that_withstands_all_colluders(colluders: int, delta: float) -> None:
    least = least_cohort(colluders, delta, 3)
    for participants in range(3, least):
        with pytest.raises(InvalidValue):
            degree_for(participants, 0.0, delta, colluders=colluders)
    degree = degree_for(least, 0.0, delta, colluders=colluders)
    # Two lists of survivors cannot both be acknowledged, though every colluder acknowledges both.
    assert 2 * degree.threshold - degree.neighbours > colluders


def test_each_part_of_what_is_trained_from_changes_the_digest() -> None:
    base = np.zeros(3)
    seen = {
        model_digest(base, {}),
        model_digest(base + 1e-300, {}),
        model_digest(base, {"first": base}),
        model_digest(base, {"second": base}),
        model_digest(base, {"first": base, "second": base}),
        model_digest(np.zeros(4), {}),
    }
    assert len(seen) == 6


OTHER_PLAN: dict[str, Any] = {
    "session": "t", "number": 4, "mode": Mode.GROUPED, "dimension": 5, "clip": 1.0 + 2**-52,
    "clip_int": 65_537, "with_bit": True, "least": 4, "attempts": 4, "exponent": 0.5,
    "ts_opened": SECOND + 1, "ts_cut_off": 9 * SECOND + 1, "groups": 2, "eligible": HERE[1:],
}  # fmt: skip
OTHER_TERMS: dict[str, Any] = {
    "session": "t", "task": "candles", "model_type": "risk-model", "mode": Mode.GROUPED, "rounds": 10,
    "optimizer": "scaffold", "options": {"learning_rate": 0.5}, "aggregator": "other",
    "local": LocalPlan(epochs=6), "sample_fraction": 0.6, "least_participants": 4, "cut_off_seconds": 601,
    "attempts": 4, "failed_rounds": 4, "clip": 2.0, "adapt_clip": True, "clip_int": 65_537, "gamma": 0.2,
    "delta": 0.3, "byzantine": 0.1, "owner_cap": 0.4, "buffering": Buffering(size=3), "seed": 1,
}  # fmt: skip


def test_every_field_of_plan_and_terms_is_in_the_digest_of_an_attempt() -> None:
    held = agreed()
    plan = planned(held, announced(held))
    seen = {held.digest(plan, "m"), held.digest(plan, "n")}
    assert {one.name for one in fields(RoundPlan)} == set(OTHER_PLAN) | {"members"}
    others = [replace(plan, **{name: value}) for name, value in OTHER_PLAN.items()]
    for changed in ({"weight": 7}, {"base_version": "v2"}, {"staleness": 1}, {"participant": "a"}):
        first = replace(plan.members[0], **changed)
        others.append(replace(plan, members=(first, *plan.members[1:])))
    seen |= {held.digest(other, "m") for other in others}
    assert {one.name for one in fields(Terms)} == set(OTHER_TERMS)
    for name, value in OTHER_TERMS.items():
        assert getattr(held.terms, name) != value, name
        seen.add(replace(held, terms=replace(held.terms, **{name: value})).digest(plan, "m"))
    fewer = replace(OWNERS, owners=OWNERS.owners[:-1])
    for part in ({"options": {"a": 1}}, {"owners": fewer}, {"coordinator": b"d" * 32}):
        seen.add(replace(held, **part).digest(plan, "m"))
    assert len(seen) == 2 + len(OTHER_PLAN) + 4 + len(OTHER_TERMS) + 3
