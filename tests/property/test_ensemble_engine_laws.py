"""Laws of the living engine: a replay gives the same state, and nothing from outside is fatal."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consilium.domain import (
    SECOND_NS,
    Consensus,
    Direction,
    ModelConfigured,
    Outcome,
    PerformanceReported,
    Prediction,
    RuleChanged,
    StepDone,
    signal_probabilities,
)
from consilium.ensemble.broker import REASONS, SignalBroker
from consilium.ensemble.engine import Engine
from engine_cases import LABEL, START, key, pure_engine, window

MODELS = ("xgboost", "lightgbm", "nhits", "tlob")
BAR_NS = 30 * SECOND_NS
SHARES = st.sampled_from([0.0, 0.1, 0.5, 1.0])
POLICIES = st.sampled_from(["agreement", "fixed_share", "adahedge"])


def engine(policy: str) -> Engine:
    return pure_engine(MODELS, loaded=MODELS[:2], trust=policy, horizon_ns=BAR_NS)


@st.composite
def happenings(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Draw what happens in turn: cycles with signals, steps of candles, changes of settings."""
    found: list[tuple[str, Any]] = []
    for _ in range(draw(st.integers(1, 9))):
        kind = draw(st.sampled_from(["cycle", "cycle", "step", "step", "setting"]))
        if kind == "cycle":
            said = st.tuples(
                st.sampled_from([*MODELS, "mpd", "gpt"]),
                st.sampled_from(["BUY", "SELL", "HOLD"]),
                st.sampled_from([0.2, 0.5, 0.9]),
                st.integers(-70, 6),
                st.sampled_from(["BTCUSDT", "ETHUSDT"]),
                st.sampled_from([None, 5]),
            )
            found.append((kind, draw(st.lists(said, max_size=4))))
        elif kind == "step":
            calls = st.tuples(
                st.sampled_from(MODELS[:2]), st.sampled_from(list(Direction)), st.booleans(), st.booleans()
            )
            found.append((kind, draw(st.lists(calls, max_size=3))))
        else:
            found.append(
                (
                    kind,
                    draw(
                        st.one_of(
                            st.builds(
                                RuleChanged,
                                rule=st.sampled_from(["majority", "smart_vote", "adaptive"]),
                                by=st.just("a"),
                                ts_event=st.just(1),
                            ),
                            st.builds(
                                ModelConfigured,
                                model=st.sampled_from(["xgb", "nhits"]),
                                enabled=st.booleans(),
                                allocation=st.none() | SHARES,
                                min_confidence=st.none() | SHARES,
                                by=st.just("a"),
                                ts_event=st.just(1),
                            ),
                            st.builds(
                                PerformanceReported,
                                model=st.sampled_from(["xgb", "nhits"]),
                                accuracy=SHARES,
                                by=st.just("a"),
                                ts_event=st.just(1),
                            ),
                        )
                    ),
                )
            )
    return found


