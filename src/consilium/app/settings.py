"""Settings: defaults, then ``consilium.toml``, then ``CONSILIUM_*``, then the command line.

A nested setting is written with two underscores in the environment: ``CONSILIUM_COSTS__TAKER_FEE=0.0004``.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from consilium.domain import UsageError

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Costs(_Section):
    """What a trade costs; fractions of its value. See docs/trading.md."""

    maker_fee: float = Field(default=0.001, ge=-0.01, le=0.1, allow_inf_nan=False)
    taker_fee: Fraction = 0.001
    half_spread: Fraction = 0.0001
    impact_coefficient: NotNegative = 1.0
    participation: Fraction = 0.01


class Ensemble(_Section):
    """How the models reach consensus. See docs/ensemble.md."""

    rule: str = "smart_vote"
    trust: str = "uniform"
    gates: str = "edge"
    allocations: dict[str, NotNegative] = Field(default_factory=dict)
    min_confidence: dict[str, Fraction] = Field(default_factory=dict)


class Training(_Section):
    """How the models are trained and tested; without features the history decides. See docs/training.md."""

    features: str = ""
    horizon: int = Field(default=1, ge=1, le=10_000)
    folds: int = Field(default=5, ge=1, le=100)
    first_fraction: float = Field(default=0.4, gt=0.0, lt=1.0)
    seed: int = Field(default=7, ge=0)
    jobs: int = Field(default=1, ge=1, le=256)


class Paper(_Section):
    """The paper account, and which capital profile of the council it starts in."""

    equity: Positive = 10_000.0
    profile: Literal["MICRO", "LOW", "NORMAL", "AGGRESSIVE"] = "NORMAL"
    unit_notional: Positive = 1_000.0


class Settings(BaseSettings):
    """All settings of a run."""

    model_config = SettingsConfigDict(
        env_prefix="CONSILIUM_", env_nested_delimiter="__", extra="ignore", toml_file="consilium.toml"
    )

    data_dir: Path = Path("runs")
    costs: Costs = Costs()
    ensemble: Ensemble = Ensemble()
    training: Training = Training()
    paper: Paper = Paper()

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
        unknown = sorted(set(values) - set(self.settings_cls.model_fields))
        if unknown:
            raise UsageError(
                f"consilium.toml knows {', '.join(self.settings_cls.model_fields)}",
                f"'{unknown[0]}'",
                "remove the key or correct its name",
            )
        return values


def load_settings() -> Settings:
    """Read the settings of this process.

    Raises
    ------
    UsageError
        A setting is unknown or outside its bound; all faults are named in one line.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']} (got {fault['input']!r})"
            for fault in error.errors()
        )
        raise UsageError("settings must be valid", faults, "correct consilium.toml or CONSILIUM_*") from None
    except ValueError as error:
        raise UsageError("consilium.toml must be valid TOML", error, "correct the file") from None
