"""An update on its way, where it is seen: signed, versioned, bounded."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.domain import InvalidValue
from consilium.federated.encoding import number
from consilium.federated.entropy import SystemEntropy
from consilium.federated.primitives import new_signing_key
from consilium.federated.sent_update import DOMAIN, SentUpdate
from federated_cases import D, update_of

KEYS = new_signing_key(SystemEntropy())
OTHER = new_signing_key(SystemEntropy())


def _bytes(session: str = "s", **changed: Any) -> bytes:
    return SentUpdate.signed(session, update_of("a", **changed), KEYS.private).encode()


@given(
    st.lists(st.floats(allow_nan=False), min_size=D, max_size=D),
    st.one_of(st.none(), st.floats(-1e6, 1e6)),
    st.integers(0, 10**12),
    st.floats(0.0, 1e6),
)
def test_what_is_sent_arrives(
    delta: list[float], performance: float | None, examples: int, seconds: float
) -> None:
    data = _bytes(delta=delta, local_performance=performance, num_examples=examples, seconds=seconds)
    came = SentUpdate.decode(data, session="s", dimension=D).checked(KEYS.public)
    assert came.delta.tobytes() == np.array(delta).tobytes()
    assert (came.participant, came.round, came.base_version, came.num_examples) == ("a", 1, "v1", examples)
    assert (came.local_performance is None) is (performance is None)
    assert (came.local_performance or 0.0) == pytest.approx(performance or 0.0, abs=1e-6)
    assert came.seconds == pytest.approx(seconds, abs=1e-6)


def test_a_wrong_signature_is_refused_and_says_nothing_of_the_one_it_names() -> None:
    sent = SentUpdate.decode(_bytes(), session="s", dimension=D)
    with pytest.raises(
        InvalidValue, match="an update of a must be signed by its owner's key; got another signature"
    ):
        sent.checked(OTHER.public)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (_bytes(session="t"), "session of an update must be s; got 't'"),
        (_bytes(delta=[1.0, 2.0]), "an update of a must have 4 numbers; got 2 said and 2 sent"),
        (_bytes()[:-8], "an update of a must have 4 numbers; got 4 said and 3 sent"),
        (_bytes() + b"\0", "an update of a must have 4 numbers; got 4 said and 4.125 sent"),
        (_bytes()[:-1] + b"\7", "numbers of an update must be those signed"),
        (b"", "an update must have at least 4 bytes more; got 0"),
        (number(2**31, 4) + bytes(100), "a header of at most 1024 bytes; got 2147483648"),
        (number(20, 4) + bytes(200), "an update must have the mark of one"),
        (_bytes().replace(DOMAIN + b"\1", DOMAIN + b"\2"), "version of an update must be 1; got 2: upgrade"),
    ],
)
def test_what_is_no_update_of_the_session_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        SentUpdate.decode(data, session="s", dimension=D)


def test_any_changed_byte_is_noticed() -> None:
    whole, rng = _bytes(), np.random.default_rng(0)
    for place in rng.permutation(len(whole)):
        bent = bytearray(whole)
        bent[place] ^= int(rng.integers(1, 256))
        with pytest.raises(InvalidValue):
            SentUpdate.decode(bytes(bent), session="s", dimension=D).checked(KEYS.public)


@given(st.binary(max_size=300))
def test_random_bytes_give_our_own_errors_only(data: bytes) -> None:
    with pytest.raises(InvalidValue):
        SentUpdate.decode(data, session="s", dimension=D).checked(KEYS.public)
