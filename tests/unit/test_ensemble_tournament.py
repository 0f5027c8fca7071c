"""Every variant of a tournament says what a service of its own would have said, to the bit."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest

from consilium.domain import HOUR_NS, Direction, FeatureWindow, InvalidValue, Outcome, Prediction, UnknownName
from consilium.ensemble import PRESETS, EnsembleService, Gates, ModelSetting, make_gates
from consilium.ensemble.meta_labelling import MetaLabelling, Situation
from consilium.ensemble.tournament import ALL_VARIANTS, Tournament

HOLD = 3
"""Bars of the horizon: outcomes overlap."""
COSTS = {"mean_up": 0.011, "mean_down": -0.011, "mean_gain": 0.012, "mean_loss": 0.009}
NOTHING = np.zeros((1, 1))


class World(NamedTuple):
    """Rounds in order, each with its volatility, and outcomes in the order of their maturity."""

    rounds: list[tuple[int, float, list[Prediction]]]
    outcomes: list[Outcome]


def world(
    models: int,
    *,
    symbols: int = 4,
    instants: int = 120,
    horizon: int = HOLD,
    seed: int = 3,
    skill: bool = True,
) -> World:
    """Symbols miss bars, one of them many in a row, so that outcomes are late; models tie now and then."""
    rng = np.random.default_rng(seed)
    rounds, outcomes = [], []
    for at in range(instants):
        for index in range(symbols):
            if symbols > 1 and (rng.random() < 0.05 or (index == 1 and 50 <= at < 70)):
                continue
            base = rng.dirichlet((6.0, 8.0, 6.0)) if skill else np.array([0.3, 0.4, 0.3])
            spoken = []
            for m in range(models):
                p = base * np.exp(0.3 * rng.normal(size=3)) if skill else base
                p = p / p.sum()
                if skill and rng.random() < 0.05:
                    p = np.array([0.4, 0.2, 0.4])
                spoken.append(
                    Prediction(
                        model=f"m{m}",
                        symbol=f"S{index}",
                        ts_event=at * HOUR_NS,
                        horizon_ns=horizon * HOUR_NS,
                        label_id="l1",
                        probabilities=tuple(p.tolist()),
                        expected_return=float(0.01 * (p[2] - p[0])),
                    )
                )
            rounds.append((at * HOUR_NS, float(0.02 + 0.05 * rng.random()), spoken))
            came = int(rng.choice(3, p=base))
            outcomes.append(
                Outcome(
                    symbol=f"S{index}",
                    ts_event=at * HOUR_NS,
                    horizon_ns=horizon * HOUR_NS,
                    label_id="l1",
                    ts_matured=(at + horizon + 2 * (index == 1 and 46 <= at < 50)) * HOUR_NS,
                    direction=Direction(came),
                    realised_return=float((came - 1) * 0.01 + 0.003 * rng.normal()),
                )
            )
    return World(rounds, sorted(outcomes, key=lambda outcome: outcome.ts_matured))


def presets(late: bool) -> dict[str, Gates]:
    costs = COSTS if late else {name: 0.8 * value for name, value in COSTS.items()}
    return {"edge": make_gates("edge", **costs), "seed": make_gates("seed")}


Spoken = list[tuple[tuple[float, float, float], Direction, bool]]


def alone(
    one: World, variant: tuple[str, str], preset: str, settings: Mapping[str, Any]
) -> tuple[Spoken, dict[str, int]]:
    """Send the world message by message through the service; return what it said and what it ignored."""
    given = dict(settings)
    options = given.pop("trust_options", {}).get(variant[1])
    service = EnsembleService(
        given.pop("models"), rule=variant[0], trust=variant[1], trust_options=options, paper=True, **given
    )
    told, said = 0, []
    for place, (now, volatility, spoken) in enumerate(one.rounds):
        late = place >= len(one.rounds) // 2
        service.gates = presets(late)[preset]
        service.prior = (0.3, 0.4, 0.3) if late else (0.25, 0.5, 0.25)
        while told < len(one.outcomes) and one.outcomes[told].ts_matured < now:
            service.handle(one.outcomes[told])
            told += 1
        service.handle(
            FeatureWindow(symbol=spoken[0].symbol, ts_event=now, features=NOTHING, volatility=volatility)
        )
        (consensus,) = [c for p in spoken for c in service.handle(p)]
        said.append((consensus.probabilities, consensus.direction, consensus.actionable))
    return said, dict(service.ignored)


def together(one: World, settings: Mapping[str, Any], **named: Any) -> Tournament:
    play = Tournament(gates=presets(late=False), **settings, **named)
    told = 0
    for place, (now, volatility, spoken) in enumerate(one.rounds):
        late = place >= len(one.rounds) // 2
        play.gates = presets(late)
        play.prior = (0.3, 0.4, 0.3) if late else (0.25, 0.5, 0.25)
        while told < len(one.outcomes) and one.outcomes[told].ts_matured < now:
            play.mature(one.outcomes[told])
            told += 1
        play.decide(spoken, volatility)
    return play


def require_equal(
    one: World, settings: Mapping[str, Any], play: Tournament, variants: Iterable[tuple[str, str]]
) -> int:
    """Compare variants under both presets; return how often anything was acted on."""
    acted = 0
    played = play.played()
    for variant in variants:
        found = played[variant]
        for preset in PRESETS:
            said, ignored = alone(one, variant, preset, settings)
            probabilities, direction, actionable = zip(*said, strict=True)
            assert np.array_equal(found.probabilities, np.array(probabilities)), (variant, preset)
            assert found.direction.tolist() == list(direction), (variant, preset)
            assert found.actionable[preset].tolist() == list(actionable), (variant, preset)
            assert play.ignored == ignored
            acted += sum(actionable)
    return acted


SHY = {
    "models": {"m0": ModelSetting(), "m1": ModelSetting(min_confidence=0.45), "m2": ModelSetting()},
    "capacity": 4 * (HOLD + 4),
}


@pytest.fixture(scope="module")
def shy() -> tuple[World, Tournament]:
    """Play every variant over a world with gaps and a model that abstains now and then."""
    one = world(3)
    return one, together(one, SHY)


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _ in ALL_VARIANTS))
def test_each_variant_equals_the_service_that_has_the_rounds_alone(
    shy: tuple[World, Tournament], rule: str
) -> None:
    one, play = shy
    assert require_equal(one, SHY, play, [pair for pair in ALL_VARIANTS if pair[0] == rule]) > 0
    assert play.ignored["late outcome"] > 0


LEARNED = [
    ("weighted_voting", "fixed_share"),
    ("adaptive", "fixed_share"),
    ("majority", "uniform"),
    ("smart_vote", "agreement"),
]


def test_what_hindsight_has_learned_is_each_variant_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    one = world(2, symbols=1, instants=900, horizon=1)
    settings = {"models": ["m0", "m1"], "capacity": 5}
    spoken = []
    heard = MetaLabelling.probability

    def listening(self: MetaLabelling, of: Situation) -> float:
        chance = heard(self, of)
        spoken.append(chance != of.p_direction)
        return chance

    monkeypatch.setattr(MetaLabelling, "probability", listening)
    play = together(one, settings, variants=LEARNED)
    assert sum(spoken) > 200, "meta-labelling must have spoken, or nothing is shown"
    require_equal(one, settings, play, LEARNED)


SETTINGS: dict[str, dict[str, Any]] = {
    "without meta": {"models": ["m0", "m1"], "meta": False},
    "allocations": {"models": ["m0", "m1", "m2"], "allocations": {"m0": 0.5, "m1": 0.5, "m2": 0.0}},
    "nobody may vote at times": {
        "models": {f"m{k}": ModelSetting(min_confidence=0.5) for k in range(2)},
        "round_trip_cost": 0.004,
    },
    "only a model without allocation votes at times": {
        "models": {"m0": ModelSetting(min_confidence=0.5), "m1": ModelSetting()},
        "allocations": {"m0": 1.0, "m1": 0.0},
    },
    "conformal": {"models": ["m0", "m1"], "conformal": {"alpha": 0.4, "warm_up": 30}},
    "regimes": {"models": ["m0", "m1"], "per_regime": True},
    "options": {"models": ["m0", "m1"], "trust_options": {"fixed_share": {"alpha": 0.1}}},
}
FEW = [
    (rule, trust)
    for rule in ("smart_vote", "majority", "adaptive")
    for trust in ("uniform", "agreement", "fixed_share")
]


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_reach_every_variant(name: str) -> None:
    settings = {"capacity": 4 * (HOLD + 4)} | SETTINGS[name]
    one = world(len(list(settings["models"])), instants=90)
    require_equal(one, settings, together(one, settings, variants=FEW), FEW)


def test_one_model_alone_says_the_same_under_every_policy() -> None:
    one = world(1, instants=60)
    settings = {"models": ["m0"], "capacity": 4 * (HOLD + 4)}
    play = together(one, settings)
    require_equal(one, settings, play, FEW)
    played = play.played()
    for rule, trust in ALL_VARIANTS:
        assert np.array_equal(played[rule, trust].probabilities, played[rule, "uniform"].probabilities)


def test_models_without_skill_give_one_forecast_whatever_the_variant() -> None:
    one = world(2, instants=60, skill=False)
    settings = {"models": ["m0", "m1"], "capacity": 4 * (HOLD + 4)}
    play = together(one, settings)
    require_equal(one, settings, play, FEW)
    assert not any(column.any() for found in play.played().values() for column in found.actionable.values())


def test_an_outcome_without_a_forecast_is_counted() -> None:
    play = Tournament(["m0"])
    play.mature(world(1, instants=10).outcomes[0])
    assert play.ignored == {"outcome without forecast": 1}


def test_a_tournament_needs_models_variants_and_known_names() -> None:
    with pytest.raises(InvalidValue, match="models and variants"):
        Tournament([])
    with pytest.raises(InvalidValue, match="models and variants"):
        Tournament(["m0"], [])
    with pytest.raises(UnknownName, match="majority"):
        Tournament(["m0"], [("majorty", "uniform")])
    with pytest.raises(UnknownName, match="uniform"):
        Tournament(["m0"], [("majority", "unifrm")])


def test_predictions_of_one_round_are_of_one_instant() -> None:
    (_, _, early), (_, _, late) = world(2, symbols=1, instants=2).rounds
    with pytest.raises(InvalidValue, match="instant"):
        Tournament(["m0", "m1"]).decide([early[0], late[1]], 0.03)
