"""What a backtest was asked to do; hashed and registered before any test row is read."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from inspect import Parameter, signature
from typing import Any, Self

from consilium.app.bootstrap import require_members
from consilium.app.observe import Observed, observe
from consilium.app.settings import Settings
from consilium.council.policy import policy_for
from consilium.domain import InvalidValue, Policy, UnknownName, UsageError, canonical_model, lookup, names_in
from consilium.domain.time import length_ns
from consilium.ensemble import DEFAULT_TRUST, PRESETS, RULES, TRUST, make_trust
from consilium.market.features import FEATURE_SETS, feature_names
from consilium.models import BASELINES, DEFAULT_POOL, FORECASTERS

FILLS = ("candles", "book")

SMALL_FEATURES = {"small": "core14", "full": "candle62"}
"""Feature set of each preset of `download-data`: 500 bars are too few for the long windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRequest:
    """Everything that decides the result of a backtest, but the data.

    Parameters
    ----------
    books
        Files and folders of recorded books; empty for none.
    bar
        Length of the bars that are built from recorded trades, such as 1s; empty where the data are candles.
    fills
        How orders are filled: from candles, or by walking recorded books.
    models
        Members of the pool, canonical names.
    features
        Name of the feature set; empty means candle62 where the data are long enough, else core14.
    limits
        Whether the risk limits are in force.
    """

    data: str = "sample"
    books: tuple[str, ...] = ()
    bar: str = ""
    fills: str = "candles"
    symbols: tuple[str, ...] | None = None
    models: tuple[str, ...] = DEFAULT_POOL
    baselines: tuple[str, ...] = tuple(BASELINES)
    rule: str = "smart_vote"
    trust: str = DEFAULT_TRUST
    gates: str = "edge"
    features: str = ""
    horizon: int = 1
    limits: bool = True
    repair: bool = False
    settings: Settings

    @classmethod
    def checked(
        cls,
        *,
        settings: Settings,
        models: Iterable[str] | None = None,
        features: str | None = None,
        preset: str | None = None,
        rule: str | None = None,
        trust: str | None = None,
        gates: str | None = None,
        horizon: int | None = None,
        **rest: Any,
    ) -> Self:
        """Fill what is not given from the settings and refuse unknown names before any work is done.

        The settings of the request then hold what was chosen, so that equal requests have equal hashes.

        Raises
        ------
        UnknownName
            A model, rule, trust policy, option of it, gate preset, feature set or preset that is not there.
        UsageError
            A horizon below 1, a bar that is no length of time, an option of the trust policy outside its
            bound, or a setting for a model that is not among those chosen.
        """
        ensemble = settings.ensemble
        rule = _known("rule", rule or ensemble.rule, names_in(RULES, "consilium.rules"))
        trust = _known("trust policy", trust or ensemble.trust, names_in(TRUST, "consilium.trust"))
        gates = _known("gate preset", gates or ensemble.gates, names_in(PRESETS, "consilium.gates"))
        agreed = ensemble.model_copy(update={"rule": rule, "trust": trust, "gates": gates})
        chosen = cls(
            models=_checked_models(models),
            features=_checked_features(features, preset)
            or _checked_features(settings.training.features, None),
            rule=rule,
            trust=trust,
            gates=gates,
            horizon=settings.training.horizon if horizon is None else horizon,
            settings=settings.model_copy(update={"ensemble": agreed}),
            **rest,
        )
        _check_trust_options(trust, chosen.models, ensemble.trust_options)
        require_members(settings, chosen.models)
        if chosen.horizon < 1:
            raise UsageError("horizon must be >= 1 bar", chosen.horizon, "use 1")
        if chosen.bar:
            length_ns(chosen.bar)
        _known("way to fill", chosen.fills, FILLS)
        if chosen.fills == "book" and not chosen.books:
            raise UsageError("--fills book needs recorded books", "none", "add --books PATH")
        return chosen

    @property
    def policy(self) -> Policy:
        """The limits of the capital profile in which the paper account starts."""
        return policy_for(self.settings.paper.profile)

    def observed(self) -> Observed:
        """Read the candles, or build them from trades; raises as `observe`."""
        return observe(
            self.data,
            self.symbols,
            repair=self.repair,
            seed=self.settings.training.seed,
            books=self.books,
            bar=self.bar,
        )

    def config(self, **facts: Any) -> dict[str, Any]:
        """Return the registration as plain JSON: the request, and what is known before the test."""
        plain = asdict(self)
        plain["settings"] = self.settings.model_dump(
            mode="json", exclude={"data_dir": True, "training": {"jobs"}}
        )
        return plain | facts


def _known(kind: str, name: str, known: Iterable[str]) -> str:
    names = tuple(known)
    if name not in names:
        raise UnknownName(kind, name, names)
    return name


def _check_trust_options(trust: str, models: Iterable[str], options: Mapping[str, float]) -> None:
    made = signature(lookup("trust policy", trust, TRUST, "consilium.trust"))
    own = {name for name, of in made.parameters.items() if of.kind is Parameter.KEYWORD_ONLY}
    known = own - {"prior", "capacity"}  # the service's to give
    for name in options:
        if not known:
            raise UsageError(f"{trust} takes no options", f"'{name}'", "remove ensemble.trust_options")
        _known("trust option", name, known)
    try:
        make_trust(trust, models, **options)
    except InvalidValue as error:
        raise UsageError(error.bound, error.value, error.cure) from None
    except TypeError as error:
        raise UsageError(f"ensemble.trust_options must fit {trust}", error, "correct them") from None


def _checked_models(models: Iterable[str] | None) -> tuple[str, ...]:
    known = names_in(FORECASTERS, "consilium.models")
    if models is None:
        return DEFAULT_POOL
    chosen = tuple(_known("model", canonical_model(name), known) for name in models)
    for name in chosen:
        if chosen.count(name) > 1:
            raise UsageError("each model may stand once", f"'{name}' twice", "remove one of its names")
    return chosen


def _checked_features(features: str | None, preset: str | None) -> str:
    if preset is not None:
        _known("preset", preset, SMALL_FEATURES)
        features = features or SMALL_FEATURES[preset]
    if not features:
        return ""
    if features not in FEATURE_SETS:
        feature_names(features)
    return features
