"""What the council's weights do to the ensemble: dropped models, ended allocations, what that completes."""

from collections.abc import Mapping
from typing import Any

import pytest

from consilium.app.bootstrap import SystemClock
from consilium.app.live.engine import EnsembleEngine, make_live_ensemble
from consilium.app.live.weighing import weigh
from consilium.app.settings import Ensemble, Settings
from consilium.domain import MODEL_NAMES, Consensus, Hold, Policy, SignalReceived

NOW = 1_700_006_400 * 10**9


def engine(**ensemble: Any) -> EnsembleEngine:
    settings = Settings(ensemble=Ensemble(**ensemble))
    return EnsembleEngine(make_live_ensemble(settings), settings=settings, clock=SystemClock())


def shares(of: EnsembleEngine) -> Mapping[str, float]:
    return of.pure.configuration.allocations()


def weighed(**weights: float) -> Policy:
    return Policy(weights=weights)


def operators(model: str, share: float) -> Hold:
    return Hold(
        owner="operator",
        rule="O1:allocation",
        key=f"allocation:{model}",
        value=share,
        reason="retrained",
        ts_event=NOW,
    )


def test_a_model_that_is_no_longer_weighed_loses_its_share() -> None:
    made = engine()
    weigh(made, Policy(), weighed(xgboost=0.7, lightgbm=0.3), ())
    weigh(made, weighed(xgboost=0.7, lightgbm=0.3), weighed(xgboost=1.0), ())
    assert (shares(made)["xgboost"], shares(made)["lightgbm"]) == (1.0, 0.0)


@pytest.mark.parametrize("given", [{}, {"xgboost": 3.0, "lightgbm": 1.0}])
def test_where_nothing_is_weighed_any_more_the_settings_count_again(given: dict[str, float]) -> None:
    made = engine(allocations=given)
    before = dict(shares(made))
    weigh(made, Policy(), weighed(xgboost=0.1, lightgbm=0.9), ())
    assert shares(made) != before
    weigh(made, weighed(xgboost=0.1, lightgbm=0.9), Policy(), ())
    assert shares(made) == pytest.approx(before)


def test_an_allocation_alone_is_the_share_that_was_asked_for() -> None:
    made = engine()
    # the council knows of no other model, so that its own weights are all of one
    weigh(made, Policy(), weighed(cnn_lstm=1.0), [operators("cnn_lstm", 0.5)])
    assert sum(shares(made).values()) == pytest.approx(1.0)
    assert shares(made)["cnn_lstm"] == 0.5
    assert {round(share, 9) for name, share in shares(made).items() if name != "cnn_lstm"} == {
        round(0.5 / (len(MODEL_NAMES) - 1), 9)
    }


def test_a_name_that_the_ensemble_does_not_know_costs_the_others_nothing() -> None:
    made = engine()
    assert weigh(made, Policy(), weighed(stranger=0.6, xgboost=0.4), ()) == []
    assert shares(made)["xgboost"] == 0.4


def test_a_consensus_that_another_weight_completes_is_not_lost() -> None:
    made = engine()
    for model in ("cnn_lstm", "tlob", "mpd_transformer"):
        made.handle(
            SignalReceived(
                model=model,
                symbol="BTCUSDT",
                probabilities=(0.1, 0.2, 0.7),
                confidence=0.7,
                horizon_ns=made.pure.broker.horizon_ns,
                label_id=made.pure.broker.label_id,
                source="signal",
                ts_event=NOW,
                ts_received=NOW,
            )
        )
    said = weigh(made, Policy(), weighed(cnn_lstm=1.0), ())
    assert [type(message) for message in said] == [Consensus]
