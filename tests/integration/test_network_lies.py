"""Coordinators that lie: nobody's update enters a sum over something that it did not agree to."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.app.federated import session_desk
from consilium.app.federated.agreeing import OwnFloors, params_of
from consilium.app.federated.secret_store import FileSecretStore
from consilium.domain import ConsiliumError
from consilium.federated.agreement import Agreement, model_digest
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.messages import Phase
from consilium.federated.owners import OwnerList
from consilium.federated.sampling import version_of
from consilium.federated.secure_sum.terms import SumParams
from consilium.federated.session import Terms
from lying_desk import LyingDesk

VICTIM = "desk02"
DIGEST = "model, optimizer's state, terms, options, owner list and plan must have the digest"
Lie = Callable[[LyingDesk], object]


def another_model(world: LyingDesk) -> None:
    world.lie(VICTIM, "model", lambda arrays: arrays | {"parameters": arrays["parameters"] + 1.0})


def another_model_that_is_named(world: LyingDesk) -> None:
    another_model(world)
    false = version_of(np.ones(world.options["dimension"]))

    def rows(on: dict[str, Any]) -> dict[str, Any]:
        return on | {"members": [row | {"base_version": false} for row in on["members"]]}

    world.lie(VICTIM, "round", rows)


def another_control(world: LyingDesk) -> None:
    world.lie(
        VICTIM, "model", lambda arrays: arrays | {"optimizer/control": arrays["optimizer/control"] + 1.0}
    )


def _told(world: LyingDesk, **changed: Any) -> None:
    terms = Terms.from_dict(world.desk.terms.as_dict() | changed)
    about = {"terms": terms.as_dict(), "terms_digest": terms.digest()}
    world.lie(VICTIM, "about", lambda answer: answer | about)


def another_rate(world: LyingDesk) -> None:
    _told(world, local={"epochs": 5, "batch_size": 32, "learning_rate": 0.1})


def another_gamma(world: LyingDesk) -> None:
    _told(world, gamma=0.0)


def another_seed_of_the_draw(world: LyingDesk) -> None:
    _told(world, seed=99)


def other_options(world: LyingDesk) -> None:
    options = world.options | {"features": "candle62"}
    world.lie(VICTIM, "about", lambda answer: answer | {"options": options})


def a_smaller_owner_list(world: LyingDesk) -> None:
    old = world.names[:4]
    world.lie(VICTIM, "owners", lambda _: world.signed_list(old))
    digest = world.list_of(old).digest()
    world.lie(VICTIM, "about", lambda answer: answer | {"owners_digest": digest})


def an_older_owner_list(world: LyingDesk) -> None:
    world.lie(VICTIM, "owners", lambda _: world.signed_list(world.names, 1))
    digest = world.list_of(world.names, 1).digest()
    world.lie(VICTIM, "about", lambda answer: answer | {"owners_digest": digest})


def another_clip(world: LyingDesk) -> None:
    world.lie(VICTIM, "round", lambda on: on | {"clip": 0.5})


def other_weights(world: LyingDesk) -> None:
    def bend(on: dict[str, Any]) -> dict[str, Any]:
        return on | {"members": [row | {"weight": row["weight"] + 1} for row in on["members"]]}

    world.lie(VICTIM, "round", bend)


def fewer_asked(world: LyingDesk) -> None:
    def bend(on: dict[str, Any]) -> dict[str, Any]:
        rows = [row | {"asked": row["owner"] != "desk05"} for row in on["members"]]
        return on | {"members": rows}

    world.lie(VICTIM, "round", bend)


def fewer_members(world: LyingDesk) -> None:
    world.lie(VICTIM, "round", lambda on: on | {"members": on["members"][:4]})


def fewer_joined(world: LyingDesk) -> None:
    def bend(on: dict[str, Any]) -> dict[str, Any]:
        return on | {"members": on["members"][:4], "eligible": on["eligible"][:4]}

    world.lie(VICTIM, "round", bend)


def another_cut_off(world: LyingDesk) -> None:
    world.lie(VICTIM, "round", lambda on: on | {"ts_cut_off": on["ts_cut_off"] + 1})


@pytest.mark.promise("003", "a coordinator that tells participants different things gets no sum of them")
@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (another_model, "the model must be the one of the round"),
        (another_model_that_is_named, DIGEST),
        (another_control, DIGEST),
        (another_rate, DIGEST),
        (another_gamma, DIGEST),
        (another_seed_of_the_draw, DIGEST),
        (other_options, DIGEST),
        (a_smaller_owner_list, "who has joined must be admitted owners with a stake"),
        (an_older_owner_list, DIGEST),
        (another_clip, "clip of round 1 must be the agreed 1; got 0.5"),
        (other_weights, "weight of desk01 must be 1, as the owner list gives it; got 2"),
        (fewer_asked, "the first attempt must ask all 5 who were drawn; got 4"),
        (fewer_members, "members of round 1 must be the 5 that the public draw gives; got 4"),
        (fewer_joined, "cohort must be "),
        (another_cut_off, DIGEST),
    ],
)
def test_who_is_told_something_else_stays_out_of_the_sum(tmp_path: Path, lie: Lie, words: str) -> None:
    world = LyingDesk(tmp_path, terms={"optimizer": "scaffold"} if lie is another_control else {})
    lie(world)
    (report,) = world.play()
    assert words in world.heard(VICTIM)
    assert world.phases(VICTIM) == []
    assert report["survivors"] == [name for name in world.names if name != VICTIM]


def test_an_honest_round_counts_everybody(tmp_path: Path) -> None:
    world = LyingDesk(tmp_path, terms={"optimizer": "scaffold", "adapt_clip": True, "rounds": 2})
    for report in world.play(rounds=2):
        assert report["survivors"] == list(world.names)
    assert all(world.phases(name)[-1] is Phase.RELEASE for name in world.names)


def test_a_clip_that_follows_the_norms_is_the_same_for_all(tmp_path: Path) -> None:
    world = LyingDesk(tmp_path, terms={"adapt_clip": True, "rounds": 2})
    step = {1: 1.0, 2: 1.01}
    world.lie(VICTIM, "round", lambda on: on | {"clip": on["clip"] * step[on["number"]]})
    first, second = world.play(rounds=2)
    assert VICTIM in first["survivors"]
    assert VICTIM not in second["survivors"]
    assert DIGEST in world.heard(VICTIM)


def test_an_announcement_made_to_fit_a_victim_leads_it_into_no_sum(tmp_path: Path) -> None:
    world = LyingDesk(tmp_path)
    another_model_that_is_named(world)
    false = np.ones(world.options["dimension"])
    held = Agreement(
        terms=world.desk.terms,
        options=world.options,
        owners=world.owners,
        coordinator=world.hub.signing.public,
    )

    def bend(box: Any) -> Any:
        if not box.messages:
            return box
        plan = world.desk._plan()
        members = tuple(replace(one, base_version=version_of(false)) for one in plan.members)
        digest = held.digest(replace(plan, members=members), model_digest(false, {}))
        return world.announced_with(model_digest=digest)(box)

    world.lie(VICTIM, "outbox", bend)
    (report,) = world.play()
    assert set(world.phases(VICTIM)) == {Phase.ADVERTISE}
    assert "params of a message must have digest" in world.heard(VICTIM)
    assert VICTIM not in report["survivors"]


@pytest.mark.parametrize(
    ("gamma", "weaker", "words"),
    [
        (0.4, {"threshold": 3}, "threshold t must be >= 4, this participant's floor; got 3"),
        (0.0, {"survivors": 4}, "survivors M must be >= 5, this participant's floor; got 4"),
        (
            0.4,
            {"neighbours": 3, "threshold": 2},
            "neighbours k must be >= 4, this participant's floor; got 3",
        ),
    ],
)
def test_terms_below_the_floors_of_list_and_terms_are_refused_by_all(
    tmp_path: Path, gamma: float, weaker: dict[str, int], words: str
) -> None:
    world = LyingDesk(tmp_path, terms={"gamma": gamma, "delta": 0.0})
    world.lie("*", "outbox", world.announced_with(**weaker))
    (report,) = world.play()
    assert all(words in world.heard(name) and not world.phases(name) for name in world.names)
    assert report["failed"]


def test_few_of_a_long_list_are_refused_where_all_but_one_may_collude(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = LyingDesk(tmp_path, admitted=20, joined=5, terms={"gamma": 0.2, "attempts": 1})
    world.play()
    assert "5 participants must leave 5 neighbours for the threshold; got 3" in world.desk.waiting

    def weak(agreement: Agreement, *given: Any, **named: Any) -> SumParams:
        few = replace(agreement, owners=world.list_of(world.here))
        return replace(
            params_of(few, *given, **named), model_digest=agreement.digest(given[0], named["model"])
        )

    monkeypatch.setattr(SessionCoordinator, "_require_secret", lambda *_: None)
    monkeypatch.setattr(session_desk, "params_of", weak)
    (report,) = world.play()
    words = "5 participants must leave 5 neighbours for the threshold; got 3"
    assert all(words in world.heard(name) and not world.phases(name) for name in world.here)
    assert report["failed"]


def test_an_owner_may_ask_for_more_than_the_terms(tmp_path: Path) -> None:
    world = LyingDesk(tmp_path, own={VICTIM: OwnFloors(least=6), "desk03": OwnFloors(gamma=0.2)})
    with (
        FileSecretStore(tmp_path / "desk03") as store,
        pytest.raises(ConsiliumError, match=r"gamma of the terms must be >= 0\.2, as --gamma asks; got 0\.1"),
    ):
        world.member("desk03", store)
    world.own.pop("desk03")
    (report,) = world.play()
    assert "an attempt must be among >= 6, as agreed; got 5" in world.heard(VICTIM)
    assert report["survivors"] == [name for name in world.names if name != VICTIM]


def test_an_owner_that_is_told_another_mode_shows_its_update_to_nobody(tmp_path: Path) -> None:
    world = LyingDesk(tmp_path)
    _told(world, mode="visible")
    with (
        FileSecretStore(tmp_path / VICTIM) as store,
        pytest.raises(ConsiliumError, match="unless --visible is given; got visible: give --visible if the"),
    ):
        world.member(VICTIM, store)
    for buffered in ({"mode": "sum"}, {"mode": "grouped"}):
        _told(world, **buffered, buffering={"size": 3, "exponent": 0.5, "most_stale": 10})
        with (
            FileSecretStore(tmp_path / VICTIM) as store,
            pytest.raises(ConsiliumError, match="hidden must be in mode sum, without a buffer; got"),
        ):
            world.member(VICTIM, store)
    _told(world, mode="visible")
    world.own[VICTIM] = OwnFloors(visible=True)
    with FileSecretStore(tmp_path / VICTIM) as store:
        world.member(VICTIM, store)


def test_a_hand_picked_cohort_is_refused_by_all_who_repeat_the_draw(tmp_path: Path) -> None:
    world = LyingDesk(tmp_path, admitted=8, terms={"sample_fraction": 0.5, "delta": 0.0, "gamma": 0.0})

    def pick(on: dict[str, Any]) -> dict[str, Any]:
        row = on["members"][0]
        picked = [name for name in world.names if name != on["members"][1]["owner"]][:4]
        return on | {"members": [row | {"owner": name, "participant": name} for name in picked]}

    world.lie("*", "round", pick)
    (report,) = world.play()
    assert "members of round 1 must be the 4 that the public draw gives" in world.heard("desk01")
    assert not any(world.phases(name) for name in world.names)
    assert report["failed"]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("terms", "the terms must be as agreed at the join"),
        ("options", "the options of the task must be as agreed at the join"),
        ("owners", "the owner list must be as agreed at the join"),
        ("coordinator", "the coordinator's key must be as agreed at the join"),
    ],
)
def test_what_was_agreed_at_the_join_is_not_changed_afterwards(tmp_path: Path, what: str, words: str) -> None:
    world = LyingDesk(tmp_path)
    with FileSecretStore(tmp_path / VICTIM) as store:
        world.member(VICTIM, store)
        world.member(VICTIM, store)
    lies: dict[str, Lie] = {
        "terms": another_rate,
        "options": other_options,
        "owners": an_older_owner_list,
        "coordinator": lambda world: world.lie(
            VICTIM, "about", lambda answer: answer | {"coordinator": {"name": "hub", "key": "ab" * 32}}
        ),
    }
    lies[what](world)
    with FileSecretStore(tmp_path / VICTIM) as store, pytest.raises(ConsiliumError) as refused:
        world.member(VICTIM, store)
    assert str(refused.value).startswith(words)
    assert str(refused.value).endswith("ask why; who agrees to it joins anew, with another --store")
    assert "\n" not in str(refused.value)


def test_an_own_copy_of_the_owner_list_shows_a_coordinator_that_gives_an_old_one(tmp_path: Path) -> None:
    world = LyingDesk(tmp_path)
    a_smaller_owner_list(world)
    with (
        FileSecretStore(tmp_path / VICTIM) as store,
        pytest.raises(
            ConsiliumError, match=r"the owner list must be the session's, .* which list is in force"
        ),
    ):
        world.member(VICTIM, store, owners=world.owners)


def test_a_participant_that_goes_by_another_name_than_its_owner_cannot_join(tmp_path: Path) -> None:
    from consilium.federated.registration import Registration

    world = LyingDesk(tmp_path)
    ground = Registration(
        participant="drawn-always",
        owner=VICTIM,
        session="s1",
        key=world.keys[VICTIM].public,
        capabilities=("synthetic", "sum"),
    ).signed(world.keys[VICTIM].private)
    with pytest.raises(ConsiliumError, match="must go by the name of its owner, desk02; got 'drawn-always'"):
        world.desk.register(ground)


def test_a_list_of_owners_for_another_session_is_refused_on_both_sides(tmp_path: Path) -> None:
    world = LyingDesk(tmp_path)
    other = replace(world.owners, session="s2")
    world.lie(VICTIM, "owners", lambda _: other.signed(world.admission.private))
    world.lie(VICTIM, "about", lambda answer: answer | {"owners_digest": other.digest()})
    with (
        FileSecretStore(tmp_path / VICTIM) as store,
        pytest.raises(ConsiliumError, match="the owner list must be for session s1; got s2: ask those who"),
    ):
        world.member(VICTIM, store)
    with pytest.raises(ConsiliumError, match="the owner list must be for session s1; got s2"):
        SessionCoordinator(world.desk.terms, other, np.zeros(3))
    whole = replace(world.owners, session="s1").signed(world.admission.private)
    assert OwnerList.from_text(whole, world.admission.public).session == "s1"
