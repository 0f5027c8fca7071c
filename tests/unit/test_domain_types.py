import dataclasses
import inspect

import numpy as np
import pytest

import consilium.domain as domain
from consilium.domain import (
    BookSnapshot,
    Candle,
    Consensus,
    Direction,
    InvalidValue,
    Order,
    OrderKind,
    Outcome,
    Policy,
    Prediction,
    Side,
    UnknownName,
    canonical_json,
    direction_of,
    signal_probabilities,
)

FIELDS = {
    "Instrument": "symbol venue market tick_size lot_size min_notional maker_fee taker_fee maintenance tiers",
    "Candle": "symbol venue interval_ns ts_open ts_close open high low close volume",
    "BookSnapshot": "symbol venue ts_event bids asks",
    "PublicTrade": "symbol venue ts_event price size taker_side",
    "Funding": "symbol venue ts_event rate mark",
    "FeatureWindow": "symbol ts_event features book volatility regime",
    "Prediction": "model symbol ts_event horizon_ns label_id probabilities confidence expected_return",
    "Consensus": "symbol ts_event horizon_ns label_id rule level direction probabilities p_direction "
    "confidence score agreement support meta_confidence weights gates actionable reason",
    "Outcome": "symbol ts_event horizon_ns label_id ts_matured direction realised_return",
    "Briefing": "snapshot_id ts_event portfolio system ess performance policy base holds faults reviews "
    "volumes started_at floor_usd disabled_rules fresh_since accounts lost_after_ns",
    "Decision": "decision_id ts_event officer kind payload reason expires_at overrides snapshot_id "
    "rule cause_id code_hash config_hash",
    "Order": "order_id client_id symbol venue account side kind quantity limit_price stop_price tif "
    "reduce_only ts_event cause_id",
    "OrderEvent": "order_id status reason ts_event",
    "Fill": "order_id price quantity fee liquidity ts_event",
    "Position": "symbol quantity entry_price margin stop",
    "PortfolioSnapshot": "ts_event equity nav cash locked reserve positions drawdown max_drawdown exposure "
    "leverage realized_pnl_today win_rate sharpe winning_days losing_days consecutive_losses",
    "Update": "participant round base_version delta num_examples clip_norm spend local_performance seconds",
    "Event": "event_id topic stream version ts_event ts_recorded cause_id trace_id payload",
}


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_type_that_flows_is_frozen_slotted_and_keyword_only(name: str) -> None:
    kind = getattr(domain, name)
    assert [f.name for f in dataclasses.fields(kind)] == FIELDS[name].split()
    assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(kind).parameters.values())
    assert "__slots__" in vars(kind)
    assert kind.__dataclass_params__.frozen


def prediction(**changes: object) -> Prediction:
    fields: dict[str, object] = {
        "model": "anything",
        "symbol": "X",
        "ts_event": 0,
        "horizon_ns": 1,
        "label_id": "any",
        "probabilities": (0.2, 0.3, 0.5),
    }
    return Prediction(**(fields | changes))  # type: ignore[arg-type]


