"""The owner list, registration, and who is chosen."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.domain import ConsiliumError, DataProblem, InvalidValue, OutputProblem, UnknownName
from consilium.federated.entropy import SystemEntropy
from consilium.federated.owners import Owner, OwnerList, read_owners, write_owners
from consilium.federated.primitives import KeyPair, new_signing_key
from consilium.federated.registration import Registration, Registry
from consilium.federated.sampling import choose

ENTROPY = SystemEntropy()
ADMISSION = new_signing_key(ENTROPY)
KEYS = {name: new_signing_key(ENTROPY) for name in ("anna", "bert", "cleo")}


def _list(stake: int = 10) -> OwnerList:
    return OwnerList(
        owners=tuple(Owner(owner=n, key=k.public, stake=stake) for n, k in KEYS.items()), ts_issued=5
    )


def _registration(owner: str = "anna", keys: KeyPair | None = None, **changed: Any) -> Registration:
    given: dict[str, Any] = {
        "participant": f"{owner}-1",
        "owner": owner,
        "session": "s",
        "key": KEYS[owner].public,
        "capabilities": ("digits", "sum"),
        "examples": 1000,
        "compute": "high",
    }
    return Registration(**{**given, **changed}).signed((keys or KEYS[owner]).private)


def test_a_signed_list_is_read_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "owners.json"
    write_owners(path, _list(), ADMISSION.private)
    assert read_owners(path, ADMISSION.public) == _list()
    assert [entry.name for entry in tmp_path.iterdir()] == ["owners.json"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda c: c["owners"].append({"owner": "eve", "key": "00" * 32, "stake": 9}),
            "must be signed by the admi",
        ),
        (lambda c: c["owners"][0].update(stake=11), "must be signed by the admission key"),
        (lambda c: c.update(ts_issued=6), "must be signed by the admission key"),
        (lambda c: c.pop("signature"), "must carry a signature of 64 bytes; got 0"),
        (lambda c: c.update(signature="zz"), "must carry a signature"),
        (lambda c: c.update(version=2), "must have version 1; got 2"),
        (lambda c: c.update(format="else"), "must be in the format 'consilium owners'"),
    ],
)
def test_a_changed_list_is_refused(change: Callable[[dict[str, Any]], object], told: str) -> None:
    content = json.loads(_list().signed(ADMISSION.private))
    change(content)
    with pytest.raises(DataProblem, match=told):
        OwnerList.from_text(json.dumps(content), ADMISSION.public)


@pytest.mark.parametrize(
    "owners",
    [None, 3, [3], [{}], [{"owner": "a"}], [{"owner": "a", "key": "xx"}], [{"owner": "a", "key": "00"}], []],
)
def test_a_signed_list_of_nonsense_is_refused_in_one_line(owners: object) -> None:
    from consilium.domain import canonical_json
    from consilium.federated.owners import TAG
    from consilium.federated.primitives import sign

    content = {"format": "consilium owners", "version": 1, "ts_issued": 0, "owners": owners}
    signature = sign(ADMISSION.private, TAG + canonical_json(content).encode()).hex()
    with pytest.raises(ConsiliumError) as told:
        OwnerList.from_text(json.dumps({**content, "signature": signature}), ADMISSION.public)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"a"', "[" * 5000])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(DataProblem):
        OwnerList.from_text(text, ADMISSION.public)


def test_files_that_cannot_be_read_or_written_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match="must be a readable file"):
        read_owners(tmp_path / "none.json", ADMISSION.public)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataProblem, match="not UTF-8"):
        read_owners(tmp_path / "bytes", ADMISSION.public)
    with pytest.raises(OutputProblem, match="writable place"):
        write_owners(tmp_path / "no" / "owners.json", _list(), ADMISSION.private)


def test_owners_have_names_and_keys_of_their_own() -> None:
    one = Owner(owner="a", key=b"1" * 32)
    with pytest.raises(InvalidValue, match="names of owners must differ"):
        OwnerList(owners=(one, Owner(owner="a", key=b"2" * 32)))
    with pytest.raises(InvalidValue, match="keys of owners must differ"):
        OwnerList(owners=(one, Owner(owner="b", key=b"1" * 32)))
    with pytest.raises(InvalidValue, match="stake of a must be an integer"):
        Owner(owner="a", key=b"1" * 32, stake=1.5)  # type: ignore[arg-type]


def test_no_owner_weighs_more_than_its_cap_of_all_stake() -> None:
    stakes = {"whale": 1000, "a": 10, "b": 10, "none": 0}
    admitted = OwnerList(
        owners=tuple(Owner(owner=n, key=n.encode().ljust(32), stake=s) for n, s in stakes.items())
    )
    assert admitted.weights(0.1) == {"whale": 102, "a": 10, "b": 10, "none": 0}
    assert admitted.weights(1.0) == stakes


@pytest.mark.promise("003", "register participants securely")
def test_who_was_admitted_joins_once_and_again_gets_the_same_answer() -> None:
    registry = Registry("s", _list(), needs=("digits", "sum"))
    joined = registry.register(_registration(), first_round=1)
    assert registry.register(_registration(), first_round=9) is joined
    assert registry.eligible(1) == ("anna-1",)


def test_late_joiners_wait_for_the_next_round() -> None:
    registry = Registry("s", _list())
    registry.register(_registration("bert"), first_round=1)
    registry.register(_registration("anna"), first_round=3)
    assert registry.eligible(2) == ("bert-1",)
    assert registry.eligible(3) == ("anna-1", "bert-1")


@pytest.mark.parametrize(
    ("registration", "told"),
    [
        (_registration(owner="anna", session="t"), "session must be s; got t"),
        (_registration(key=KEYS["bert"].public), "key of anna must be that of the owner list"),
        (_registration(keys=KEYS["bert"]), "must be signed by anna; got another signature"),
        (_registration(capabilities=("sum",)), "capabilities must hold digits, sum; got sum: add digits"),
    ],
)
def test_a_registration_that_does_not_fit_is_refused(registration: Registration, told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        Registry("s", _list(), needs=("digits", "sum")).register(registration, first_round=1)


def test_a_stranger_is_refused() -> None:
    keys = new_signing_key(ENTROPY)
    stranger = Registration(participant="eve-1", owner="eve", session="s", key=keys.public).signed(
        keys.private
    )
    with pytest.raises(UnknownName, match="owner must be one of anna, bert, cleo; got 'eve'"):
        Registry("s", _list()).register(stranger, first_round=1)


def test_an_owner_has_one_participant_and_a_name_belongs_to_who_took_it() -> None:
    registry = Registry("s", _list())
    registry.register(_registration("anna"), first_round=1)
    with pytest.raises(InvalidValue, match="an owner may have 1 participant"):
        registry.register(_registration("anna", participant="anna-2"), first_round=1)
    with pytest.raises(InvalidValue, match="anna-1 is registered with other words"):
        registry.register(_registration("bert", participant="anna-1"), first_round=1)


def test_who_comes_back_with_more_rows_has_joined_before_all_the_same() -> None:
    registry = Registry("s", _list())
    registry.register(_registration("anna", examples=100), first_round=1)
    grown = registry.register(_registration("anna", examples=101, compute="high"), first_round=7)
    assert (grown.first_round, grown.claims) == (1, (100, 101))
    assert registry.joined["anna-1"].registration.examples == 101
    with pytest.raises(InvalidValue, match="anna-1 is registered with other words"):
        registry.register(_registration("anna", examples=102, capabilities=("other",)), first_round=7)
    with pytest.raises(InvalidValue, match="must be signed by anna"):
        registry.register(_registration("anna", examples=102, keys=KEYS["bert"]), first_round=7)
    for count in range(102, 130):
        registry.register(_registration("anna", examples=count), first_round=7)
    again = Registry("s", _list())
    again.restore(registry.state())
    assert again.joined == registry.joined
    assert again.joined["anna-1"].claims == tuple(range(121, 130))


def test_claimed_rows_do_not_weigh() -> None:
    registry = Registry("s", _list())
    registry.register(_registration("anna", examples=10**12), first_round=1)
    registry.register(_registration("bert", examples=1), first_round=1)
    weights = registry.weights(0.1)
    assert weights["anna-1"] == weights["bert-1"] > 0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"examples": -1}, "examples must be finite and >= 0"),
        ({"examples": 10**13}, "examples must be an integer <= 1,000,000,000,000; got 10000000000000"),
        ({"examples": 1.5}, "examples must be an integer"),
        ({"compute": "huge"}, "compute must be one of high, low, medium"),
        ({"version": 2}, "version of a registration must be 1; got 2"),
        ({"participant": ""}, "participant must not be empty"),
        ({"participant": "x" * 65}, "participant must be <= 64 printable characters"),
        ({"participant": "a\nb"}, "printable"),
        ({"capabilities": ("x",) * 65}, "capabilities must be <= 64"),
    ],
)
def test_a_registration_outside_its_bounds_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ConsiliumError, match=told):
        _registration(**changed)


def test_a_registration_and_a_registry_survive_json() -> None:
    registry = Registry("s", _list())
    registry.register(_registration("anna"), first_round=1)
    registry.register(_registration("bert"), first_round=4)
    again = Registry("s", _list())
    again.restore(json.loads(json.dumps(registry.state())))
    assert again.joined == registry.joined
    for wrong in (
        {},
        {"participant": "a"},
        {**_registration().as_dict(), "more": 1},
        {**_registration().as_dict(), "key": "x"},
    ):
        with pytest.raises(InvalidValue):
            Registration.from_dict(wrong)


@given(st.sets(st.text("abcdef", min_size=1, max_size=4), min_size=1), st.integers(1, 12), st.integers(0, 99))
def test_the_draw_is_the_same_for_everybody_and_as_large_as_asked(
    names: set[str], count: int, seed: int
) -> None:
    chosen = choose(names, count, seed=seed, session="s", round_number=1)
    assert chosen == choose(sorted(names, reverse=True), count, seed=seed, session="s", round_number=1)
    assert len(chosen) == min(count, len(names))
    assert set(chosen) <= names
    # Who leaves does not change who else is in, but for the one who takes the place.
    left = names - {chosen[0]}
    if left:
        assert set(chosen[1:]) <= set(choose(left, count, seed=seed, session="s", round_number=1))


def test_each_is_chosen_about_as_often() -> None:
    names = [f"p{number}" for number in range(20)]
    drawn = [name for r in range(2000) for name in choose(names, 5, seed=3, session="s", round_number=r)]
    shares = [drawn.count(name) / 2000 for name in names]
    assert 0.25 - 0.04 < min(shares) <= max(shares) < 0.25 + 0.04
