"""The models that serve: loaded from the registry, watched for promotions, kept when a file goes bad."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from consilium.domain import DAY_NS, ArtefactRefused, ConsiliumError, PoolChanged, to_iso
from consilium.domain.time import length_text
from consilium.market.book.rows import levels_in
from consilium.market.features import of_books
from consilium.models.served import ServedModel
from consilium.training.definitions import spec_from_dict
from consilium.training.labels import LabelSpec
from consilium.training.manifest import LEARNED_UNTIL, read_manifest
from consilium.training.registry import ModelRegistry
from consilium.training.serving import CLIMATOLOGY, load_served

STATE = "registry.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A loaded model and what its manifest says for service."""

    served: ServedModel
    spec: LabelSpec
    figures: Mapping[str, float]
    learned_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The models of the pool.

    Parameters
    ----------
    models
        Those that could be loaded, by name; all of one label and of the feed's bars.
    missing
        By name, why another one of the registry is not among them.
    """

    models: Mapping[str, Member] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def spec(self) -> LabelSpec | None:
        """The label that they forecast; None without models."""
        return next((member.spec for member in self.models.values()), None)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """All features that they read, each once."""
        read = (name for member in self.models.values() for name in member.served.feature_names)
        return tuple(dict.fromkeys(read))

    @property
    def window(self) -> int:
        """Bars of the longest window."""
        return max((member.served.window for member in self.models.values()), default=1)

    def ahead_of(self, ts: int) -> tuple[str, ...]:
        """Return the models that learned from what came after an instant: they know what they forecast."""
        return foreseeing(((name, member.learned_until) for name, member in self.models.items()), ts)

    def at(self, ts: int) -> Self:
        """Return those that may speak of a close; one that learned from what came after it is missing."""
        ahead = self.ahead_of(ts)
        if not ahead:
            return self
        refused = {name: _too_early(self.models[name].learned_until) for name in ahead}
        kept = {name: member for name, member in self.models.items() if name not in refused}
        return replace(self, models=kept, missing={**self.missing, **refused})

    def told(self, ts_event: int) -> PoolChanged:
        """Return the message that says which models speak from now on."""
        served = {name: member.served for name, member in self.models.items()}
        return PoolChanged(
            models={name: model.version for name, model in served.items()},
            missing=dict(self.missing),
            unskilled=tuple(name for name, model in served.items() if model.kind == CLIMATOLOGY),
            label={} if self.spec is None else self.spec.as_dict(),
            means=self._means(),
            learned_until={name: m.learned_until for name, m in self.models.items() if m.learned_until > 0},
            ts_event=ts_event,
        )

    def _means(self) -> dict[str, float]:
        found: dict[str, list[float]] = {}
        for member in self.models.values():
            for name, value in member.figures.items():
                found.setdefault(name, []).append(value)
        return {name: float(np.mean(values)) for name, values in found.items()}


class Shelf:
    """Where members come from: a registry of stored models.

    Parameters
    ----------
    folder
        Of the registry; one that is missing holds no models.
    interval_ns
        Length of the feed's bars; 0 for any.
    max_age_days
        A model older than this is not served; 0 for any age.
    """

    def __init__(self, folder: Path, *, interval_ns: int, max_age_days: float) -> None:
        self._registry = ModelRegistry(folder)
        self._interval_ns = interval_ns
        self._max_age_ns = int(max_age_days * DAY_NS)

    def signature(self) -> tuple[tuple[str, int, int], ...]:
        """Return something that changes when a version is promoted, and costs next to nothing."""
        found = []
        for name in self._registry.models():
            try:
                state = (self._registry.folder / name / STATE).stat()
                found.append((name, state.st_mtime_ns, state.st_size))
            except OSError:
                found.append((name, 0, 0))
        return tuple(found)

    def load(self, now_ns: int, before: Members | None = None) -> Members:
        """Load the served version of each model; one that is served already is not read again.

        A version that cannot be loaded leaves the one that was served in its place, and is told.
        """
        held = before.models if before is not None else {}
        models: dict[str, Member] = {}
        missing: dict[str, str] = {}
        for name in self._registry.models():
            try:
                models[name] = self._member(name, now_ns, held.get(name))
            except (ConsiliumError, OSError, KeyError) as error:
                missing[name] = " ".join(str(error).split())
                if name in held:
                    models[name] = held[name]
        return _of_one_label(models, missing)

    def _member(self, name: str, now_ns: int, held: Member | None) -> Member:
        stored = self._registry.served(name)
        if stored is None:
            raise ArtefactRefused(
                f"a version of {name} must be served", "none", "consilium models promote it"
            )
        folder = stored.folder
        manifest = read_manifest(folder)
        version = _version(folder, manifest)
        if held is not None and held.served.version == version:
            return held
        self._require_fit(name, manifest, now_ns)
        served = load_served(folder, version=version)
        spec = spec_from_dict(manifest["label"])
        if served.name != name or not isinstance(spec, LabelSpec):
            raise ConsiliumError(
                f"the folder {name} must hold {name} with a tercile label",
                f"{served.name}, {spec.kind}",
                "train it again",
            )
        means, metrics = manifest["class_means"], manifest["metrics"]
        figures = {"mean_up": float(means["up"]), "mean_down": float(means["down"])}
        if metrics.get("mean_gain"):
            figures |= {key: float(metrics[key]) for key in ("mean_gain", "mean_loss")}
        return Member(
            served=served,
            spec=spec,
            figures=figures,
            learned_until=int(manifest.get("figures", {}).get(LEARNED_UNTIL, 0)),
        )

    def _require_fit(self, name: str, manifest: Mapping[str, Any], now_ns: int) -> None:
        interval_ns, age_ns = int(manifest["interval_ns"]), now_ns - int(manifest["ts_created"])
        if self._interval_ns and interval_ns != self._interval_ns:
            raise ConsiliumError(
                f"{name} forecasts bars of {length_text(interval_ns)}",
                f"a feed of bars of {length_text(self._interval_ns)}",
                "train it on such bars",
            )
        if 0 < self._max_age_ns < age_ns:
            raise ConsiliumError(
                f"{name} must be at most {self._max_age_ns / DAY_NS:g} days old",
                f"{age_ns / DAY_NS:.1f} days",
                "train it again, or set serving.max_age_days to 0",
            )
        names = tuple(manifest["feature_names"])
        if of_books(names).any() or levels_in(names):
            raise ConsiliumError(
                f"{name} reads order books",
                "a feed of candles",
                "train it with core14 or candle62",
            )


def foreseeing(learned_until: Iterable[tuple[str, int]], ts: int) -> tuple[str, ...]:
    """Return the models that learned from what came after an instant.

    Examples
    --------
    >>> foreseeing([("xgboost", 7), ("lightgbm", 5)], 5)
    ('xgboost',)
    """
    return tuple(name for name, until in learned_until if until > ts)


def _too_early(learned_until: int) -> str:
    """Say why a model may not speak of a close before the last one that it learned from."""
    return (
        f"it learned from bars up to {to_iso(learned_until)}, and may speak of none before: train it on "
        "older bars, or set live.foresight for a demonstration"
    )


def _version(folder: Path, manifest: Mapping[str, Any]) -> str:
    """Name a version by its number and the digest of its files: the number alone may be used again."""
    number = folder.name.lstrip("0") if folder.parent.name == "versions" else "0"
    return f"{number}:{str(manifest['digest'])[:12]}"


def _of_one_label(models: Mapping[str, Member], missing: Mapping[str, str]) -> Members:
    """Keep the models of the label that most of them forecast: others answer another question."""
    if not models:
        return Members(missing=dict(missing))
    labels = Counter(member.served.label_id for member in models.values())
    chosen = labels.most_common(1)[0][0]
    others = {
        name: f"it forecasts label {member.served.label_id}; most others {chosen}: train it for that"
        for name, member in models.items()
        if member.served.label_id != chosen
    }
    kept = {name: member for name, member in models.items() if name not in others}
    return Members(models=kept, missing=dict(missing) | others)
