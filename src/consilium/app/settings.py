"""Settings: defaults, then ``consilium.toml``, then ``CONSILIUM_*``, then the command line.

A nested setting is written with two underscores in the environment: ``CONSILIUM_COSTS__TAKER_FEE=0.0004``.
"""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from consilium.app.council_settings import Council
from consilium.domain import UnknownName, UsageError
from consilium.training.teaching import AUTO

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Number = Annotated[
    float, Field(allow_inf_nan=False), AfterValidator(lambda x: int(x) if x.is_integer() else x)
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Costs(_Section):
    """What a trade costs; fractions of its value. See docs/trading.md."""

    maker_fee: float = Field(default=0.001, ge=-0.01, le=0.1, allow_inf_nan=False)
    taker_fee: Fraction = 0.001
    half_spread: Fraction = 0.0001
    impact_coefficient: NotNegative = 1.0
    participation: Fraction = 0.01


class Book(_Section):
    """How orders meet recorded books, where ``--fills book`` asks for it. See docs/trading.md.

    Parameters
    ----------
    latency_ms
        From a decision to the exchange.
    queue
        Share of a level's recorded size that stands before a new resting order: 1 the back, 0 the front.
    max_age_ms
        A book older than this fills nothing.
    trigger
        What sets off a stop: a trade, or the best price of the book.
    entry
        Positions are opened at market, or at a limit at the best price of our side.
    patience_ms
        How long an entry waits at its limit.
    shorts
        Whether DOWN opens a short position in a perpetual.
    notional
        Value of a position in quote units; None sizes by risk.
    min_notional
        Smallest order value in quote units.
    tick_size, lot_size
        Steps of price and size, 0 for none; None takes those of what was recorded up to
        the first close that counts.
    leverage, maintenance
        Of perpetuals: value over initial margin, and the maintenance margin rate.
    """

    latency_ms: NotNegative = 50.0
    queue: Fraction = 1.0
    max_age_ms: Positive = 1_000.0
    trigger: Literal["trade", "book"] = "trade"
    entry: Literal["market", "limit"] = "market"
    patience_ms: Positive = 2_000.0
    shorts: bool = False
    notional: Positive | None = None
    min_notional: NotNegative = 0.0
    tick_size: NotNegative | None = None
    lot_size: NotNegative | None = None
    leverage: float = Field(default=10.0, ge=1.0, le=125.0, allow_inf_nan=False)
    maintenance: float = Field(default=0.004, ge=0.0, lt=1.0, allow_inf_nan=False)


class Ensemble(_Section):
    """How the models reach consensus. See docs/ensemble.md.

    Parameters
    ----------
    trust_options
        Settings of the trust policy by name, such as ``alpha`` of fixed_share.
    per_regime
        Whether trust is kept for each regime of volatility too.
    meta
        Whether p_direction and meta_confidence are learned from outcomes.
    conformal
        Share of outcomes that the sets of the conformal gate may miss; None for no such gate.
    """

    rule: str = "smart_vote"
    trust: str = "fixed_share"
    trust_options: dict[str, Number] = Field(default_factory=dict)
    per_regime: bool = False
    meta: bool = True
    conformal: float | None = Field(default=None, gt=0.0, lt=1.0)
    gates: str = "edge"
    allocations: dict[str, NotNegative] = Field(default_factory=dict)
    min_confidence: dict[str, Fraction] = Field(default_factory=dict)


class Training(_Section):
    """How the models are trained and tested; without features the history decides. See docs/training.md.

    Parameters
    ----------
    label
        ``candle``: the return of the next ``horizon`` bars. ``book10``, ``book30``, ``book50``: where the mid
        goes over so many snapshots of the book.
    epochs
        Most epochs of a network; None for what each sets itself.
    tune
        Trials of a search for the parameters of each model; 0 for none.
    stride
        Learn from every so many-th bar of each symbol.
    parameters
        By model, parameters of its constructor: ``{"nhits": {"learning_rate": 1e-4}}``.
    """

    features: str = ""
    label: Literal["candle", "book10", "book30", "book50"] = "candle"
    horizon: int = Field(default=1, ge=1, le=10_000)
    folds: int = Field(default=5, ge=1, le=100)
    first_fraction: float = Field(default=0.4, gt=0.0, lt=1.0)
    seed: int = Field(default=7, ge=0)
    jobs: int = Field(default=1, ge=1, le=256)
    tune: int = Field(default=0, ge=0, le=10_000)
    epochs: int | None = Field(default=None, ge=1, le=100_000)
    stride: int = Field(default=1, ge=1, le=100_000)
    device: str = AUTO
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    recompute: bool = False
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Serving(_Section):
    """How stored models serve: workers, and the age in days from which one is refused (0: never).

    See docs/serving.md.
    """

    max_age_days: NotNegative = 30.0
    workers: int = Field(default=2, ge=1, le=64)


class Paper(_Section):
    """The paper account, and which capital profile of the council it starts in."""

    equity: Positive = 10_000.0
    profile: Literal["MICRO", "LOW", "NORMAL", "AGGRESSIVE"] = "NORMAL"
    unit_notional: Positive = 1_000.0


class Engine(_Section):
    """How the living ensemble works. See docs/ensemble.md.

    Parameters
    ----------
    symbol
        Of signals that name none; empty for the first symbol that is traded.
    horizon_s
        Of signals that name none, in seconds.
    period_s
        From one cycle to the next.
    freshness_s
        A signal older than this is stale.
    """

    symbol: str = ""
    horizon_s: Positive = 3_600.0
    period_s: Positive = 10.0
    freshness_s: Positive = 60.0


class Live(_Section):
    """What the service follows. See docs/service.md.

    Parameters
    ----------
    feed
        Where candles come from: empty for none, ``replay:PATH``, ``simulate:...`` as in ``--data``, or
        ``exchange:VENUE`` through ccxt.
    symbols
        Which of them; all of a replay or simulation if empty.
    bar
        Length of a candle, as in ``--bar``.
    speed
        Of a replay: bars of each symbol a second; 0 for as fast as it can.
    foresight
        Whether a model is asked about a close although it learned from what came after: for demonstrations
        only, what it says there is no evidence.
    """

    feed: str = ""
    symbols: tuple[str, ...] = ()
    bar: str = "1h"
    speed: NotNegative = 1.0
    foresight: bool = False


class Api(_Section):
    """Bounds of the API, by key. See docs/service.md.

    Parameters
    ----------
    writes_per_minute, reads_per_minute
        Requests of one key; 0 for no limit.
    body_bytes
        Largest body.
    network_body_bytes
        Largest body of /api/network: a masked vector, or a first model.
    stream_clients
        Most clients that may follow the events at once.
    stream_seconds
        After which time a stream ends, and its client comes again with a key that is still good.
    tls_certificate, tls_key
        PEM files; both or neither.
    tls_ca
        PEM file of authorities that our own commands trust when they ask a service; else the system's.
    """

    writes_per_minute: int = Field(default=60, ge=0)
    reads_per_minute: int = Field(default=6_000, ge=0)
    body_bytes: int = Field(default=262_144, ge=1_024, le=67_108_864)
    network_body_bytes: int = Field(default=134_217_728, ge=65_536, le=1_073_741_824)
    stream_clients: int = Field(default=256, ge=1, le=10_000)
    stream_seconds: Positive = 3_600.0
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None


class Log(_Section):
    """What is said of a running service, and where. See docs/operations.md.

    Parameters
    ----------
    format
        A JSON object a line, or lines for people; auto is the latter on a terminal.
    file
        Instead of standard error; opened again after it was moved away.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    file: Path | None = None


class Settings(BaseSettings):
    """All settings of a run.

    Parameters
    ----------
    database_url
        Of the journal: ``sqlite:///PATH`` or ``postgresql://...``; ``journal.sqlite`` in the data directory
        if not given.
    redis_url
        Of the transport and the ``quantum:*`` keys; none of both leaves this process if not given.
    api_key
        Admin key; one is generated if not given.
    """

    model_config = SettingsConfigDict(
        env_prefix="CONSILIUM_", env_nested_delimiter="__", extra="ignore", toml_file="consilium.toml"
    )

    data_dir: Path = Path("runs")
    database_url: str = Field(default="", repr=False)
    redis_url: str = Field(default="", repr=False)
    api_key: SecretStr | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8001, ge=0, le=65_535)
    engine: Engine = Engine()
    live: Live = Live()
    api: Api = Api()
    log: Log = Log()
    costs: Costs = Costs()
    book: Book = Book()
    ensemble: Ensemble = Ensemble()
    training: Training = Training()
    serving: Serving = Serving()
    paper: Paper = Paper()
    council: Council = Council()

    @property
    def journal_url(self) -> str:
        """Where the journal is: as set, or an SQLite file in the data folder."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'journal.sqlite').absolute()}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the file after the environment, so that the environment prevails."""
        return init_settings, env_settings, _KnownKeysToml(settings_cls)


class _KnownKeysToml(TomlConfigSettingsSource):
    """The TOML file, in which an unknown key at the top is a mistake (in the environment it is not ours)."""

    def __call__(self) -> dict[str, object]:
        values: dict[str, object] = super().__call__()
        for name in values:
            _require_known(name, f"'{name}' in consilium.toml")
        return values


def _require_known(name: str, told: str) -> None:
    """Refuse a name at the top that is no setting and no section."""
    if name not in Settings.model_fields:
        error = UnknownName("setting", name, Settings.model_fields)
        raise UsageError(error.bound, told, error.cure)


def _require_known_environment() -> None:
    """Refuse a nested variable of no section; one without two underscores may be another's."""
    prefix = str(Settings.model_config["env_prefix"])
    for name in sorted(os.environ):
        section, nested, _ = name.upper().removeprefix(prefix).partition("__")
        if name.upper().startswith(prefix) and nested:
            _require_known(section.lower(), name)


def load_settings(**given: Any) -> Settings:
    """Read the settings of this process.

    Parameters
    ----------
    given
        Settings of the command line, which prevail; a section as a mapping of those that were given.

    Raises
    ------
    UsageError
        A setting is unknown or outside its bound; all faults are named in one line, an unknown one with the
        nearest that is known.
    """
    _require_known_environment()
    try:
        return Settings(**given)
    except ValidationError as error:
        faults = "; ".join(fault_told(fault) for fault in error.errors())
        raise UsageError("settings must be valid", faults, "correct consilium.toml or CONSILIUM_*") from None
    except ValueError as error:
        raise UsageError("consilium.toml must be valid TOML", error, "correct the file") from None


def fault_told(fault: Any) -> str:
    """Tell one fault of a setting; an unknown key names the nearest known one.

    Examples
    --------
    >>> fault_told({"type": "extra_forbidden", "loc": ("training", "fold"), "msg": "", "input": 2})
    "training.fold: no such setting, did you mean 'training.folds'?"
    """
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] != "extra_forbidden":
        return f"{where}: {fault['msg']} (got {fault['input']!r})"
    *above, name = (str(part) for part in fault["loc"])
    known = _fields_of(above)
    close = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    if close:
        return f"{where}: no such setting, did you mean '{'.'.join([*above, *close])}'?"
    return f"{where}: no such setting, {'.'.join(above)} has {', '.join(known)}"


def _fields_of(path: list[str]) -> list[str]:
    found: Any = Settings
    for name in path:
        found = found.model_fields[name].annotation
    return list(found.model_fields)
