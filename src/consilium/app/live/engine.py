"""The ensemble engine of a running service: a cycle every few seconds, and the keys outsiders read."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from consilium.app.bootstrap import require_members, trip_cost
from consilium.app.live.question import OUTSIDE_LABEL, Question
from consilium.app.settings import Settings
from consilium.bus.state_store import Delete, HashSet, Push, Set, StateStore
from consilium.bus.state_store import Write as StoreWrite
from consilium.domain import MODEL_NAMES, SECOND_NS, Clock, Consensus, PoolChanged
from consilium.ensemble import EnsembleService, Gates, ModelSetting
from consilium.ensemble.broker import SIGNAL_PREFIX, SignalBroker, signal_keys
from consilium.ensemble.engine import Cycle, Engine
from consilium.ensemble.publishing import (
    CONSENSUS_KEY,
    METRICS_KEY,
    Write,
    federation_body,
    models_body,
    status_body,
    writes_of,
)
from consilium.ensemble.trust_log import KEPT

_SEARCH_SHARE = 0.02
"""Most of the time that may go into a search for unknown models: a store may hold millions of keys."""

_MOST_STRANGE = 100
"""Most keys of unknown models that are read and counted."""


def make_live_ensemble(
    settings: Settings, loaded: Iterable[str] = (), *, paper: bool = True, capacity: int = 4096
) -> EnsembleService:
    """Make the ensemble of a service: the nine registered kinds and our own models may speak.

    Parameters
    ----------
    loaded
        Our own models that serve; only they are waited for. A model without an allocation in the settings
        has the mean of those given.
    capacity
        Rounds kept until their outcome: symbols times the bars of the horizon, and some more.

    Raises
    ------
    UsageError
        The settings name a model that is not known.

    Examples
    --------
    >>> service = make_live_ensemble(Settings(), ["xgboost"])
    >>> len(service.models), sorted(service.loaded)
    (9, ['xgboost'])
    """
    ours = tuple(loaded)
    members = (*MODEL_NAMES, *(name for name in ours if name not in MODEL_NAMES))
    require_members(settings, members)
    ensemble = settings.ensemble
    given = ensemble.allocations
    share = sum(given.values()) / len(given) if given else 0.0
    return EnsembleService(
        {name: ModelSetting(min_confidence=ensemble.min_confidence.get(name, 0.0)) for name in members},
        rule=ensemble.rule,
        allocations={name: given.get(name, share) for name in members} if given else None,
        trust=ensemble.trust,
        trust_options=ensemble.trust_options,
        per_regime=ensemble.per_regime,
        meta=ensemble.meta,
        conformal=ensemble.conformal,
        round_trip_cost=trip_cost(settings),
        gates=ensemble.gates,
        paper=paper,
        capacity=capacity,
        loaded=ours,
    )


class EnsembleEngine:
    """Runs the ensemble on a store of keys, a clock and whoever keeps the messages.

    All methods may be called from any thread; one call is done after the other.

    Parameters
    ----------
    service
        As of `make_live_ensemble`.
    store
        Where signals are read and all keys written; None for neither.
    settings
        Symbol, horizon and freshness are those of the section ``engine``.
    clock
        Tells the instant of a cycle.
    publish
        Gets all messages of a cycle at once, before any key is written; if it raises, no key is.
    label_id, horizon_ns
        What our own models forecast; signals from outside take them. By default ``outside``, and the horizon
        of the settings.

    Examples
    --------
    >>> from consilium.app.bootstrap import SystemClock
    >>> settings = Settings()
    >>> engine = EnsembleEngine(make_live_ensemble(settings), settings=settings, clock=SystemClock())
    >>> engine.cycle().messages, engine.federation()["status"]
    ((), 'idle')
    """

    def __init__(
        self,
        service: EnsembleService,
        store: StateStore | None = None,
        *,
        settings: Settings,
        clock: Clock,
        publish: Callable[[Sequence[object]], object] | None = None,
        symbol: str = "",
        label_id: str = OUTSIDE_LABEL,
        horizon_ns: int | None = None,
    ) -> None:
        section = settings.engine
        broker = SignalBroker(
            symbol=symbol or section.symbol or next(iter(settings.live.symbols), "BTCUSDT"),
            horizon_ns=horizon_ns or round(section.horizon_s * SECOND_NS),
            label_id=label_id,
            freshness_ns=round(section.freshness_s * SECOND_NS),
        )
        self._engine = Engine(service, broker)
        self.configured: Mapping[str, float] = self._engine.configuration.allocations()
        """Share of each model as the settings give it."""
        self._store = store
        self._clock = clock
        self._publish = publish
        self._lock = threading.RLock()
        self.rejected: Counter[str] = Counter()
        """Signals that were not taken, by reason, each counted once; of this process."""
        self.last_cycle: Cycle | None = None
        self.seconds = 0.0
        """How long the last cycle took."""
        self.store_problem = ""
        """Why the store could not be used in the last cycle; empty if it could, or if there is none."""
        self._pushed: dict[str, int] = {}
        self._shown: set[str] | None = None
        self._written: bytes | None = None
        self._keys = [key for model in service.models for key in signal_keys(model)]
        self._strange: list[str] = []
        self._search_at = 0.0

    @property
    def pure(self) -> Engine:
        """The engine without clock and store."""
        return self._engine

    @property
    def ignored(self) -> Mapping[str, int]:
        """Messages that changed nothing, by reason, such as outcomes that no round waited for."""
        return dict(self._engine.service.ignored)

    def check(self, message: object) -> None:
        """Refuse a message that `handle` would refuse, without changing anything."""
        with self._lock:
            self._engine.check(message)

    def handle(self, message: object) -> tuple[Consensus, ...]:
        """Take a message of the journal; return the consensuses that it completes.

        A replay gives every message here, consensuses included (they tell when a cycle's signals were
        decided), and drops what is returned.
        """
        with self._lock:
            return self._engine.handle(message)

    def pool_changed(self, change: PoolChanged, gates: Gates) -> None:
        """Wait for other models from now on, and hold what our own models say to other gates."""
        with self._lock:
            service = self._engine.service
            service.loaded = frozenset(change.models).intersection(service.models)
            service.gates = gates

    def ask(self, question: Question, service: EnsembleService) -> None:
        """Make another question the main one, and go on with all that was heard and learned.

        Parameters
        ----------
        question
            Signals from outside take it from now on, and the keys show it.
        service
            Of the same models and settings, with room for the question's rounds.
        """
        with self._lock:
            before = self._engine
            broker = SignalBroker(
                symbol=question.symbol,
                horizon_ns=question.horizon_ns,
                label_id=question.label_id,
                freshness_ns=before.broker.freshness_ns,
            )
            service.loaded, service.gates = before.service.loaded, before.service.gates
            self._engine = Engine(service, broker)
            self._engine.restore(before.state())
            self.last_cycle, self._pushed = None, {}

    def flush(self, until: int | None = None) -> tuple[Consensus, ...]:
        """Decide the open rounds with ``ts_event <= until`` (None: all) by who has spoken."""
        with self._lock:
            return self._engine.flush(until)

    def cycle(self) -> Cycle:
        """Do a cycle now: collect, weigh, decide, learn, publish."""
        with self._lock:
            began = time.perf_counter()
            signals = self._collect()
            cycle = self._engine.cycle(self._clock.now_ns(), signals)
            self.rejected.update(cycle.rejected_new)
            if cycle.messages and self._publish is not None:
                self._publish(cycle.messages)
            self.last_cycle = cycle
            self._write(cycle, time.perf_counter() - began)
            self.seconds = time.perf_counter() - began
            return cycle

    def _collect(self) -> dict[str, bytes]:
        """Read every signal; nothing of a store that is lost."""
        if self._store is None:
            return {}
        keys = self._signal_keys(self._store)
        values = self._store.get_many([METRICS_KEY, *keys])
        self.store_problem = self._store.healthy()
        if values[0] is None or values[0] != self._written:
            # Somebody else's, an earlier life's, or a wiped store: lists are written anew.
            self._pushed = {}
        return {key: raw for key, raw in zip(keys, values[1:], strict=True) if raw is not None}

    def _signal_keys(self, store: StateStore) -> list[str]:
        """Return the keys of the models, and whatever else looks like one, searched for now and then."""
        began = time.monotonic()
        if began >= self._search_at:
            found = (key for key in store.scan(SIGNAL_PREFIX) if key.endswith(":signal"))
            self._strange = list(islice((key for key in found if key not in self._keys), _MOST_STRANGE))
            self._search_at = began + (time.monotonic() - began) / _SEARCH_SHARE
        return [*self._keys, *self._strange]

    def _write(self, cycle: Cycle, took_s: float) -> None:
        if self._store is None:
            return
        if self._shown is None:
            self._shown = set(self._store.scan(f"{CONSENSUS_KEY}:"))
        writes = writes_of(self._engine, cycle, took_s=took_s, pushed=self._pushed, shown_before=self._shown)
        done = self._store.write([_for_store(write) for write in writes])
        self.store_problem = self._store.healthy()
        log = self._engine.trust_log
        self._pushed = {model: log.count(model) for model in self._engine.service.models}
        self._shown = {w.key for w in writes if w.kind == "set" and w.key.startswith(CONSENSUS_KEY)}
        self._written = str(writes[-1].value).encode() if done else None

    def status(self) -> dict[str, Any]:
        """Return the status in the fields of seed 004: ``GET /api/ensemble/status``."""
        with self._lock:
            return status_body(self._engine)

    def models(self) -> list[dict[str, Any]]:
        """Return all that is known of each model: ``GET /api/ensemble/models``."""
        with self._lock:
            return models_body(self._engine)

    def federation(self) -> dict[str, Any]:
        """Return ``model_federation`` of the health endpoint."""
        with self._lock:
            if self.last_cycle is not None:
                return federation_body(self._engine, self.last_cycle.main)
            # Before the first cycle, and in a copy that does none.
            return federation_body(self._engine, self._engine.stands(self._clock.now_ns()))

    def state(self) -> dict[str, Any]:
        """Return settings, what was heard and what was learned, as JSON values."""
        with self._lock:
            return self._engine.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned, in an engine of the same models."""
        with self._lock:
            self._engine.restore(state)
            self._pushed, self._written = {}, None

    def state_hash(self) -> str:
        """Return the digest of the state."""
        with self._lock:
            return self._engine.state_hash()


def _for_store(write: Write) -> StoreWrite:
    if isinstance(write.value, Mapping):
        return HashSet(write.key, write.value)
    if write.kind == "push":
        return Push(write.key, write.value, keep=KEPT)
    return Delete(write.key) if write.kind == "delete" else Set(write.key, write.value)
