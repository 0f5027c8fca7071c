"""Signing keys of owners in files: hex digits that only their owner can read."""

import os
from pathlib import Path

from consilium.domain import DataProblem, InvalidValue, OutputProblem, UsageError
from consilium.domain.files import whole_file
from consilium.federated.entropy import SystemEntropy
from consilium.federated.primitives import KEY_SIZE, KeyPair, new_signing_key, signing_public


def make_key(path: Path) -> KeyPair:
    """Make a signing key and write its private half into a new file.

    Raises
    ------
    UsageError
        The file is there: a key is never written over.
    OutputProblem
        It cannot be written.
    """
    if path.exists():
        raise UsageError(
            "a new key needs a new file", path, "choose another name, or use the key that is there"
        )
    made = new_signing_key(SystemEntropy())
    try:
        with whole_file(path) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(made.private.hex().encode() + b"\n")
    except OSError as error:
        raise OutputProblem(
            f"{path} must be written", error.strerror or error, "choose another place"
        ) from error
    return made


def read_key(path: Path) -> KeyPair:
    """Read a signing key.

    Raises
    ------
    DataProblem
        It cannot be read, or is no key.
    """
    try:
        private = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise DataProblem(
            f"{path} must be a key file", error.strerror or error, "make one: consilium federate owners new"
        ) from error
    except ValueError:
        private = b""
    if len(private) != KEY_SIZE:
        raise DataProblem(
            f"{path} must hold {2 * KEY_SIZE} hex digits",
            "something else",
            "give the key file as it was made",
        )
    return KeyPair(private, signing_public(private))


def public_key(text: str) -> bytes:
    """Read a public key from hex digits.

    Raises
    ------
    InvalidValue
        It is none.
    """
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise InvalidValue(f"a public key must have {2 * KEY_SIZE} hex digits", text[:80], "copy it whole")
    return key