def live(of: Engine, happened: Sequence[tuple[str, Any]], now: int = START) -> list[Any]:
    """Let it happen; return the journal, consensuses included."""
    journal: list[Any] = []

    def take(message: object) -> None:
        journal.append(message)
        journal.extend(of.handle(message))

    for kind, what in happened:
        now += 7 * SECOND_NS
        if kind == "cycle":
            said = {}
            for model, action, confidence, ago, symbol, horizon in what:
                body = {"action": action, "confidence": confidence, "timestamp": now // SECOND_NS + ago}
                more = {"symbol": symbol} | ({} if horizon is None else {"horizon": horizon})
                said[key(model)] = json.dumps(body | more).encode()
            journal.extend(of.cycle(now, said).messages)
        elif kind == "step":
            step(take, of, journal, now // BAR_NS * BAR_NS, what)
        else:
            take(what)
    return journal


def step(take: Any, of: Engine, journal: list[Any], close: int, calls: Sequence[Any]) -> None:
    take(
        Outcome(
            symbol="BTCUSDT",
            ts_event=close - BAR_NS,
            horizon_ns=BAR_NS,
            label_id=LABEL,
            ts_matured=close,
            direction=Direction(close // BAR_NS % 3),
            realised_return=0.01,
        )
    )
    take(window("BTCUSDT", close, volatility=0.01 + close % 7 / 100))
    for model, direction, sure, _ in calls:
        take(
            Prediction(
                model=model,
                symbol="BTCUSDT",
                ts_event=close,
                horizon_ns=BAR_NS,
                label_id=LABEL,
                probabilities=signal_probabilities(direction, 0.9 if sure else 0.5),
            )
        )
    journal.extend(of.flush(close))
    take(StepDone(feed="f", ts_event=close, digest="d"))


def replay(of: Engine, journal: Sequence[Any]) -> Engine:
    for message in journal:
        of.handle(message)
    of.settle()
    return of


@given(happenings(), POLICIES)
def test_replaying_the_journal_gives_the_same_state(happened: list[tuple[str, Any]], policy: str) -> None:
    lived = engine(policy)
    journal = live(lived, happened)
    assert replay(engine(policy), journal).state_hash() == lived.state_hash()
    inputs = [message for message in journal if not isinstance(message, Consensus)]
    assert replay(engine(policy), inputs).state_hash() == lived.state_hash()


@given(happenings(), happenings(), POLICIES)
def test_a_snapshot_and_the_rest_give_the_same_as_all_from_zero(
    first: list[tuple[str, Any]], then: list[tuple[str, Any]], policy: str
) -> None:
    lived = engine(policy)
    before = live(lived, first)
    restored = engine(policy)
    restored.restore(json.loads(json.dumps(lived.state())))
    assert restored.state_hash() == lived.state_hash()
    # A minute later for half of the examples, and as if no time had passed for the others.
    now = START + (len(then) % 2) * 70 * SECOND_NS
    after = live(lived, then, now)
    again = live(restored, then, now)
    assert [m for m in again if isinstance(m, Consensus)] == [m for m in after if isinstance(m, Consensus)]
    assert restored.state_hash() == lived.state_hash()
    assert replay(engine(policy), before + after).state_hash() == lived.state_hash()


@given(happenings(), POLICIES)
def test_a_message_given_twice_decides_nothing_twice(happened: list[tuple[str, Any]], policy: str) -> None:
    lived = engine(policy)
    journal = live(lived, happened)
    trust = lived.trust_log.state()
    inputs = [m for m in journal if not isinstance(m, RuleChanged | ModelConfigured | PerformanceReported)]
    for message in inputs:
        lived.handle(message)
    lived.settle()
    assert lived.trust_log.state() == trust


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
SIGNALLIKE = st.fixed_dictionaries(
    {},
    optional={
        "action": ANYTHING | st.sampled_from(["BUY", "SELL", "HOLD"]),
        "confidence": ANYTHING | st.floats(0, 1),
        "timestamp": ANYTHING | st.integers(START // SECOND_NS - 70, START // SECOND_NS + 10),
        "symbol": ANYTHING,
        "horizon": ANYTHING | st.floats(0, 1e12),
        "probabilities": ANYTHING | st.lists(st.floats(0, 1), min_size=3, max_size=3),
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=60) | ANYTHING.map(json.dumps) | SIGNALLIKE.map(json.dumps))
def test_whatever_lies_under_a_key_is_a_signal_or_a_known_reason(raw: bytes | str) -> None:
    broker = SignalBroker(symbol="BTCUSDT", horizon_ns=BAR_NS, label_id=LABEL)
    value = raw if isinstance(raw, bytes) else raw.encode()
    signals, rejected = broker.read(value, model="nhits", source="k", now_ns=START)
    assert set(rejected) <= set(REASONS)
    assert signals or rejected or value.strip() == b"[]"
    for said in signals:
        assert START - 60 * SECOND_NS <= said.ts_event <= START + 5 * SECOND_NS
    cycle = engine("fixed_share").cycle(START, {key("nhits"): value})
    assert len([m for m in cycle.messages if hasattr(m, "source")]) <= len(signals)


@given(happenings(), st.randoms())
def test_the_order_of_keys_does_not_matter(happened: list[tuple[str, Any]], random: Any) -> None:
    said = {
        key(model): json.dumps(
            {"action": action, "confidence": confidence, "timestamp": START // SECOND_NS + ago}
        ).encode()
        for kind, what in happened
        if kind == "cycle"
        for model, action, confidence, ago, _, _ in what
    }
    shuffled = list(said.items())
    random.shuffle(shuffled)
    one, other = engine("agreement"), engine("agreement")
    assert one.cycle(START, said) == other.cycle(START, dict(shuffled))
    assert one.state_hash() == other.state_hash()
