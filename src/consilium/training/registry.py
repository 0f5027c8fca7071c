"""The registry of trained models: versions, which one is served, and how it came to that.

``<folder>/<model>/versions/000003/`` is an artefact that never changes; ``<folder>/<model>/registry.json``
says which one is served and is replaced by a rename. A folder that holds one artefact directly, as it was
written before there were versions, is read as version 0 and becomes one at the next writing.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consilium.domain import ArtefactRefused, OutputProblem, UnknownName, UsageError, digest, plain
from consilium.domain.files import sweep_unfinished, whole_file
from consilium.training.manifest import MANIFEST, locked, read_manifest, sibling, sync_folder

if TYPE_CHECKING:
    from consilium.training.serving import ServingFiles
    from consilium.training.trained import TrainedModel

STATE = "registry.json"
VERSIONS = "versions"
FORMAT = 1
KEPT_EVENTS = 200
KEPT_VERSIONS = 10
AGAIN = "promote a version that is whole, or train the model again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One stored version of a model.

    Parameters
    ----------
    model, number
        Whose version it is, and which; 0 for one of before there were versions.
    folder
        Where its artefact lies.
    served
        Whether it is the one that forecasts.
    ts_created
        UTC nanoseconds; 0 if it cannot be read.
    metrics
        Figures stored with it.
    problem
        Why its manifest cannot be read; empty if it can.
    """

    model: str
    number: int
    folder: Path
    served: bool
    ts_created: int
    metrics: Mapping[str, Any]
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEvent:
    """What happened to a model: ``added``, ``promoted``, ``kept`` (not promoted), ``rolled back``."""

    kind: str
    version: int
    ts_event: int
    reason: str
    figures: Mapping[str, Any]


