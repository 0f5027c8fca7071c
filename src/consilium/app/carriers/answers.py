"""What a coordinator answers, read within bounds before anything is made of it: it may be hostile."""

import io
import json
import math
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from consilium.domain import DataProblem

KIB: Final = 1024
MIB: Final = 1024 * KIB
MOST_ARRAYS: Final = 8
ASK: Final = "ask who runs the coordinator"

Kinds = Mapping[str, type | tuple[type, ...]]

ABOUT: Final[Kinds] = {
    "session": str,
    "terms": dict,
    "terms_digest": str,
    "options": dict,
    "owners_digest": str,
    "dimension": int,
    "coordinator": dict,
}
STANDS: Final[Kinds] = {"state": str, "done": int, "round": (dict, type(None))}
ROUND: Final[Kinds] = {
    "number": int,
    "attempt": int,
    "members": list,
    "eligible": list,
    "clip": (int, float),
    "dimension": int,
    "ts_opened": int,
    "ts_cut_off": int,
}
MEMBER: Final[Kinds] = {
    "participant": str,
    "owner": str,
    "weight": int,
    "base_version": str,
    "staleness": int,
    "asked": bool,
}
REPORT: Final[Kinds] = {"number": int, "failed": str, "survivors": list}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read whole."""

    status: int
    headers: httpx.Headers
    content: bytes


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the answers of a session may weigh at most.

    Parameters
    ----------
    owners
        How many are admitted.
    dimension
        Numbers of the model.

    Examples
    --------
    >>> Bounds(owners=10, dimension=1_000).model
    129536
    """

    owners: int = 0
    dimension: int = 0

    @property
    def plain(self) -> int:
        """Bytes of an answer in JSON that names every owner once or twice."""
        return MIB + 4 * KIB * self.owners

    @property
    def outbox(self) -> int:
        """Bytes of what one owner should have at one time: keys or letters of all the others."""
        return MIB + KIB * self.owners

    @property
    def reports(self) -> int:
        """Bytes of the reports of some rounds."""
        return 16 * self.plain

    @property
    def model(self) -> int:
        """Bytes of the model with what its optimizer keeps."""
        return 64 * KIB + MOST_ARRAYS * 8 * self.dimension


def read_within(answer: httpx.Response, most: int) -> Answer:
    """Read an answer as it travels, and no further than its bound.

    Raises
    ------
    DataProblem
        It is longer, or packed.
    """
    packed = answer.headers.get("content-encoding", "identity")
    if packed != "identity":
        raise DataProblem("an answer must travel as it is", packed[:40], ASK)
    told = answer.headers.get("content-length", "0")
    held = bytearray()
    if told.isdigit() and len(told) < 19 and int(told) <= most:
        for part in answer.iter_raw():
            held += part
            if len(held) > most:
                break
        else:
            return Answer(answer.status_code, answer.headers, bytes(held))
    raise DataProblem(f"an answer must have at most {most} bytes", "more", ASK)


def plain_of(content: bytes, kinds: Kinds, what: str) -> dict[str, Any]:
    """Return an object of JSON with fields of these kinds.

    Raises
    ------
    DataProblem
        Something else.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise DataProblem(f"{what} must be JSON", "other bytes", ASK) from None
    return require(found, kinds, what)


def require(found: Any, kinds: Kinds, what: str) -> dict[str, Any]:
    """Return what came, if it is an object with fields of these kinds.

    Examples
    --------
    >>> require({"number": 1}, {"number": int}, "a report")
    {'number': 1}

    Raises
    ------
    DataProblem
        It is not.
    """
    if not isinstance(found, dict):
        raise DataProblem(f"{what} must be an object", type(found).__name__, ASK)
    for name, kind in kinds.items():
        value = found.get(name)
        if not isinstance(value, kind) or (isinstance(value, float) and not math.isfinite(value)):
            raise DataProblem(f"{what} must tell its {name}", repr(value)[:80], ASK)
    return found


def arrays_of(content: bytes) -> dict[str, NDArray[np.float64]]:
    """Return the arrays of a model: flat doubles, unpacked, each as long as it says.

    Raises
    ------
    DataProblem
        Something else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            entries = file.infolist()
            packed = any(one.compress_type != zipfile.ZIP_STORED for one in entries)
            if packed or len(entries) > MOST_ARRAYS:
                raise ValueError(f"{len(entries)} entries, or packed ones")  # noqa: TRY301 - as all below
            return {one.filename.removesuffix(".npy"): _array(file.read(one)) for one in entries}
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataProblem("a model must be an npz file of doubles", f"{error}"[:120], ASK) from None


def _array(raw: bytes) -> NDArray[np.float64]:
    held = io.BytesIO(raw)
    if npy.read_magic(held) != (1, 0):
        raise ValueError("an array of another version")
    shape, _, kind = npy.read_array_header_1_0(held)
    values = raw[held.tell() :]
    if kind != np.dtype("<f8") or len(shape) != 1 or 8 * shape[0] != len(values):
        raise ValueError(f"an array of {kind} of shape {shape} in {len(values)} bytes")
    return np.frombuffer(values, dtype="<f8").astype(np.float64)


def parted(content: bytes) -> list[bytes]:
    """Return messages, each after its length.

    Raises
    ------
    DataProblem
        The last one is torn.
    """
    found: list[bytes] = []
    at = 0
    while at < len(content):
        if at + 4 > len(content):
            raise DataProblem("an outbox must hold whole messages", "a torn length", "ask again")
        (size,) = struct.unpack_from("<I", content, at)
        if at + 4 + size > len(content):
            raise DataProblem("an outbox must hold whole messages", "a torn message", "ask again")
        found.append(content[at + 4 : at + 4 + size])
        at += 4 + size
    return found
