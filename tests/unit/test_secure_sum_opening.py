"""Who lies about shares is worked around, and named where it is beyond doubt; who is honest never is."""

import os
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.federated.effects import Aborted
from consilium.federated.entropy import SeededEntropy
from consilium.federated.messages import Phase, Release, Shares, Signed
from consilium.federated.parameters import degree_for
from consilium.federated.secure_sum.opening import Opening
from consilium.federated.shamir import PRIME, as_bytes, as_number, draw_secret, split
from secure_sum_cases import HUB, Attempt, attempt

WRONG = bytes(31) + b"\x07"


class Dealt:
    """Shares of n owners, each dealt to all the others."""

    def __init__(self, n: int, gamma: float = 0.1, delta: float = 0.1, seed: int = 0) -> None:
        degree, entropy = degree_for(n, gamma, delta), SeededEntropy(seed)
        self.n, self.k, self.t = n, degree.neighbours, degree.threshold
        self.secrets = [draw_secret(entropy) for _ in range(n)]
        self.shares: list[dict[int, bytes]] = []
        for i, secret in enumerate(self.secrets):
            points = [j + 1 for j in range(n) if j != i]
            values = split(as_number(secret), self.t, points, entropy)
            self.shares.append({x: as_bytes(y) for x, y in zip(points, values, strict=True)})

    def lie(self, holder: int, owners: Iterable[int] | None = None, share: bytes = WRONG) -> None:
        for i in range(self.n) if owners is None else owners:
            if i != holder:
                self.shares[i][holder + 1] = share

    def opened(self, owners: Iterable[int] | None = None) -> Opening:
        opening = Opening(self.t, self.k, self.shares.__getitem__)
        opening.open({i: self.secrets[i].__eq__ for i in (range(self.n) if owners is None else owners)})
        return opening


@pytest.mark.parametrize("apart", range(1, 19))
def test_two_liars_at_any_distance_spoil_nothing_and_are_named(apart: int) -> None:
    dealt = Dealt(20)
    for liar in (0, apart):
        dealt.lie(liar)
    opening = dealt.opened()
    assert opening.secrets == dict(enumerate(dealt.secrets))
    assert set(opening.faults) == {0, apart}
    assert opening.faults[0] == (
        "of at most 9 owners may the shares that one releases be wrong; got 10 or more of 19: "
        "the rounds that follow go on without it"
    )


def test_two_of_128_that_lie_half_a_circle_apart_spoil_nothing() -> None:
    dealt = Dealt(128, delta=0.05)
    for liar in (0, 64):
        dealt.lie(liar)
    opening = dealt.opened(range(60, 80))
    assert opening.secrets == {i: dealt.secrets[i] for i in range(60, 80)}
    assert set(opening.faults) == {0, 64}


@given(st.data())
def test_as_many_liars_as_decoding_bears_spoil_nothing(data: st.DataObject) -> None:
    dealt = Dealt(data.draw(st.integers(5, 16)), seed=data.draw(st.integers(0, 2**32)))
    most = (dealt.n - 1 - dealt.t) // 2
    liars = data.draw(st.sets(st.integers(0, dealt.n - 1), max_size=most))
    for liar in sorted(liars):
        dealt.lie(liar, share=as_bytes(data.draw(st.integers(0, PRIME - 1))))
    opening = dealt.opened()
    assert opening.secrets == dict(enumerate(dealt.secrets))
    # Of one whose shares nobody needed nothing is seen.
    assert set(opening.faults) <= liars


@given(st.data())
def test_colluding_owners_never_get_an_honest_one_named(data: st.DataObject) -> None:
    dealt = Dealt(20, seed=data.draw(st.integers(0, 2**32)))
    colluders = data.draw(st.sets(st.integers(0, 19), min_size=2, max_size=2))
    for i in colluders:
        # What one dealt, and what one releases, may be anything.
        for holder in data.draw(st.sets(st.integers(0, 19), max_size=19)) - {i}:
            dealt.shares[i][holder + 1] = os.urandom(32)
        dealt.lie(i, data.draw(st.sets(st.integers(0, 19))), share=os.urandom(32))
    opening = dealt.opened()
    assert set(opening.faults) <= colluders
    honest = set(range(20)) - colluders
    assert {i: opening.secrets.get(i) for i in honest} == {i: dealt.secrets[i] for i in honest}


