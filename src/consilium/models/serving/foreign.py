"""Pickles are refused whatever they are called: reading one runs whatever its writer wanted."""

import pickletools

from consilium.domain import ArtefactRefused

_ZIP = b"PK\x03\x04"
_NUMPY_OBJECTS = b"'descr': '|O'"
_PACKED = (b"\x1f\x8b", b"\x78\x9c", b"\x78\x01", b"\x78\xda", b"BZh", b"\xfd7zXZ")
CURE = (
    "a pickle runs code when it is read and is never taken for a model: train the model with consilium train"
)


def refuse_pickle(data: bytes, told: str) -> None:
    r"""Refuse bytes that are a pickle: bare, zipped as by torch, or inside a NumPy file.

    Raises
    ------
    ArtefactRefused
        It is one.

    Examples
    --------
    >>> refuse_pickle(b"\x08\x0a", "graph.onnx")
    >>> refuse_pickle(b"\x80\x04K\x01.", "model.onnx")
    Traceback (most recent call last):
    ...
    consilium.domain.errors.ArtefactRefused: model.onnx must not be a pickle; got a pickle of protocol 4: ...
    """
    found = _kind(data)
    if found is not None:
        raise ArtefactRefused(f"{told} must not be a pickle", found, CURE)


def _kind(data: bytes) -> str | None:
    if data.startswith(_ZIP) and (b".pkl" in data or _NUMPY_OBJECTS in data[:4096]):
        return "an archive with a pickle inside"
    if data.startswith(b"\x93NUMPY") and _NUMPY_OBJECTS in data[:256]:
        return "a NumPy file of objects"
    if data.startswith(_PACKED):
        return "a packed file, as joblib writes pickles"
    if data.startswith(b"\x80") and len(data) > 2 and data[1] <= 5:
        return f"a pickle of protocol {data[1]}"
    return "a pickle without a header" if _reads_as_pickle(data) else None


def _reads_as_pickle(data: bytes) -> bool:
    """Read the instructions of a pickle without obeying one; anything else soon has one that is none."""
    try:
        return any(code.name == "STOP" for code, _, _ in pickletools.genops(data))
    except (ValueError, UnicodeDecodeError, OverflowError):
        return False
