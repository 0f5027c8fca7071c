"""Sessions that nobody could join, or whose rounds could never begin, are refused when they are created."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.app.federated.desk import KEY_FILE, NetworkDesk
from consilium.app.federated.joinable import Unjoinable
from consilium.domain import InvalidValue
from consilium.federated.session import Buffering, Mode, Terms
from federated_cases import Desk

NAMES = ("a", "b", "c", "d", "e")


class Still:
    def now_ns(self) -> int:
        return 1


def created(folder: Path, options: dict[str, Any], numbers: int, **terms: Any) -> NetworkDesk:
    from consilium.federated.entropy import SystemEntropy
    from consilium.federated.primitives import new_signing_key

    admission, desk = new_signing_key(SystemEntropy()), NetworkDesk(folder, Still())
    text = Desk(NAMES).owners.signed(admission.private)
    given = {"session": "s1", "task": "synthetic", **terms}
    desk.create(Terms(**given), text, admission.public, np.zeros(numbers), options=options)
    return desk


@pytest.mark.parametrize(
    ("task", "options", "numbers", "said"),
    [
        ("poetry", {}, 10, "task must be one of candles, digits, synthetic; got 'poetry': choose one"),
        ("synthetic", {"dimension": "ten"}, 10, "option dimension must be a whole number; got 'ten'"),
        ("synthetic", {"dimension": 10**30}, 10, "option dimension must be a whole number; got 1000000"),
        ("synthetic", {"dimension": [[[[1]]]]}, 10, r"option dimension must be a whole number; got \[\[\[\["),
        ("synthetic", {"dimension": True}, 1, "option dimension must be a whole number; got True"),
        ("synthetic", {"dimension": 0}, 10, "option dimension must be >= 1; got 0"),
        (
            "synthetic",
            {"dimension": 11},
            10,
            "synthetic must have the 11 numbers of its options; got 10: make",
        ),
        (
            "digits",
            {},
            10,
            "the first model of task digits must have the 2,410 numbers of its options; got 10",
        ),
        ("digits", {"hidden": 0}, 2410, "must have the 650 numbers of its options; got 2,410"),
        ("digits", {"alpha": float("nan")}, 2410, "option alpha must be a number; got nan"),
        ("digits", {"alpha": -1.0}, 2410, "alpha must be"),
        ("candles", {"sizes": 3}, 10, "option sizes must name sizes; got 3"),
        ("candles", {"model": 3}, 10, "option model must be a name; got 3"),
    ],
)
def test_a_task_that_nobody_can_make_is_refused(
    task: str, options: dict[str, Any], numbers: int, said: str, tmp_path: Path
) -> None:
    with pytest.raises(Unjoinable, match=said):
        created(tmp_path, options, numbers, task=task, delta=0.2)
    assert not (tmp_path / "s1").exists()


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (
            {"gamma": 0.49, "delta": 0.2},
            "5 participants must leave 4 neighbours for the threshold; got 3 after",
        ),
        ({"delta": 0.99}, "5 participants must leave 3 neighbours for the threshold; got 0 after 4 dropouts"),
        ({"least_participants": 100_000}, "least_participants must be <= 5, the admitted owners with stake"),
        (
            {"mode": Mode.VISIBLE, "buffering": Buffering(size=6)},
            "size of a buffer must be <= 5, .*; got 6: l",
        ),
    ],
)
def test_terms_under_which_no_round_could_begin_are_refused(
    terms: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(Unjoinable, match=said):
        created(tmp_path, {"dimension": 4}, 4, **terms)
    assert not (tmp_path / "s1").exists()


def test_what_can_be_joined_is_created(tmp_path: Path) -> None:
    created(tmp_path / "one", {"dimension": 4}, 4, gamma=0.2, delta=0.2).stop()
    created(tmp_path / "two", {"hidden": 0, "alpha": 1}, 650, task="digits", delta=0.2).stop()
    buffering = Buffering(size=5)
    created(tmp_path / "three", {"dimension": 4}, 4, mode=Mode.VISIBLE, buffering=buffering).stop()


@pytest.mark.parametrize("name", [KEY_FILE, KEY_FILE.upper()])
def test_a_session_has_not_the_name_of_the_desks_own_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidValue, match=r"must not be coordinator\.key, the desk's own file; got .*: rename"
    ):
        created(tmp_path, {"dimension": 4}, 4, session=name)


def test_numbers_of_the_first_model_that_are_not_finite_are_named() -> None:
    from consilium.federated.coordinator import SessionCoordinator

    terms, owners = Terms(session="s1", task="synthetic"), Desk(NAMES).owners
    with pytest.raises(InvalidValue, match="flat, finite and not empty; got nan as number 3: correct it"):
        SessionCoordinator(terms, owners, np.array([0.0, 1.0, np.nan, np.inf]))
