"""The room's service: hears predictions, publishes one consensus for each round, learns from outcomes.

A round is one (symbol, ts_event, horizon, label). Nothing here reads a clock: the order of messages decides,
so a replay of the journal gives the same consensuses and the same trust.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from consilium.domain import (
    Consensus,
    FeatureWindow,
    InvalidValue,
    Outcome,
    Prediction,
    UnknownName,
    coverage,
)
from consilium.ensemble.admission import ModelSetting, members_of
from consilium.ensemble.allocations import check_shares, rule_shares
from consilium.ensemble.consensus import EVEN_PRIOR, first_hold, reach_consensus
from consilium.ensemble.gates import Gates, make_gates
from consilium.ensemble.hindsight import Hindsight
from consilium.ensemble.learning import UNFORESEEN, Learning
from consilium.ensemble.rounds import RoundKey, read_prediction, write_prediction
from consilium.ensemble.rules import make_rule
from consilium.ensemble.trust import DEFAULT_TRUST, TrustPolicy
from consilium.ensemble.trust.regimes import Terciles
from consilium.ensemble.trust.roll import speaking
from consilium.ensemble.voting import PASS, Rule


class EnsembleService:
    """Collects predictions into rounds and turns each round into one Consensus.

    A round is decided as soon as every enabled model that is loaded has spoken, or by `flush`; n counts the
    enabled models that are loaded or spoke, so a missing one can lower the level. Late, repeated and unknown
    predictions change nothing and are counted in ``ignored``. The fallback speaks only in a round without any
    other prediction, as level ``none`` with a gate of its own, and acts on paper only.

    Parameters
    ----------
    models
        Setting of each model, or only their names; at least one.
    rule, gates, allocations
        As in `reach_consensus`; all three can be replaced between rounds.
    trust
        Name in TRUST; one policy is kept for each horizon and label. Allocations are the prior of a policy
        that takes one, and are then not multiplied again; a model with allocation 0 stays without weight.
    trust_options
        Settings of the policy.
    per_regime
        Whether trust is kept for each regime too: that of the feature window, else its tercile of volatility.
    meta
        Whether p_direction is recalibrated, and meta_confidence modelled, on outcomes.
    conformal
        Settings of `Conformal` for the optional gate, or its alpha; None for no such gate.
    round_trip_cost
        What a trade must gain to pay, for meta_confidence; a log return >= 0.
    prior
        Class prior (down, flat, up), published where nobody votes.
    fallback
        Model name of the fallback; it must not be among ``models``.
    paper
        Whether this is paper trading, where the fallback may act.
    capacity
        Most rounds kept open, and kept until their outcome; the oldest open round is then decided as it is.
    loaded
        The models that are waited for; the others count only where they speak. None for all of them.

    Raises
    ------
    InvalidValue
        No models, the fallback among them, a capacity below 1, or shares that no rule can weigh with.
    UnknownName
        No such rule, preset or trust policy; a setting for, or a loading of, a model that is not there.

    Examples
    --------
    >>> from consilium.domain import Prediction
    >>> service = EnsembleService(["xgboost", "lightgbm"])
    >>> def says(model):
    ...     return Prediction(model=model, symbol="BTCUSDT", ts_event=0, horizon_ns=3600 * 10**9,
    ...                       label_id="l1", probabilities=(0.1, 0.2, 0.7))
    >>> service.handle(says("xgboost"))
    ()
    >>> (consensus,) = service.handle(says("lightgbm"))
    >>> consensus.level, consensus.actionable, service.coverage
    ('unanimous', True, 'full')
    """

    def __init__(
        self,
        models: Mapping[str, ModelSetting] | Iterable[str],
        *,
        rule: str | Rule = "smart_vote",
        allocations: Mapping[str, float] | None = None,
        trust: str = DEFAULT_TRUST,
        trust_options: Mapping[str, Any] | None = None,
        per_regime: bool = False,
        meta: bool = True,
        conformal: Mapping[str, Any] | float | None = None,
        round_trip_cost: float = 0.002,
        gates: str | Gates | None = "seed",
        prior: tuple[float, float, float] = EVEN_PRIOR,
        fallback: str = "fallback",
        paper: bool = False,
        capacity: int = 4096,
        loaded: Iterable[str] | None = None,
    ) -> None:
        self._models = members_of(models, fallback)
        if capacity < 1:
            raise InvalidValue("capacity must be >= 1", capacity, "use 4096")
        self._learning = Learning(trust, self._models, trust_options or {}, capacity, per_regime=per_regime)
        self._hindsight: dict[tuple[int, str], Hindsight] = {}
        self._hindsight_options: dict[str, Any] = {
            "meta": meta,
            "conformal": conformal,
            "round_trip_cost": round_trip_cost,
            "capacity": capacity,
        }
        Hindsight(**self._hindsight_options)  # a wrong setting fails now, not mid-run
        self.rule = rule
        self.gates = gates
        self.allocations = allocations
        self.prior = prior
        self.fallback = fallback
        self.paper = paper
        self.capacity = capacity
        self.loaded = frozenset(speaking(self._models if loaded is None else tuple(loaded), self._models))
        self.ignored: Counter[str] = Counter()
        self._guests: dict[RoundKey, set[str]] = {}
        self._open: dict[RoundKey, dict[str, Prediction]] = {}
        self._decided_until: dict[tuple[str, int, str], int] = {}
        self._seen: dict[tuple[str, int], tuple[float, str]] = {}
        self._terciles = Terciles() if per_regime else None
        self._coverage = "none"
        self.weighed: tuple[Mapping[str, float] | None, Mapping[str, float]] = None, {}
        """Allocations and trust that the newest consensus was weighed with, as `reach_consensus` got them."""

    @property
    def rule(self) -> Rule:
        """The rule in force; set it by name or as a `Rule`."""
        return self._rule

    @rule.setter
    def rule(self, rule: str | Rule) -> None:
        self._rule = make_rule(rule) if isinstance(rule, str) else rule

    @property
    def gates(self) -> Gates:
        """The gates in force; set them by a preset's name or as `Gates`, None means ``seed``."""
        return self._gates

    @gates.setter
    def gates(self, gates: str | Gates | None) -> None:
        self._gates = gates if isinstance(gates, Gates) else make_gates(gates or "seed")

    @property
    def allocations(self) -> Mapping[str, float] | None:
        """Configured shares, None for equal ones; set them for every model."""
        return self._allocations

    @allocations.setter
    def allocations(self, allocations: Mapping[str, float] | None) -> None:
        if allocations:
            check_shares("allocations", allocations, self._models)
        self._allocations = dict(allocations) if allocations else None
        self._learning.set_prior(self._allocations)

    @property
    def models(self) -> Mapping[str, ModelSetting]:
        """Settings by model; change one by `configure`."""
        return self._models

    @property
    def coverage(self) -> str:
        """How many of the enabled models spoke in the last round: full, partial or none."""
        return self._coverage

    def configure(self, model: str, setting: ModelSetting) -> None:
        """Change how one model takes part, from the next decision on."""
        if model not in self._models:
            raise UnknownName("model", model, self._models)
        self._models[model] = setting

    def present(self, spoken: Iterable[str]) -> dict[str, ModelSetting]:
        """Return the settings of the models that a round is about: those loaded, and those that spoke."""
        there = self.loaded.union(spoken)
        return {model: setting for model, setting in self._models.items() if model in there}

    def trust(self, horizon_ns: int, label_id: str) -> TrustPolicy:
        """Return the trust policy of one horizon and label, to look at."""
        return self._learning.seen(horizon_ns, label_id)

    def taught(self, horizon_ns: int, label_id: str) -> TrustPolicy:
        """Return the trust policy of one horizon and label, to tell it something."""
        return self._learning.policy(horizon_ns, label_id)

    def hindsight(self, horizon_ns: int, label_id: str) -> Hindsight:
        """Return what outcomes have taught about the consensuses of one horizon and label."""
        topic = (horizon_ns, label_id)
        if topic not in self._hindsight:
            self._hindsight[topic] = Hindsight(**self._hindsight_options)
        return self._hindsight[topic]

    def handle(self, message: object) -> tuple[Consensus, ...]:
        """Take a message; return the consensus that it completes, if any.

        A FeatureWindow gives the symbol's volatility, a Prediction joins its round, an Outcome teaches trust;
        other messages are not for this room.
        """
        if isinstance(message, Prediction):
            return self._hear(message)
        if isinstance(message, FeatureWindow):
            self._see(message)
        elif isinstance(message, Outcome):
            self._mature(message)
        return ()

    def invite(self, prediction: Prediction) -> None:
        """Let a forecast that another consensus was taught with already join a round too, as a guest.

        It votes and is scored there, but the consensus teaches nothing about it, and nobody waits for it; the
        model's own prediction takes its place. One that is not for this room, or late, changes nothing.
        """
        setting, key = self._models.get(prediction.model), RoundKey.of(prediction)
        if setting is not None and setting.enabled and prediction.model not in self._open.get(key, {}):
            if key not in self._open:
                if key.ts_event <= self._decided_until.get(key[1:], -1):
                    return
                self._open[key] = {}
                self._learning.opened(key)
            self._open[key][prediction.model] = prediction
            self._guests.setdefault(key, set()).add(prediction.model)

    def seen(self, symbol: str, ts_event: int) -> tuple[float | None, str]:
        """Return volatility and regime of a symbol at an instant; None and empty if unknown."""
        return self._seen.get((symbol, ts_event), (None, ""))

    def awaiting(self, about: Consensus | Outcome) -> Sequence[Prediction]:
        """Return the forecasts of a decided round that wait for their outcome."""
        return self._learning.awaiting(RoundKey.of(about))

    def flush(self, until: int | None = None) -> tuple[Consensus, ...]:
        """Decide the open rounds with ``ts_event <= until`` (None: all) by who has spoken, oldest first."""
        due = sorted(key for key in self._open if until is None or key.ts_event <= until)
        return tuple(consensus for key in due for consensus in self._decide(key))

    def _see(self, window: FeatureWindow) -> None:
        regime = window.regime
        if self._terciles is not None:
            tercile = self._terciles.label(window.symbol, window.volatility)
            regime = regime or tercile
        self._seen[window.symbol, window.ts_event] = window.volatility, regime
        if len(self._seen) > self.capacity:
            del self._seen[next(iter(self._seen))]

    def _mature(self, outcome: Outcome) -> None:
        key = RoundKey.of(outcome)
        ignored = self._learning.mature(key, outcome)
        if ignored:
            self.ignored[ignored] += 1
        if ignored != UNFORESEEN:
            self.hindsight(key.horizon_ns, key.label_id).mature(key, None if ignored else outcome)

    def _hear(self, prediction: Prediction) -> tuple[Consensus, ...]:
        setting = self._models.get(prediction.model)
        if setting is None and prediction.model != self.fallback:
            return self._ignore("unknown model")
        if setting is not None and not setting.enabled:
            return self._ignore("disabled model")
        key = RoundKey.of(prediction)
        spoken = self._open.get(key)
        if spoken is None:
            if key.ts_event <= self._decided_until.get(key[1:], -1):
                return self._ignore("late prediction")
            spoken = self._open[key] = {}
            self._learning.opened(key)
        guests = self._guests.get(key, set())
        if prediction.model in spoken and prediction.model not in guests:
            return self._ignore("repeated prediction")
        guests.discard(prediction.model)
        spoken[prediction.model] = prediction
        awaited = [model for model in self.loaded if self._models[model].enabled]
        if awaited and all(model in spoken and model not in guests for model in awaited):
            return self._decide(key)
        if len(self._open) > self.capacity:
            return self._decide(min(self._open))
        return ()

    def _ignore(self, why: str) -> tuple[Consensus, ...]:
        self.ignored[why] += 1
        return ()

    def _decide(self, key: RoundKey) -> tuple[Consensus, ...]:
        spoken, guests = self._open.pop(key), self._guests.pop(key, set())
        topic = key[1:]
        self._decided_until[topic] = max(key.ts_event, self._decided_until.get(topic, -1))
        fallback = spoken.pop(self.fallback, None)
        predictions = [p for p in spoken.values() if self._models[p.model].enabled]
        volatility, regime = self.seen(key.symbol, key.ts_event)
        present = self.present(spoken)
        self._coverage = coverage(len(predictions), sum(s.enabled for s in present.values()))
        if not predictions:
            self._learning.closed(key)
            return () if fallback is None else (self._fall_back(fallback, volatility),)
        hindsight = self.hindsight(key.horizon_ns, key.label_id)
        allocations = rule_shares(self._allocations, in_prior=self._learning.takes_prior)
        trust = self._learning.weights(key, [p.model for p in predictions], regime)
        self.weighed = allocations, trust
        consensus = reach_consensus(
            predictions,
            rule=self.rule,
            allocations=allocations,
            trust=trust,
            volatility=volatility,
            gates=self.gates,
            models=present,
            prior=self.prior,
            hindsight=hindsight,
        )
        hindsight.decided(key, consensus, volatility)
        self._learning.decided(key, predictions, consensus, regime, guests)
        return (consensus,)

    def _fall_back(self, prediction: Prediction, volatility: float | None) -> Consensus:
        """Let the fallback speak alone: the coverage gate gives way to a gate that opens on paper only."""
        self.weighed = None, {}
        alone = reach_consensus(
            [prediction], rule=self.rule, volatility=volatility, gates=self.gates, prior=self.prior
        )
        checks = {name: verdict for name, verdict in alone.gates.items() if name != "coverage"}
        checks["fallback"] = PASS if self.paper else "fallback: speaks alone, acts on paper only"
        reason = first_hold(checks, strict=self.gates.strict)
        return replace(
            alone,
            level="none_volatility_hold" if alone.level.endswith("_volatility_hold") else "none",
            score=min(alone.score, alone.confidence),
            gates=checks,
            actionable=not reason,
            reason=reason,
        )

    def state(self) -> dict[str, Any]:
        """Return all that was heard and learned, as JSON values; settings are not part of it."""
        return {
            "open": [
                [list(key), [write_prediction(p) for p in said.values()]] for key, said in self._open.items()
            ],
            "guests": [[list(key), sorted(models)] for key, models in self._guests.items()],
            "decided_until": [[*topic, ts] for topic, ts in self._decided_until.items()],
            "seen": [[*at, *what] for at, what in self._seen.items()],
            "terciles": self._terciles.state() if self._terciles else None,
            "coverage": self._coverage,
            "ignored": dict(self.ignored),
            "learning": self._learning.state(),
            "hindsight": [[*topic, of.state()] for topic, of in self._hindsight.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned, in a service of the same settings.

        Raises
        ------
        InvalidValue
            The state is damaged, or of other models, trust or options.
        """
        try:
            spoken = {
                RoundKey(*key): {p.model: p for p in map(read_prediction, said)}
                for key, said in state["open"]
            }
            guests = {RoundKey(*key): set(models) for key, models in state.get("guests", [])}
            decided_until = {
                (str(s), int(h), str(label)): int(ts) for s, h, label, ts in state["decided_until"]
            }
            seen = {(str(s), int(ts)): (float(v), str(regime)) for s, ts, v, regime in state["seen"]}
            hindsight = {}
            for horizon_ns, label_id, saved in state["hindsight"]:
                hindsight[int(horizon_ns), str(label_id)] = of = Hindsight(**self._hindsight_options)
                of.restore(saved)
            terciles, covered, ignored = state["terciles"], str(state["coverage"]), Counter(state["ignored"])
            self._learning.restore(state["learning"])
        except InvalidValue:
            raise
        except (KeyError, TypeError, ValueError):
            raise InvalidValue(
                "the state must be one of the ensemble", type(state).__name__, "restore a whole state"
            ) from None
        if self._terciles is not None and terciles is not None:
            self._terciles.restore(terciles)
        self._open, self._decided_until, self._seen = spoken, decided_until, seen
        self._guests = guests
        self._hindsight, self._coverage, self.ignored = hindsight, covered, ignored