def test_a_number_outside_of_the_field_is_a_wrong_share_like_another() -> None:
    dealt = Dealt(8, delta=0.34)
    dealt.lie(3, share=b"\xff" * 32)
    opening = dealt.opened()
    assert (len(opening.secrets), set(opening.faults)) == (8, {3})


def test_one_wrong_share_blames_nobody() -> None:
    dealt = Dealt(20)
    dealt.lie(3, [5])
    opening = dealt.opened()
    assert (len(opening.secrets), opening.faults) == (20, {})


@pytest.mark.parametrize("n", [5, 6, 20, 60])
def test_an_owner_that_shares_another_secret_is_named(n: int) -> None:
    dealt = Dealt(n)
    dealt.secrets[1] = draw_secret(SeededEntropy(9))
    opening = dealt.opened()
    assert (opening.shut, set(opening.faults)) == ([1], {1})
    assert opening.faults[1] == (
        f"an owner must share the secret that it committed to; got {n - 1} of {n - 1} shares give another: "
        "the rounds that follow go on without it"
    )


def test_an_owner_that_shares_another_secret_is_named_beside_those_who_lie() -> None:
    dealt = Dealt(40)
    dealt.secrets[1] = draw_secret(SeededEntropy(9))
    dealt.lie(0)
    dealt.lie(20)
    opening = dealt.opened()
    assert (opening.shut, set(opening.faults)) == ([1], {0, 1, 20})


@pytest.mark.parametrize("n", [5, 20])
def test_an_owner_whose_shares_fit_nothing_is_named(n: int) -> None:
    dealt = Dealt(n)
    dealt.shares[1] = {x: os.urandom(32) for x in dealt.shares[1]}
    opening = dealt.opened()
    assert (opening.shut, set(opening.faults)) == ([1], {1})


def test_as_few_shares_as_the_threshold_prove_nothing() -> None:
    dealt = Dealt(20)
    dealt.secrets[1] = draw_secret(SeededEntropy(9))
    dealt.shares[1] = dict(sorted(dealt.shares[1].items())[: dealt.t])
    opening = dealt.opened()
    assert (opening.shut, opening.faults) == ([1], {})


def test_those_who_lie_about_others_are_left_out_where_too_many_stand_in_the_way() -> None:
    dealt = Dealt(20)
    for liar in (2, 8, 14):
        dealt.lie(liar)
    # Two more are wrong here than can be told from right ones; the three are known from the others.
    dealt.lie(4, [0])
    dealt.lie(10, [0])
    opening = dealt.opened()
    assert opening.secrets == dict(enumerate(dealt.secrets))
    assert set(opening.faults) == {2, 8, 14}


def committed_otherwise(played: Attempt, owner: str) -> Attempt:
    """Let one commit to another b than it shares."""

    def bend(sender: str, to: str, message: Signed) -> Iterable[Signed]:
        if sender == owner and message.header.phase is Phase.SHARES:
            shares = Shares.decode(message.body, played.params.neighbours)
            return [played.lie(Phase.SHARES, Shares(os.urandom(32), shares.sealed).encode(), by=owner)]
        return [message]

    played.bend = bend
    return played


def test_an_attempt_that_fails_by_one_owner_names_it_and_says_so_again_after_a_restart() -> None:
    played = committed_otherwise(attempt(8), "desk-0003").run()
    assert played.aborted[HUB].startswith("4 right shares must come back of 'desk-0003'")
    assert "of another secret than its own" in played.aborted[HUB]
    played.restart(HUB)
    (end,) = played.coordinator.resume()
    assert isinstance(end, Aborted)
    assert (list(end.faults), end.released) == (["desk-0003"], True)


def test_a_sum_says_after_a_restart_too_who_lied() -> None:
    played = attempt(20, gamma=0.1, delta=0.1)
    liars = ("desk-0005", "desk-0015")

    def bend(sender: str, to: str, message: Signed) -> Iterable[Signed]:
        if sender in liars and message.header.phase is Phase.RELEASE:
            shares = Release.decode(message.body, 20).shares
            return [played.lie(Phase.RELEASE, Release([(i, WRONG) for i, _ in shares]).encode(), by=sender)]
        return [message]

    played.bend = bend
    played.run()
    before = played.coordinator.result
    assert before is not None
    assert before.liars == liars
    np.testing.assert_array_equal(before.total, played.total(before.survivors))
    played.restart(HUB)
    after = played.coordinator.result
    assert after is not None
    assert after.faults == before.faults