class ModelRegistry:
    """All models of one folder.

    Writers of one model are kept apart by a lock; readers see the state before or after a writing, never
    between, whenever it is killed.

    Parameters
    ----------
    folder
        Made with the first version.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> ModelRegistry(Path(mkdtemp())).models()
    ()
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def models(self) -> tuple[str, ...]:
        """Return the names of all models, in the order of the alphabet."""
        if not self.folder.is_dir():
            return ()
        named = {
            path.name for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(".")
        }
        # Between two renames of a writer that was killed only the old version's hidden folder is there.
        hidden = self.folder.glob(".*.old")
        return tuple(sorted(named | {path.name[1:-4] for path in hidden if path.is_dir()}))

    def versions(self, model: str) -> tuple[Version, ...]:
        """Return the versions of a model, oldest first.

        Raises
        ------
        UnknownName
            No such model.
        """
        with self._reading(model) as home:
            served = self._served_number(home)
            return tuple(_version(model, number, place, number == served) for number, place in _places(home))

    def events(self, model: str) -> tuple[RegistryEvent, ...]:
        """Return what happened to a model, oldest first; the last 200."""
        with self._reading(model) as home:
            return tuple(RegistryEvent(**event) for event in _read_state(home)["events"])

    def served(self, model: str) -> Version | None:
        """Return the version that is served, or None if none was ever promoted."""
        with self._reading(model) as home:
            number = self._served_number(home)
            place = dict(_places(home)).get(-1 if number is None else number)
            if number is None:
                return None
            if place is None:
                raise ArtefactRefused(
                    f"the served version {number} of {model} must be there", "a missing folder", AGAIN
                )
            return _version(model, number, place, served=True)

    def version(self, model: str, number: int) -> Version:
        """Return one version.

        Raises
        ------
        UnknownName
            No such model or version.
        """
        versions = self.versions(model)
        for found in versions:
            if found.number == number:
                return found
        raise UnknownName("version", str(number), [str(found.number) for found in versions])

    def add(
        self,
        name: str,
        model: "TrainedModel",
        *,
        ts_created: int,
        code_version: str,
        metrics: Mapping[str, Any] | None = None,
        serving: "ServingFiles | None" = None,
        keep: int = KEPT_VERSIONS,
    ) -> Version:
        """Store a new version; the first one is served at once, a later one when it is promoted.

        Of older versions the newest ``keep`` stay, and the served and the one before it.

        Raises
        ------
        OutputProblem
            The folder cannot be written.
        """
        # Those who only serve must not carry what training needs: it is three times as large.
        from consilium.training.artefacts import save_artefact

        with self._writing(name) as home:
            self._migrate(home)
            numbers = [number for number, _ in _places(home)]
            number = max([*numbers, *(event["version"] for event in _read_state(home)["events"]), 0]) + 1
            place = home / VERSIONS / f"{number:06d}"
            save_artefact(
                place,
                model,
                ts_created=ts_created,
                code_version=code_version,
                metrics=metrics,
                serving=serving,
            )
            # The registry's own lock keeps writers apart, and a version never changes.
            sibling(place, "lock").unlink(missing_ok=True)
            first = _read_state(home)["served"] is None
            self._record(home, "added", number, ts_created, "trained", {}, served=number if first else None)
            self._prune(home, keep)
            return _version(name, number, place, served=first)

    def promote(
        self, model: str, number: int, *, ts: int, reason: str, figures: Mapping[str, Any] | None = None
    ) -> Version:
        """Serve a version from now on.

        Raises
        ------
        UnknownName
            No such model or version.
        ArtefactRefused
            Its manifest cannot be read.
        """
        found = self.version(model, number)
        if found.problem:
            raise ArtefactRefused(f"version {number} of {model} must be whole", found.problem, AGAIN)
        with self._writing(model) as home:
            self._migrate(home)
            if number not in dict(_places(home)):
                raise UnknownName("version", str(number), [str(n) for n, _ in _places(home)])
            self._record(home, "promoted", number, ts, reason, figures or {}, served=number)
        return self.version(model, number)

    def keep(self, model: str, number: int, *, ts: int, reason: str, figures: Mapping[str, Any]) -> None:
        """Write down that a challenger was not promoted."""
        with self._writing(model) as home:
            self._record(home, "kept", number, ts, reason, figures)

    def rollback(self, model: str, *, ts: int, reason: str) -> Version:
        """Serve again what was served before; done twice it goes back twice.

        Raises
        ------
        UsageError
            Nothing was served before that is still there.
        """
        self.versions(model)
        with self._writing(model) as home:
            self._migrate(home)
            state = _read_state(home)
            there = dict(_places(home))
            line = state["line"]
            before = [at for at, number in enumerate(line[:-1]) if number in there]
            if not before:
                raise UsageError(
                    f"a rollback of {model} needs a version that was served before",
                    "none" if not line else f"none but {line[-1]}",
                    "promote a version by its number",
                )
            number = int(line[before[-1]])
            self._record(home, "rolled back", number, ts, reason, {}, line=line[: before[-1] + 1])
        return self.version(model, number)

    @contextmanager
    def _reading(self, model: str) -> Iterator[Path]:
        home = self.folder / model
        with locked(home, exclusive=False):
            place = home if home.exists() else sibling(home, "old")
            if model.startswith(".") or "/" in model or not place.is_dir():
                raise UnknownName("stored model", model, self.models())
            yield place

    @contextmanager
    def _writing(self, model: str) -> Iterator[Path]:
        home = self.folder / model
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(home, exclusive=True):
                yield home
        except OSError as error:
            raise OutputProblem(
                "a registry of models needs a writable folder",
                f"{home} ({error.strerror or error})",
                "choose another folder, or free space",
            ) from None

    def _served_number(self, home: Path) -> int | None:
        served = _read_state(home)["served"]
        return None if served is None else int(served)

    def _migrate(self, home: Path) -> None:
        """Turn an artefact that lies in the folder itself into version 0, and finish what was interrupted."""
        old, new = sibling(home, "old"), sibling(home, "new")
        if old.exists() and not home.exists():
            old.rename(home)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(new, ignore_errors=True)
        if (home / MANIFEST).exists():
            shutil.copytree(home, new / VERSIONS / "000000")
            _write_state(new, _read_state(home))
            for path in sorted(new.rglob("*")):
                sync_folder(path)
            home.rename(old)
            new.rename(home)
            shutil.rmtree(old, ignore_errors=True)
        (home / VERSIONS).mkdir(parents=True, exist_ok=True)
        sweep_unfinished(home)
        for left in (home / VERSIONS).glob(".*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    def _record(
        self,
        home: Path,
        kind: str,
        number: int,
        ts: int,
        reason: str,
        figures: Mapping[str, Any],
        *,
        served: int | None = None,
        line: list[int] | None = None,
    ) -> None:
        state = _read_state(home)
        if served is not None:
            line = [*state["line"], served] if state["line"][-1:] != [served] else state["line"]
        if line is not None:
            state["line"] = line[-KEPT_EVENTS:]
            state["served"] = line[-1]
        event = {"kind": kind, "version": number, "ts_event": ts, "reason": reason, "figures": figures}
        state["events"] = [*state["events"], plain(event)][-KEPT_EVENTS:]
        _write_state(home, state)

    def _prune(self, home: Path, keep: int) -> None:
        state = _read_state(home)
        protected = {state["served"], *state["line"][-2:]}
        for number, place in _places(home)[: -max(1, keep)]:
            if number not in protected:
                # Hidden first: a kill in the middle of deleting must leave no half of a version.
                gone = sibling(place, "gone")
                place.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)


def _places(home: Path) -> list[tuple[int, Path]]:
    """Return the versions that are there, by number."""
    if (home / MANIFEST).exists():
        return [(0, home)]
    found = home / VERSIONS
    named = [path for path in found.iterdir() if path.name.isdecimal()] if found.is_dir() else []
    return sorted((int(path.name), path) for path in named)


def _read_state(home: Path) -> dict[str, Any]:
    path = home / STATE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        flat = [number for number, _ in _places(home) if number == 0]
        return {"served": flat[0] if flat else None, "line": flat, "events": []}
    except (OSError, ValueError) as error:
        raise ArtefactRefused(f"{path} must be readable JSON", type(error).__name__, AGAIN) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ArtefactRefused(f"{path} must have format {FORMAT}", "another", "update consilium")
    stored = content.pop("digest", None)
    if stored != digest(content):
        raise ArtefactRefused(f"{path} must match its digest", "changed content", AGAIN)
    return content


def _write_state(home: Path, state: Mapping[str, Any]) -> None:
    content = {**state, "format": FORMAT}
    content.pop("digest", None)
    with whole_file(home / STATE) as out:
        out.write((json.dumps({**content, "digest": digest(content)}, indent=1) + "\n").encode())


def _version(model: str, number: int, place: Path, served: bool) -> Version:
    ts_created, metrics, problem = 0, {}, ""
    try:
        manifest = read_manifest(place)
        ts_created, metrics = int(manifest["ts_created"]), manifest["metrics"]
    except (ArtefactRefused, KeyError, TypeError, ValueError) as error:
        problem = " ".join(str(error).split())
    return Version(
        model=model,
        number=number,
        folder=place,
        served=served,
        ts_created=ts_created,
        metrics=metrics,
        problem=problem,
    )
