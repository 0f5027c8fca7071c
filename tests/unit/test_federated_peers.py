"""Sharing of secrets against mpyc's."""

from typing import Any

import pytest

from consilium.federated.entropy import SystemEntropy
from consilium.federated.shamir import PRIME, combine, lagrange_weights, split

pytestmark = pytest.mark.peers


@pytest.mark.filterwarnings("default")
@pytest.mark.promise("003", "threshold sharing equals mpyc's")
def test_shares_and_secrets_are_those_of_mpyc() -> None:
    from mpyc import finfields, thresha

    field: Any = finfields.GF(PRIME)
    for n, t in ((3, 1), (7, 4), (62, 46)):
        secret = int.from_bytes(SystemEntropy().token(31), "big")
        points = list(range(1, n + 1))
        ours = split(secret, t, points, SystemEntropy())
        held = list(zip(points, ([field(share)] for share in ours), strict=True))[n - t :]
        assert int(thresha.recombine(field, held)[0]) == secret
        theirs = thresha.random_split(field, [field(secret)], t - 1, n)
        assert combine({point: int(theirs[point - 1][0]) for point in points[n - t :]}, t) == secret
        weights = thresha._recombination_vector(field, tuple(points), 0)
        assert [int(weight) for weight in weights] == list(lagrange_weights(tuple(points)))
