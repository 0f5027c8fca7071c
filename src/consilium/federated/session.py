"""One training from proposal to end: what is agreed beforehand, and which moves are allowed when."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from consilium.domain import InvalidValue, UnknownName, digest
from consilium.domain.checks import require_at_least, require_fraction, require_name, require_positive
from consilium.federated.local import LocalPlan

MODEL_TYPES = ("trading-strategy", "risk-model", "sentiment-analysis")
"""What a session may train, in the words of the wire."""

MOST_NAME = 64
LEAST_SECRET = 3
"""Fewest participants of a secret sum: of two, each knows the other's update from the sum."""


class Mode(StrEnum):
    """What the coordinator sees; see `consilium.federated.threats`."""

    VISIBLE = "visible"
    SUM = "sum"
    GROUPED = "grouped"


class SessionState(StrEnum):
    """Where a session stands."""

    PROPOSED = "proposed"
    OPEN = "open"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


_S = SessionState
MOVES: Mapping[SessionState, tuple[SessionState, ...]] = MappingProxyType(
    {
        _S.PROPOSED: (_S.OPEN, _S.CANCELLED),
        _S.OPEN: (_S.RUNNING, _S.PAUSED, _S.CANCELLED, _S.FAILED),
        _S.RUNNING: (_S.PAUSED, _S.COMPLETED, _S.CANCELLED, _S.FAILED),
        _S.PAUSED: (_S.OPEN, _S.RUNNING, _S.COMPLETED, _S.CANCELLED, _S.FAILED),
        _S.COMPLETED: (),
        _S.CANCELLED: (),
        _S.FAILED: (),
    }
)
"""Which state may follow which; a paused session goes back to where it was."""

