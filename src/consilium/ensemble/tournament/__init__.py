"""Many pairs of rule and trust policy over the same rounds, each as if it had decided them alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from consilium.domain import InvalidValue, Outcome, Prediction
from consilium.ensemble.admission import ModelSetting, check_same_question, of_enabled, voters_among
from consilium.ensemble.allocations import check_shares
from consilium.ensemble.consensus import EVEN_PRIOR
from consilium.ensemble.gates import Gates, make_gates
from consilium.ensemble.hindsight import Hindsight
from consilium.ensemble.learning import UNFORESEEN
from consilium.ensemble.rounds import RoundKey
from consilium.ensemble.rules import RULES, make_rule
from consilium.ensemble.tournament.round import Round
from consilium.ensemble.tournament.strand import Played, Seat, Strand
from consilium.ensemble.tournament.trust import Policies
from consilium.ensemble.trust import TRUST
from consilium.ensemble.trust.regimes import Terciles

__all__ = ["Played", "Tournament"]

ALL_VARIANTS = tuple((rule, trust) for rule in RULES for trust in TRUST)
"""Every rule with every trust policy."""


class Tournament:
    """Decides each round once for every variant, a pair (rule, trust policy), under several gates.

    What a variant says equals, bit for bit, what an `EnsembleService` of that rule and policy says to the
    same messages, all models in each round. Predictions, trust, votes and verdicts are shared where they are
    the same; what hindsight has learned is shared as long as all that it learned from was the same.

    Parameters
    ----------
    models
        Setting of each model, or only their names; at least one.
    variants
        Pairs (rule, trust policy) by name; all rules with all policies by default.
    gates
        Gates by a name of one's own, or the names of presets; `gates` can be replaced between rounds.
    allocations, per_regime, meta, conformal, round_trip_cost, prior, capacity
        As in `EnsembleService`.
    trust_options
        Settings by policy; those that are not named keep their defaults.

    Raises
    ------
    InvalidValue
        No models or variants; a setting outside its bound; predictions that cannot vote together.
    UnknownName
        No such rule, preset or policy.

    Examples
    --------
    >>> play = Tournament(["xgboost", "lightgbm"], [("majority", "uniform"), ("adaptive", "ewa_log")])
    >>> play.decide([
    ...     Prediction(model=model, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                probabilities=p)
    ...     for model, p in (("xgboost", (0.1, 0.3, 0.6)), ("lightgbm", (0.2, 0.6, 0.2)))
    ... ], volatility=0.03)
    >>> {variant: played.direction.tolist() for variant, played in play.played().items()}
    {('majority', 'uniform'): [1], ('adaptive', 'ewa_log'): [1]}
    """

    def __init__(
        self,
        models: Mapping[str, ModelSetting] | Iterable[str],
        variants: Iterable[tuple[str, str]] = ALL_VARIANTS,
        *,
        gates: Mapping[str, Gates] | Iterable[str] = ("edge", "seed"),
        allocations: Mapping[str, float] | None = None,
        trust_options: Mapping[str, Mapping[str, Any]] | None = None,
        per_regime: bool = False,
        meta: bool = True,
        conformal: Mapping[str, Any] | float | None = None,
        round_trip_cost: float = 0.002,
        prior: tuple[float, float, float] = EVEN_PRIOR,
        capacity: int = 4096,
    ) -> None:
        self.models = (
            dict(models) if isinstance(models, Mapping) else {name: ModelSetting() for name in models}
        )
        pairs = list(dict.fromkeys(variants))
        if not self.models or not pairs:
            raise InvalidValue("a tournament needs models and variants", "none", "name at least one of each")
        if allocations:
            check_shares("allocations", allocations, self.models)
        self._enabled = sum(setting.enabled for setting in self.models.values())
        presets = gates if isinstance(gates, Mapping) else {name: make_gates(name) for name in gates}
        self.gates: dict[str, Gates] = dict(presets)
        self.prior = prior
        self.ignored: Counter[str] = Counter()
        self._policies = Policies(
            self.models,
            allocations=allocations or None,
            options=trust_options or {},
            capacity=capacity,
            per_regime=per_regime,
        )
        self._terciles = Terciles() if per_regime else None
        seats = [self._seat(rule, trust) for rule, trust in pairs]
        hindsight = Hindsight(
            meta=meta, conformal=conformal, round_trip_cost=round_trip_cost, capacity=capacity
        )
        self._strands = [Strand(seats, hindsight)]
        self._readers = [seat for seat in seats if self._policies.sources[seat.source].rule]
        self._order = pairs

    def _seat(self, rule: str, trust: str) -> Seat:
        return Seat(
            name=(rule, trust),
            rule=make_rule(rule),
            source=self._policies.enter(trust, rule),
            presets=tuple(self.gates),
        )

    def decide(self, predictions: Sequence[Prediction], volatility: float | None, regime: str = "") -> None:
        """Decide one round: every variant pools the same predictions of one symbol and instant.

        Parameters
        ----------
        predictions
            One of each enabled model that speaks, at least one.
        volatility
            Daily volatility, a fraction >= 0; None if unknown.
        regime
            Label of the market's regime; the tercile of volatility if empty and trust is kept per regime.
        """
        spoken = of_enabled(predictions, self.models)
        latest = check_same_question(spoken)
        key = RoundKey.of(spoken[0])
        if any(p.ts_event != latest for p in spoken):
            raise InvalidValue(
                "predictions of one round must be of one instant", f"{key.ts_event} and {latest}", "part them"
            )
        if self._terciles is not None and volatility is not None:
            tercile = self._terciles.label(key.symbol, volatility)
            regime = regime or tercile
        self._policies.opened(key)
        voters = voters_among(spoken, self.models)
        now = Round(
            key=key,
            spoken=spoken,
            voters=voters,
            ballots=self._policies.ballots([p.model for p in spoken], voters, regime),
            enabled=self._enabled,
            volatility=volatility,
            gates=self.gates,
            prior=self.prior,
        )
        born: list[Strand] = []
        for strand in self._strands:
            born += strand.decide(now)
        self._strands += born
        for seat in self._readers:
            if seat.verdict is not None and seat.figures is not None:
                self._policies.tell(
                    seat.source, spoken, now.consensus(seat.rule, seat.verdict, seat.figures), regime
                )
        self._policies.keep(key, spoken, regime)

    def mature(self, outcome: Outcome) -> None:
        """Let trust and hindsight learn an outcome; one that counts for nothing is counted in ``ignored``."""
        key = RoundKey.of(outcome)
        ignored = self._policies.mature(key, outcome)
        if ignored:
            self.ignored[ignored] += 1
        if ignored != UNFORESEEN:
            for strand in self._strands:
                strand.hindsight.mature(key, None if ignored else outcome)

    def played(self) -> dict[tuple[str, str], Played]:
        """Return what each variant said, in the order of the rounds; equal arrays may be one object."""
        found = {}
        for strand in self._strands:
            found.update(strand.played())
        return {name: found[name] for name in self._order}
