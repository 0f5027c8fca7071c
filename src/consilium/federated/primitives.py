"""The few operations that the protocols are built of, each under its own name.

X25519 agrees on a secret, HKDF derives keys from it, AES-256-GCM seals, Ed25519 signs, SHA-256 digests.
"""

import hmac
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from consilium.domain.errors import InvalidValue
from consilium.domain.tables import missing_package
from consilium.federated.entropy import Entropy
from consilium.federated.shamir import draw_secret

try:
    from cryptography.exceptions import InvalidSignature, InvalidTag
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ModuleNotFoundError as error:
    raise missing_package("a secure round", error) from None

KEY_SIZE = 32
SIGNATURE_SIZE = 64
SEAL_OVERHEAD = 16
"""Bytes by which sealed data is longer."""

_NONCE = bytes(12)
_HASH_SIZE = 32


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its public one, 32 bytes each; the private one is in no repr."""

    private: bytes = field(repr=False)
    public: bytes


def new_exchange_key(entropy: Entropy) -> KeyPair:
    """Draw a key for `agree`; its private part can be shared by `consilium.federated.shamir` as it is."""
    private = draw_secret(entropy)
    return KeyPair(private, exchange_public(private))


def exchange_public(private: bytes) -> bytes:
    """Return the public key of a private one of X25519."""
    return _exchange_key(_sized(private, "a private key")).public_key().public_bytes_raw()


def agree(private: bytes, public: bytes) -> bytes:
    """Return the secret that two keys share (X25519): the same from both sides.

    Raises
    ------
    InvalidValue
        A key that has not 32 bytes, or a public key of low order, whose secret everybody knows.

    References
    ----------
    RFC 7748, sections 5 and 6.1.
    """
    _sized(private, "a private key")
    try:
        other = X25519PublicKey.from_public_bytes(_sized(public, "a public key"))
        return _exchange_key(private).exchange(other)
    except ValueError as problem:
        if isinstance(problem, InvalidValue):
            raise
        raise InvalidValue(
            "a public key must not be of low order", public.hex(), "refuse the participant that sent it"
        ) from None


def new_signing_key(entropy: Entropy) -> KeyPair:
    """Draw a key for `sign`."""
    private = entropy.token(KEY_SIZE)
    return KeyPair(private, signing_public(private))


def signing_public(private: bytes) -> bytes:
    """Return the public key of a private one of Ed25519."""
    return _signing_key(_sized(private, "a private key")).public_key().public_bytes_raw()


def sign(private: bytes, data: bytes) -> bytes:
    """Sign data (Ed25519): 64 bytes.

    References
    ----------
    RFC 8032, section 5.1.6.
    """
    return _signing_key(_sized(private, "a private key")).sign(data)


def verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Return whether a signature was made over this data by the owner of the key."""
    if len(public) != KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def derive(secret: bytes, info: bytes, size: int = KEY_SIZE, salt: bytes = b"") -> bytes:
    """Derive a key from a secret for one use, which ``info`` names (HKDF-SHA256).

    Parameters
    ----------
    secret
        What only those who may have the key know.
    info
        What the key is for: another text, another key.
    size
        Bytes, in [1, 8160].
    salt
        Public; empty by default.

    References
    ----------
    RFC 5869, section 2.
    """
    if not 1 <= size <= 255 * _HASH_SIZE:
        raise InvalidValue(
            "size of a key must lie in [1, 8160] bytes", size, "derive several with other infos"
        )
    root = hmac.digest(salt or bytes(_HASH_SIZE), secret, "sha256")
    block = hmac.digest(root, info + b"\x01", "sha256")
    key = block
    while len(key) < size:
        block = hmac.digest(root, block + info + bytes([len(key) // _HASH_SIZE + 1]), "sha256")
        key += block
    return key[:size]


def seal(key: bytes, data: bytes, associated: bytes) -> bytes:
    """Encrypt data so that a change of it, or of ``associated``, is noticed (AES-256-GCM).

    The nonce is zero: a key seals ONE message, so derive it for this message alone.

    References
    ----------
    NIST SP 800-38D.
    """
    return AESGCM(_sized(key, "a sealing key")).encrypt(_NONCE, data, associated)


def unseal(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Decrypt what `seal` made.

    Raises
    ------
    InvalidValue
        Another key, other associated data, or a changed message.
    """
    try:
        return AESGCM(_sized(key, "a sealing key")).decrypt(_NONCE, sealed, associated)
    except InvalidTag:
        raise InvalidValue(
            "a sealed message must open with its key and its associated data",
            f"{len(sealed)} bytes that do not",
            "refuse its sender: it was changed, or made for another roster or another receiver",
        ) from None


def digest(*parts: bytes) -> bytes:
    """Return SHA-256 over parts, each after its length, so that no two lists of parts look alike.

    Examples
    --------
    >>> digest(b"ab", b"c") == digest(b"a", b"bc")
    False
    """
    return sha256(
        b"".join(piece for part in parts for piece in (struct.pack("<Q", len(part)), part))
    ).digest()


# Loading a private key costs as much as using it, and its owner uses it a hundred times in a row. Few are
# kept, so that keys which were erased elsewhere do not live on here.
@lru_cache(maxsize=2)
def _exchange_key(private: bytes) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(private)


@lru_cache(maxsize=2)
def _signing_key(private: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(private)


def forget_keys() -> None:
    """Drop the private keys kept for speed: at the end of an attempt."""
    _exchange_key.cache_clear()
    _signing_key.cache_clear()


def _sized(key: bytes, what: str) -> bytes:
    if len(key) != KEY_SIZE:
        raise InvalidValue(f"{what} must have 32 bytes", f"{len(key)} bytes", "send it whole")
    return key