ENDED = tuple(state for state, following in MOVES.items() if not following)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffering:
    """Rounds without waiting for all: a round closes over the first so many that are ready.

    Parameters
    ----------
    size
        K, updates of one cohort, >= 1 (3 where the sum is secret).
    exponent
        a of the weight ``(1 + staleness)^-a`` of an update from an older model, >= 0; 0.5.
    most_stale
        Versions that an update may be behind, >= 0; 10.

    References
    ----------
    Nguyen et al. (2022), FedBuff, algorithm 1.
    """

    size: int
    exponent: float = 0.5
    most_stale: int = 10

    def __post_init__(self) -> None:
        require_at_least("size of a buffer", self.size, 1)
        require_at_least("exponent", self.exponent, 0.0)
        require_at_least("most_stale", self.most_stale, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What all agree to before a session opens; its hash is in every report.

    Parameters
    ----------
    session
        Id, 1 to 64 characters.
    task
        What is trained: a name in TASKS.
    model_type
        One of MODEL_TYPES.
    mode
        What the coordinator sees.
    rounds
        >= 1; 10.
    optimizer, options
        Name in OPTIMIZERS, and its settings.
    aggregator
        Name in AGGREGATORS.
    local
        How participants train.
    sample_fraction
        Share of the eligible that is asked in each round, in (0, 1]; 1.
    least_participants
        Fewest of a round, >= 1, >= 3 where the sum is secret; 3.
    cut_off_seconds
        After which a round goes on without stragglers, >= 1; 600.
    attempts
        Most secure sums of a round, each with new keys, >= 1; 3.
    failed_rounds
        Rounds that may fail in a row before the session does, >= 1; 3.
    clip
        L2 norm to which an update is clipped, > 0; 1.
    adapt_clip
        Whether the clip follows the median norm; see `consilium.federated.clipping`.
    clip_int
        Integer to which the clip is scaled, >= 1; 65,536.
    gamma, delta
        Share of colluding owners that is withstood, in [0, .5), 0.1; share of dropouts, in [0, 1), 0.05.
    byzantine
        Share of attackers that a robust rule over groups is to bear, in [0, .5); 0, for none is there yet.
    owner_cap
        Most of all stake that counts for one owner, in (0, 1]; 0.1.
    buffering
        Asynchronous rounds; None for rounds that wait.
    seed
        Of samples and first weights.

    Examples
    --------
    >>> terms = Terms(session="s-1", task="digits", rounds=5)
    >>> terms.local.epochs, terms.local.batch_size, terms.local.learning_rate
    (5, 32, 0.001)
    >>> Terms.from_dict(terms.as_dict()) == terms
    True
    """

    session: str
    task: str
    model_type: str = MODEL_TYPES[0]
    mode: Mode = Mode.SUM
    rounds: int = 10
    optimizer: str = "fedavg"
    options: Mapping[str, float] = field(default_factory=dict)
    aggregator: str = "mean"
    local: LocalPlan = field(default_factory=LocalPlan)
    sample_fraction: float = 1.0
    least_participants: int = 3
    cut_off_seconds: int = 600
    attempts: int = 3
    failed_rounds: int = 3
    clip: float = 1.0
    adapt_clip: bool = False
    clip_int: int = 65_536
    gamma: float = 0.1
    delta: float = 0.05
    byzantine: float = 0.0
    owner_cap: float = 0.1
    buffering: Buffering | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require_name("session", self.session)
        require_name("task", self.task)
        if len(self.session) > MOST_NAME or not self.session.isprintable():
            raise InvalidValue(
                f"session must be <= {MOST_NAME} printable characters", repr(self.session)[:80], "shorten it"
            )
        if self.model_type not in MODEL_TYPES:
            raise UnknownName("model type", self.model_type, MODEL_TYPES)
        if self.mode not in list(Mode):
            raise UnknownName("mode", str(self.mode), [str(mode) for mode in Mode])
        object.__setattr__(self, "mode", Mode(self.mode))
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))
        for name in (
            "rounds",
            "least_participants",
            "cut_off_seconds",
            "attempts",
            "failed_rounds",
            "clip_int",
        ):
            require_at_least(name, getattr(self, name), 1)
        require_positive("clip", self.clip)
        require_at_least("seed", self.seed, 0)
        for name, bound in (("gamma", 0.5), ("byzantine", 0.5), ("delta", 1.0)):
            if not 0.0 <= getattr(self, name) < bound:
                raise InvalidValue(
                    f"{name} must lie in [0, {bound:g})", getattr(self, name), "give a fraction"
                )
        for name in ("sample_fraction", "owner_cap"):
            require_fraction(name, getattr(self, name))
            require_positive(name, getattr(self, name))
        if self.buffering is not None and self.buffering.size < self.least_participants:
            raise InvalidValue(
                f"size of a buffer must be >= {self.least_participants}, the fewest of a round",
                self.buffering.size,
                "raise it, or lower least_participants",
            )
        self._require_secret()

    def _require_secret(self) -> None:
        if self.mode is not Mode.VISIBLE and self.least_participants < LEAST_SECRET:
            raise InvalidValue(
                f"least_participants must be >= {LEAST_SECRET} in mode {self.mode}",
                self.least_participants,
                "ask for more: of two, each reads the other's update from the sum",
            )

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        plain = {part.name: getattr(self, part.name) for part in fields(self)}
        plain |= {"mode": str(self.mode), "options": dict(self.options), "local": asdict(self.local)}
        plain["buffering"] = None if self.buffering is None else asdict(self.buffering)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote.

        Raises
        ------
        InvalidValue
            Fields that are missing, too many, or outside their bounds.
        """
        try:
            buffering = plain.get("buffering")
            nested = {
                "local": LocalPlan(**plain.get("local", {})),
                "buffering": None if buffering is None else Buffering(**buffering),
            }
            return cls(**{**plain, **nested})
        except TypeError as error:
            raise InvalidValue(
                "terms must have the fields of a session", f"{error}", "correct them"
            ) from None

    def digest(self) -> str:
        """Return the hash that reports carry, 64 hex digits."""
        return digest(self.as_dict())


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Terms, and where their training stands.

    Parameters
    ----------
    terms
        What was agreed.
    state
        Where it stands.
    done
        Rounds that are over.
    reason
        Why it is paused, cancelled or failed.
    ts_changed
        When it came to this state, UTC nanoseconds.

    Examples
    --------
    >>> session = Session(terms=Terms(session="s-1", task="digits"))
    >>> session.moved("open", ts=1).state
    <SessionState.OPEN: 'open'>
    """

    terms: Terms
    state: SessionState = SessionState.PROPOSED
    done: int = 0
    reason: str = ""
    ts_changed: int = 0

    def moved(self, to: str, *, ts: int, reason: str = "") -> Self:
        """Return the session in another state.

        Raises
        ------
        InvalidValue
            A move that is not in MOVES, or a time before the last one.
        """
        if to not in list(SessionState):
            raise UnknownName("state of a session", str(to), [str(state) for state in SessionState])
        following = MOVES[self.state]
        if to not in following:
            allowed = ", ".join(following) or "nothing: it has ended"
            raise InvalidValue(
                f"a session that is {self.state} may become {allowed}", f"'{to}'", "look at its state first"
            )
        if ts < self.ts_changed:
            raise InvalidValue(f"ts must be >= {self.ts_changed}, the last change", ts, "correct the clock")
        return replace(self, state=SessionState(to), reason=reason, ts_changed=ts)

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return self.state in ENDED