def test_any_name_and_time_zero_are_valid_in_a_prediction() -> None:
    assert prediction().direction is Direction.UP
    assert prediction().confidence == 0.5


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"probabilities": (0.5, 0.5, 0.5)}, "sum to 1"),
        ({"probabilities": (0.5, 0.5)}, "three numbers"),
        ({"probabilities": (-0.1, 0.6, 0.5)}, ">= 0"),
        ({"probabilities": (float("nan"), 0.5, 0.5)}, ">= 0"),
        ({"confidence": 1.1}, "[0, 1]"),
        ({"confidence": float("nan")}, "[0, 1]"),
        ({"model": ""}, "model must not be empty"),
        ({"label_id": ""}, "label_id must not be empty"),
        ({"ts_event": -1}, "ts_event"),
        ({"horizon_ns": 0}, "horizon_ns"),
        ({"expected_return": float("inf")}, "expected_return"),
    ],
)
def test_a_prediction_outside_its_bounds_is_refused_with_the_bound(
    changes: dict[str, object], told: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        prediction(**changes)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_int_is_accepted_for_a_direction() -> None:
    outcome = Outcome(
        symbol="X",
        ts_event=0,
        horizon_ns=1,
        label_id="l",
        ts_matured=1,
        direction=2,  # type: ignore[arg-type]
        realised_return=0.0,
    )
    assert outcome.direction is Direction.UP
    with pytest.raises(InvalidValue, match="DOWN 0, FLAT 1 or UP 2"):
        dataclasses.replace(outcome, direction=3)  # type: ignore[arg-type]


def test_an_outcome_cannot_mature_before_its_forecast() -> None:
    with pytest.raises(InvalidValue, match="ts_matured"):
        Outcome(
            symbol="X",
            ts_event=5,
            horizon_ns=1,
            label_id="l",
            ts_matured=4,
            direction=Direction.UP,
            realised_return=0.0,
        )


@pytest.mark.parametrize(
    ("probabilities", "direction"),
    [
        ((0.5, 0.3, 0.2), Direction.DOWN),
        ((0.3, 0.5, 0.2), Direction.FLAT),
        ((0.4, 0.2, 0.4), Direction.FLAT),
        ((0.2, 0.4, 0.4), Direction.FLAT),
        ((0.4, 0.4, 0.2), Direction.FLAT),
    ],
)
def test_a_tie_is_flat_and_never_the_first_maximum(
    probabilities: tuple[float, float, float], direction: Direction
) -> None:
    assert direction_of(probabilities) is direction


def test_a_bare_signal_spreads_the_rest_evenly() -> None:
    assert signal_probabilities(Direction.DOWN, 0.6) == pytest.approx((0.6, 0.2, 0.2))


def consensus(**changes: object) -> Consensus:
    fields: dict[str, object] = {
        "symbol": "X",
        "ts_event": 0,
        "horizon_ns": 1,
        "label_id": "l",
        "rule": "smart_vote",
        "level": "strong",
        "direction": 2,
        "probabilities": (0.1, 0.2, 0.7),
        "p_direction": 0.7,
        "confidence": 0.7,
        "score": 0.77,
        "agreement": 0.75,
        "support": 0.8,
        "meta_confidence": 0.7,
    }
    return Consensus(**(fields | changes))  # type: ignore[arg-type]


def test_a_consensus_keeps_direction_and_probabilities_apart() -> None:
    assert consensus(direction=0).direction is Direction.DOWN
    with pytest.raises(InvalidValue, match="support"):
        consensus(support=1.2)


def test_a_candle_with_its_close_above_its_high_is_refused() -> None:
    with pytest.raises(InvalidValue, match="low <= open, close <= high"):
        Candle(
            symbol="X",
            interval_ns=1,
            ts_open=0,
            ts_close=1,
            open=1.0,
            high=2.0,
            low=1.0,
            close=3.0,
            volume=0.0,
        )


def test_a_book_knows_its_mid_and_spread() -> None:
    book = BookSnapshot(symbol="X", ts_event=0, bids=np.array([[99.0, 1.0]]), asks=np.array([[101.0, 2.0]]))
    assert (book.mid, book.spread) == (100.0, 2.0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"quantity": 0.0}, "quantity must be finite and > 0"),
        ({"kind": "limit"}, "limit_price"),
        ({"kind": "stop"}, "stop_price"),
        ({"kind": "limit", "limit_price": -1.0}, "limit_price"),
    ],
)
def test_an_order_that_cannot_work_is_refused(changes: dict[str, object], told: str) -> None:
    fields: dict[str, object] = {
        "order_id": "1",
        "symbol": "X",
        "side": "BUY",
        "quantity": 1.0,
        "ts_event": 0,
    }
    order = Order(**fields)  # type: ignore[arg-type]
    assert order.side is Side.BUY
    assert order.kind is OrderKind.MARKET
    with pytest.raises(InvalidValue, match=told):
        Order(**(fields | changes))  # type: ignore[arg-type]


def test_a_policy_refuses_a_drawdown_limit_in_percent() -> None:
    with pytest.raises(InvalidValue, match="max_drawdown"):
        Policy(max_drawdown=8.0)


def test_an_unknown_name_lists_the_known_ones_and_what_was_meant() -> None:
    error = UnknownName("model", "XGBost", ["xgboost", "lightgbm"])
    assert "lightgbm, xgboost" in str(error)
    assert "did you mean 'xgboost'?" in str(error)
    assert error.exit_code == 2
    assert "choose one of" in str(UnknownName("model", "zzz", ["xgboost"]))


def test_equal_values_have_one_canonical_form() -> None:
    assert canonical_json({"b": [1, 2.5], "a": None}) == canonical_json({"a": None, "b": [1, 2.5]})
    assert canonical_json([np.float64(0.5), float("nan")]) == "[0.5,null]"
    with pytest.raises(InvalidValue, match="plain JSON"):
        canonical_json({1, 2})


def test_no_type_of_the_domain_is_left_out_of_the_front_page() -> None:
    assert sorted(domain.__all__) == sorted(set(domain.__all__))
    assert all(hasattr(domain, name) for name in domain.__all__)


def test_a_name_that_is_unknown_among_many_lists_the_nearest_few() -> None:
    known = [f"{name}USDT" for name in ("BTC", "ETH", *(f"C{i:03d}" for i in range(134)))]
    said = str(UnknownName("symbol", "BTCUSDX", known))
    assert said.startswith("symbol must be one of 136, as BTCUSDT, ")
    assert said.endswith("got 'BTCUSDX': did you mean 'BTCUSDT'?")
    assert len(said) < 160


@pytest.mark.parametrize(
    ("kind", "several"),
    [
        ("symbol of a signal", "symbols of a signal"),
        ("strategy", "strategies"),
        ("--dates", "values of --dates"),
    ],
)
def test_the_cure_of_an_unknown_name_reads_well(kind: str, several: str) -> None:
    assert str(UnknownName(kind, "qqq", ["abc"])).endswith(f": choose one of the known {several}")
