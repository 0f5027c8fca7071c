"""Bodies of /api/network: learning together, in rounds."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from consilium.app.api.schemas import LARGEST_INTEGER, REASON, SOURCE, STRICT, WHOLE

MOST_VALUES = 8_000_000
"""Numbers of a model that is shared over the API."""
HEX_KEY = r"^[0-9a-f]{64}$"

Name = Annotated[str, Field(pattern=SOURCE, description="Of the session.", examples=["s-1"])]
Key = Annotated[str, Field(pattern=HEX_KEY, description="A public key, as hex digits.")]
Whole = Annotated[int, Field(ge=1, le=1_000_000), WHOLE]


class LocalSpec(BaseModel):
    """How participants train."""

    model_config = STRICT

    epochs: Whole = 5
    batch_size: Whole = 32
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.001


class BufferSpec(BaseModel):
    """Rounds that wait for nobody: a round is over as soon as so many updates are there."""

    model_config = STRICT

    size: Annotated[int, Field(ge=1, le=100_000), WHOLE]
    exponent: Annotated[float, Field(ge=0.0, le=10.0)] = 0.5
    most_stale: Annotated[int, Field(ge=0, le=1_000_000), WHOLE] = 10


class NewSession(BaseModel):
    """What all agree to, who is admitted, and the first model."""

    model_config = STRICT | ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "session": "s-1",
                    "task": "digits",
                    "owners": '{"format": "consilium owners", "...": "as it was signed"}',
                    "admission_key": "ab" * 32,
                    "parameters": "AAAAAAAAAAA=",
                }
            ]
        }
    )

    session: Name
    task: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$", examples=["digits"])]
    model_type: Literal["trading-strategy", "risk-model", "sentiment-analysis"] = "trading-strategy"
    mode: Literal["sum", "visible"] = "sum"
    rounds: Whole = 10
    optimizer: Literal["fedavg", "fedprox", "fedadam", "scaffold"] = "fedavg"
    optimizer_options: Annotated[dict[str, float], Field(max_length=16)] = {}
    local: LocalSpec = LocalSpec()
    sample_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    least_participants: Annotated[int, Field(ge=1, le=100_000), WHOLE] = 3
    cut_off_seconds: Annotated[int, Field(ge=1, le=86_400), WHOLE] = 600
    attempts: Annotated[int, Field(ge=1, le=10), WHOLE] = 3
    failed_rounds: Annotated[int, Field(ge=1, le=100), WHOLE] = 3
    clip: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    adapt_clip: bool = False
    clip_int: Annotated[int, Field(ge=1, le=1 << 24), WHOLE] = 65_536
    gamma: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.1
    delta: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    owner_cap: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    buffering: BufferSpec | None = None
    seed: Annotated[int, Field(ge=0, le=LARGEST_INTEGER), WHOLE] = 0
    options: Annotated[dict[str, Any], Field(max_length=32, description="Of the task.")] = {}
    judge_data: Annotated[
        str | None,
        Field(
            max_length=4096,
            description="Candles on the coordinator's machine that models of the task candles are judged on.",
        ),
    ] = None
    owners: Annotated[
        str, Field(max_length=16_777_216, description="The signed owner list, as it was issued.")
    ]
    admission_key: Key
    parameters: Annotated[
        str,
        Field(
            max_length=90_000_000,
            description="The first model: little-endian doubles in base64.",
            pattern=r"^[A-Za-z0-9+/]*={0,2}$",
        ),
    ]


class Move(BaseModel):
    """Why a session is started, paused, resumed or cancelled."""

    model_config = STRICT | ConfigDict(json_schema_extra={"examples": [{"reason": "All have joined"}]})

    reason: Annotated[str, Field(pattern=REASON, max_length=500)]


class RoundStands(BaseModel):
    """The round that is on."""

    number: int
    attempt: int
    stage: str
    waits_for: list[str] = Field(description="Owners from whom a message is missing; the first twenty.")
    ts_opened: int
    ts_cut_off: int


class SessionStands(BaseModel):
    """How a session stands."""

    session: str
    state: str = Field(description="proposed, open, running, paused, completed, cancelled or failed.")
    reason: str
    task: str
    mode: str
    rounds: int
    done: int
    joined: int
    admitted: int
    dimension: int
    version: str = Field(description="SHA-256 of the model.")
    ts_changed: int
    round: RoundStands | None


class Sessions(BaseModel):
    """All sessions of this coordinator."""

    sessions: list[SessionStands]
    waiting: dict[str, str] = Field(description="Sessions that cannot go on, and why.")


class CoordinatorKey(BaseModel):
    """Who coordinates, and the key that signs what it says."""

    name: str
    key: str


class SessionAbout(SessionStands):
    """All that a participant must know before it joins."""

    terms: dict[str, Any]
    terms_digest: str
    options: dict[str, Any]
    owners_digest: str
    coordinator: CoordinatorKey
    threats: list[str] = Field(description="What is promised, and what is not.")


class PlannedMember(BaseModel):
    """One who was chosen for a round."""

    participant: str
    owner: str
    weight: int
    base_version: str
    staleness: int
    asked: bool = Field(description="Whether it is in the attempt that is on.")


class RoundPlanned(BaseModel):
    """The round that is on, as each participant checks it."""

    number: int
    attempt: int
    groups: int
    members: list[PlannedMember]
    eligible: list[str] = Field(description="Of whom the members were drawn: all who joined in time.")
    clip: float
    clip_int: int
    with_bit: bool
    dimension: int
    exponent: float
    least: int
    attempts: int
    plan_groups: int
    ts_opened: int
    ts_cut_off: int
    version: str


class Planned(BaseModel):
    """The round that is on; null between rounds."""

    state: str
    done: int
    round: RoundPlanned | None


class RegistrationBody(BaseModel):
    """What a participant says of itself, signed by its owner's key."""

    model_config = STRICT | ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "participant": "desk-1",
                    "owner": "desk-1",
                    "session": "s-1",
                    "key": "ab" * 32,
                    "capabilities": ["digits", "sum"],
                    "signature": "cd" * 64,
                }
            ]
        }
    )

    participant: Annotated[str, Field(min_length=1, max_length=64)]
    owner: Annotated[str, Field(min_length=1, max_length=64)]
    session: Annotated[str, Field(min_length=1, max_length=64)]
    key: Key
    capabilities: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=64)] = []
    examples: Annotated[int, Field(ge=0, le=10**12), WHOLE] = 0
    compute: Literal["low", "medium", "high"] = "medium"
    version: Literal[1] = 1
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class JoinedBody(BaseModel):
    """A registration that was accepted."""

    participant: str
    first_round: int = Field(description="The first round that it may be chosen for.")


class Reports(BaseModel):
    """The reports of all rounds, the oldest first."""

    reports: list[dict[str, Any]]


class Taken(BaseModel):
    """A message that was taken."""

    success: bool
