"""Where trained models are handed in and taken out: versions, promotion, and what is too old."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consilium import __version__
from consilium.app.bootstrap import SystemClock
from consilium.app.observe import Observed, observe
from consilium.domain import DAY_NS, ArtefactRefused, ConsiliumError, UnknownName
from consilium.training.artefacts import Artefact, load_artefact
from consilium.training.dataset import Dataset
from consilium.training.promotion import Challenge, challenge, challenge_stored
from consilium.training.reading import Reading
from consilium.training.registry import ModelRegistry
from consilium.training.serving import BEST, ServingFiles, make_serving
from consilium.training.trained import TrainedModel
from consilium.training.trainer import held_out


class Desk:
    """Where trained models are handed in: stored as versions, and promoted where the rule says so."""

    def __init__(self, registry: ModelRegistry, observed: Observed, dataset: Dataset) -> None:
        self._registry = registry
        self._observed = observed
        self._dataset = dataset
        self._clock = SystemClock()

    def store(
        self, name: str, final: TrainedModel, figures: Mapping[str, Any], serving: ServingFiles | None
    ) -> dict[str, Any]:
        """Store a version; return its folder, its number, and whether and why it is served."""
        version = self._registry.add(
            name,
            final,
            ts_created=self._clock.now_ns(),
            code_version=__version__,
            metrics=figures,
            serving=serving,
        )
        found = Challenge(promoted=True, reason="the first version")
        if not version.served:
            found = self._challenge(name, final)
            record = self._registry.promote if found.promoted else self._registry.keep
            record(
                name, version.number, ts=self._clock.now_ns(), reason=found.reason, figures=found.figures()
            )
        return {
            "folder": str(self._registry.folder / name),
            "version": version.number,
            "served": found.promoted,
            "promotion": found.reason,
        }

    def _challenge(self, name: str, final: TrainedModel) -> Challenge:
        served = self._registry.served(name)
        try:
            if served is None:
                return Challenge(promoted=True, reason="no version was served")
            return challenge(self._dataset, final, load_artefact(served.folder, kind=BEST), self._other)
        except ConsiliumError as error:
            return Challenge(promoted=True, reason=f"the served version cannot be compared: {error}")

    def _other(self, names: tuple[str, ...]) -> Dataset:
        return self._observed.dataset(names, self._dataset.spec)


def graphs_of(dataset: Dataset, final: TrainedModel) -> ServingFiles | None:
    """Write the graphs for service, held to the model on rows that it was not fitted on."""
    rows = held_out(dataset, final)
    X, y = Reading.of(dataset, final).inputs(rows), dataset.y[rows]
    try:
        return make_serving(final.forecaster, final.scaler, X, y)
    except ConsiliumError as error:
        # The model is sound without its graph: it serves by its own library and says why.
        return ServingFiles(files={}, state={"problem": str(error)})


def served_folder(registry: ModelRegistry, name: str) -> Path:
    """Return where the served version of a model lies.

    Raises
    ------
    ArtefactRefused
        No such model is stored, or none of its versions is served.
    """
    try:
        served = registry.served(name)
    except UnknownName:
        raise ArtefactRefused(
            f"{registry.folder / name} must hold a trained model", "no folder", "train the model"
        ) from None
    if served is None:
        newest = registry.versions(name)[-1:]
        cure = f"consilium models promote {name} {newest[0].number}" if newest else "train it"
        raise ArtefactRefused(f"a version of {name} must be served", "none that was promoted", cure)
    return served.folder


def require_young(name: str, artefact: Artefact, now_ns: int, max_age_ns: int) -> None:
    """Refuse a model older than an age; 0 is any age.

    Raises
    ------
    ArtefactRefused
        It is too old.
    """
    age = now_ns - artefact.ts_created
    if 0 < max_age_ns < age:
        raise ArtefactRefused(
            f"{name} must be at most {max_age_ns / DAY_NS:g} days old",
            f"{age / DAY_NS:.1f} days",
            "train it again, or serve it nevertheless with --old",
        )


def promote_by_rule(
    registry: ModelRegistry,
    name: str,
    number: int,
    data: str,
    symbols: tuple[str, ...] | None,
    *,
    now_ns: int,
) -> Challenge:
    """Compare a stored version with the served one on the newest slice of data; promote it if not worse.

    Raises
    ------
    ConsiliumError
        No such version, or data on which nothing can be compared.
    """
    challenger = load_artefact(registry.version(name, number).folder, kind=BEST)
    served = registry.served(name)
    if served is None or served.number == number:
        found = Challenge(promoted=True, reason="no other version is served")
    else:
        observed = observe(data, symbols)
        spec = challenger.model.spec

        def dataset_of(names: tuple[str, ...]) -> Dataset:
            return observed.dataset(names, spec)

        mine = dataset_of(challenger.model.feature_names)
        found = challenge_stored(mine, challenger, load_artefact(served.folder, kind=BEST), dataset_of)
    if found.promoted:
        registry.promote(name, number, ts=now_ns, reason=found.reason, figures=found.figures())
    else:
        registry.keep(name, number, ts=now_ns, reason=found.reason, figures=found.figures())
    return found
