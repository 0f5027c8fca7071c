"""Where a training stands, on disk: tensors as safetensors, all else as JSON; whole or not at all.

``checkpoint.json`` names the file of tensors and holds its SHA-256. The tensors are written first and under a
name of their own, so that a kill at any instant leaves the older pair or the newer one.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from consilium.domain import ArtefactRefused, OutputProblem
from consilium.domain.files import sweep_unfinished, whole_file

FORMAT = 1
STATE = "checkpoint.json"
ANEW = "delete that folder to begin anew"


class Checkpoint:
    """The newest whole state of one training.

    Parameters
    ----------
    folder
        Its own; it is made.
    identity
        What is trained, on what: a state of another identity is refused.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str]) -> None:
        self.folder = folder
        self.identity = dict(identity)
        self.saves = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others out of the folder.

        Raises
        ------
        OutputProblem
            Another process trains there, or the folder cannot be made.
        """
        with _told_full(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputProblem(
                    "a training must be alone with its checkpoint",
                    f"another process in {self.folder}",
                    "wait for it, or end it",
                ) from None
            yield
        finally:
            os.close(lock)

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write a state and forget the one before.

        Raises
        ------
        OutputProblem
            The disk is full or cannot be written; the state before is kept.
        """
        name = f"{self.saves + 1:06d}.safetensors"
        data = save_tensors({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
        body = {
            "format": FORMAT,
            "identity": self.identity,
            "saves": self.saves + 1,
            "tensors": name,
            "sha256": sha256(data).hexdigest(),
            "state": state,
        }
        with _told_full(self.folder):
            with whole_file(self.folder / name) as out:
                out.write(data)
            with whole_file(self.folder / STATE) as out:
                out.write(json.dumps(body, indent=1, allow_nan=False).encode())
            self.saves += 1
            for old in self.folder.glob("*.safetensors"):
                if old.name != name:
                    old.unlink()
            sweep_unfinished(self.folder)

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return tensors and state, or None where nothing was saved yet.

        Raises
        ------
        ArtefactRefused
            Damaged, or the state of another training.
        """
        path = self.folder / STATE
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            found = dict(body["identity"]) if body["format"] == FORMAT else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            raise ArtefactRefused(f"{path} must be a checkpoint", text, ANEW) from None
        if found is None:
            raise ArtefactRefused(f"{path} must have format {FORMAT}", repr(body["format"]), ANEW)
        self._require_same(found)
        try:
            data = (self.folder / str(body["tensors"])).read_bytes()
            if sha256(data).hexdigest() != body["sha256"]:
                raise ArtefactRefused(f"{self.folder / body['tensors']} must be whole", "other bytes", ANEW)
            self.saves = int(body["saves"])
            return load_tensors(data), dict(body["state"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            raise ArtefactRefused(f"{path} must name its tensors", text, ANEW) from None

    def _require_same(self, found: Mapping[str, str]) -> None:
        for key in (*self.identity, *(key for key in found if key not in self.identity)):
            stored, wanted = found.get(key, "nothing"), self.identity.get(key, "nothing")
            if stored != wanted:
                raise ArtefactRefused(
                    f"{self.folder} must hold a training with {key} {_short(wanted, stored)}",
                    _short(stored, wanted),
                    f"{ANEW}, or train as before",
                )


def _short(text: str, other: str, most: int = 60) -> str:
    """Cut a long text to the part in which it differs from another."""
    if len(text) <= most:
        return text
    same = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), 0)
    start = max(0, min(same - most // 3, len(text) - most))
    return ("..." if start else "") + text[start : start + most] + ("..." if start + most < len(text) else "")


@contextmanager
def _told_full(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputProblem(
            "a checkpoint needs a writable folder with room in it",
            f"{folder} ({error.strerror or error})",
            "free space and train again, it goes on from the last whole checkpoint",
        ) from None
