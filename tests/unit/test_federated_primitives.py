"""The primitives against the vectors of their standards."""

from typing import Any

import numpy as np
import pytest

from consilium.domain import InvalidValue
from consilium.federated.entropy import SeededEntropy, SystemEntropy
from consilium.federated.masks import CHUNK, add_mask, add_masks
from consilium.federated.primitives import (
    agree,
    derive,
    digest,
    exchange_public,
    forget_keys,
    new_exchange_key,
    new_signing_key,
    seal,
    sign,
    signing_public,
    unseal,
    verify,
)
from consilium.federated.shamir import PRIME

h = bytes.fromhex

PROMISE = pytest.mark.promise("003", "secure multi-party computation: primitives held to their standards")


@PROMISE
@pytest.mark.parametrize(
    ("scalar", "point", "secret"),
    [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ],
)
def test_x25519_gives_the_vectors_of_rfc_7748(scalar: str, point: str, secret: str) -> None:
    assert agree(h(scalar), h(point)) == h(secret)


def test_x25519_repeated_a_thousand_times_gives_the_vector_of_rfc_7748() -> None:
    k = u = h("09" + "00" * 31)
    for i in range(1_000):
        k, u = agree(k, u), k
        if i == 0:
            assert k == h("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
    assert k == h("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")


def test_alice_and_bob_of_rfc_7748_agree() -> None:
    alice = h("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = h("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    assert exchange_public(alice) == h("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    assert exchange_public(bob) == h("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    secret = h("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert agree(alice, exchange_public(bob)) == agree(bob, exchange_public(alice)) == secret


@pytest.mark.parametrize(
    "point",
    [
        "00" * 32,
        "01" + "00" * 31,
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ],
)
def test_a_public_key_of_low_order_is_refused(point: str) -> None:
    with pytest.raises(InvalidValue, match=f"must not be of low order; got {point}: refuse"):
        agree(new_exchange_key(SystemEntropy()).private, h(point))


@PROMISE
@pytest.mark.parametrize(
    ("secret", "salt", "info", "size", "key"),
    [
        (
            b"\x0b" * 22,
            bytes(range(13)),
            bytes(range(0xF0, 0xFA)),
            42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(80)),
            bytes(range(0x60, 0xB0)),
            bytes(range(0xB0, 0x100)),
            82,
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            b"\x0b" * 22,
            b"",
            b"",
            42,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_hkdf_gives_the_vectors_of_rfc_5869(
    secret: bytes, salt: bytes, info: bytes, size: int, key: str
) -> None:
    assert derive(secret, info, size, salt) == h(key)


@PROMISE
@pytest.mark.parametrize(
    ("private", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a",
        ),
    ],
)
def test_ed25519_gives_the_vectors_of_rfc_8032(
    private: str, public: str, message: str, signature: str
) -> None:
    assert signing_public(h(private)) == h(public)
    assert sign(h(private), h(message)) == h(signature)
    assert verify(h(public), h(signature), h(message))


def test_another_message_key_or_signature_does_not_verify() -> None:
    one, other = new_signing_key(SystemEntropy()), new_signing_key(SystemEntropy())
    signature = sign(one.private, b"ten")
    changed = bytes([signature[0] ^ 1]) + signature[1:]
    assert verify(one.public, signature, b"ten")
    assert not verify(one.public, signature, b"two")
    assert not verify(other.public, signature, b"ten")
    assert not verify(one.public, changed, b"ten")
    assert not verify(one.public, signature[:-1], b"ten")
    assert not verify(b"", signature, b"ten")
    assert not verify(b"\xff" * 32, signature, b"ten")


ZERO_KEY_BLOCKS = (
    "dc95c078a2408989ad48a21492842087",
    "530f8afbc74536b9a963b4f1c4cb738b",
    "cea7403d4d606b6e074ec5d3baf39d18",
)
"""AES-256 of 0, 1 and 2 under the zero key: hash key, tag and text of GCM's test cases 13 and 14."""


def test_sealing_gives_the_vectors_of_gcm() -> None:
    assert seal(bytes(32), b"", b"") == h(ZERO_KEY_BLOCKS[1])
    assert seal(bytes(32), bytes(16), b"") == h(ZERO_KEY_BLOCKS[2] + "d0d1c8a799996bf0265b98b5d48ab919")
    assert unseal(bytes(32), h(ZERO_KEY_BLOCKS[1]), b"") == b""


def test_a_sealed_message_opens_only_unchanged_with_its_key_and_associated_data() -> None:
    key = SystemEntropy().token(32)
    sealed = seal(key, b"two shares", b"from 3 to 9")
    assert unseal(key, sealed, b"from 3 to 9") == b"two shares"
    wrong = [
        (key, sealed, b"from 9 to 3"),
        (bytes(32), sealed, b"from 3 to 9"),
        (key, sealed[:-1], b"from 3 to 9"),
        (key, b"", b"from 3 to 9"),
        (key, bytes([sealed[0] ^ 128]) + sealed[1:], b"from 3 to 9"),
    ]
    for used, message, associated in wrong:
        with pytest.raises(
            InvalidValue, match=r"must open with its key .*; got \d+ bytes that do not: refuse"
        ):
            unseal(used, message, associated)


@PROMISE
def test_a_mask_is_aes_256_in_counter_mode() -> None:
    vector = np.zeros(12, np.uint32)
    add_mask(vector, bytes(32), 1)
    assert vector.astype("<u4").tobytes() == h("".join(ZERO_KEY_BLOCKS))
    wide = np.zeros(6, np.uint64)
    add_mask(wide, bytes(32), 1)
    assert wide.astype("<u8").tobytes() == h("".join(ZERO_KEY_BLOCKS))


@pytest.mark.parametrize(
    ("key", "block"),
    [
        (
            "c47b0294dbbbee0fec4757f22ffeee3587ca4730c3d33b691df38bab076bc558",
            "46f2fb342d6f0ab477476fc501242c5f",
        ),
        (
            "28d46cffa158533194214a91e712fc2b45b518076675affd910edeca5f41ac64",
            "4bf3b0a69aeb6657794f2901b1440ad4",
        ),
        ("80" + "00" * 31, "e35a6dcb19b201a01ebcfa8aa22b5759"),
        ("c0" + "00" * 31, "b29169cdcf2d83e838125a12ee6aa400"),
    ],
)
def test_the_first_block_of_a_mask_is_that_of_the_validation_suite_of_aes(key: str, block: str) -> None:
    vector = np.zeros(4, np.uint32)
    add_mask(vector, h(key), 1)
    assert vector.astype("<u4").tobytes() == h(block)


@pytest.mark.parametrize("words", [1, 3, CHUNK // 4 - 1, CHUNK // 4, CHUNK // 4 + 1, CHUNK + 5])
def test_masks_in_one_pass_are_the_same_as_one_by_one(words: int) -> None:
    keys = [(SeededEntropy(i).token(32), 1 if i % 2 else -1) for i in range(5)]
    together = np.arange(words, dtype=np.uint32)
    apart = together.copy()
    add_masks(together, keys)
    for key, sign_ in keys:
        add_mask(apart, key, sign_)
    assert np.array_equal(together, apart)


def test_a_mask_refuses_what_it_cannot_add_to() -> None:
    wrong: list[Any] = [np.zeros(4, np.int64), np.zeros((2, 2), np.uint32), np.zeros(8, np.uint32)[::2]]
    for vector in wrong:
        before = vector.copy()
        with pytest.raises(InvalidValue, match="a masked vector must be"):
            add_mask(vector, bytes(32), 1)
        assert np.array_equal(vector, before)
    frozen = np.zeros(4, np.uint32)
    frozen.flags.writeable = False
    with pytest.raises(InvalidValue, match="must be writable"):
        add_mask(frozen, bytes(32), 1)
    vector = np.zeros(4, np.uint32)
    with pytest.raises(InvalidValue, match="key of a mask must have 32 bytes; got 31 bytes"):
        add_mask(vector, bytes(31), 1)
    with pytest.raises(InvalidValue, match="sign of a mask must be 1 or -1; got 0"):
        add_mask(vector, bytes(32), 0)
    with pytest.raises(InvalidValue, match="sign of a mask"):
        add_masks(vector, [(bytes(32), 1), (bytes(32), 2)])
    assert not vector.any()


def test_no_two_lists_of_parts_have_the_same_digest() -> None:
    lists = [(), (b"",), (b"", b""), (b"ab", b"c"), (b"a", b"bc"), (b"abc",), (b"abc", b"")]
    assert len({digest(*parts) for parts in lists}) == len(lists)


def test_no_private_key_is_in_a_repr_or_in_an_error() -> None:
    key = new_exchange_key(SystemEntropy())
    assert key.private.hex() not in repr(key)
    assert str(list(key.private)) not in repr(key)
    assert repr(key.private) not in repr(key)
    with pytest.raises(InvalidValue, match="private key must have 32 bytes; got 31 bytes: send it whole"):
        agree(key.private[:31], key.public)


def test_exchange_keys_are_numbers_that_can_be_shared_and_are_all_different() -> None:
    keys = [new_exchange_key(SystemEntropy()) for _ in range(64)]
    assert all(int.from_bytes(key.private, "big") < PRIME for key in keys)
    assert len({key.private for key in keys} | {key.public for key in keys}) == 128
    forget_keys()
    assert all(exchange_public(key.private) == key.public for key in keys)


def test_a_seed_repeats_its_bytes_and_the_operating_system_never() -> None:
    stream, pieces = SeededEntropy(5), SeededEntropy(5)
    assert stream.token(10_000) == b"".join(pieces.token(size) for size in (1, 31, 0, 4_096, 5_872))
    assert SeededEntropy(5).token(32) != SeededEntropy(6).token(32) != SeededEntropy(b"6x").token(32)
    assert SystemEntropy().token(32) != SystemEntropy().token(32)
    assert SystemEntropy().real
    assert not SeededEntropy(5).real
    for entropy in (SystemEntropy(), SeededEntropy(5)):
        with pytest.raises(InvalidValue, match="size of a token must be finite and >= 0; got -1"):
            entropy.token(-1)
    with pytest.raises(InvalidValue, match="seed must be finite and >= 0; got -1"):
        SeededEntropy(-1)
