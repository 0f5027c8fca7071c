"""Signals from outside: raw bytes become predictions, or a reason that is counted; nothing here is fatal."""

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from consilium.domain import (
    DAY_NS,
    SECOND_NS,
    Direction,
    InvalidValue,
    SignalReceived,
    canonical_model,
    direction_of,
    model_names,
    signal_probabilities,
)
from consilium.domain.checks import as_probabilities

SIGNAL_PREFIX = "quantum:model:"
"""Where the keys of signals begin."""

_KEY = re.compile(r"quantum:model:(.+):signal", re.DOTALL)
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,31}")
_WORDS = {"BUY": Direction.UP, "SELL": Direction.DOWN, "HOLD": Direction.FLAT}
_SECONDS_BELOW = 10**11
"""Smaller timestamps are seconds (until the year 5138), greater ones milliseconds (from 1973 on)."""

REASONS = (
    "unknown_model",
    "disabled_model",
    "too_large",
    "not_json",
    "not_a_signal",
    "no_action",
    "unknown_action",
    "no_confidence",
    "bad_confidence",
    "no_timestamp",
    "bad_timestamp",
    "future",
    "stale",
    "bad_symbol",
    "bad_horizon",
    "bad_probabilities",
    "crowded",
    "late",
    "duplicate",
)
"""Why a signal is not taken, in the order in which it is looked at."""


class Reading(NamedTuple):
    """What one value held: valid signals, and a reason for each that was not."""

    signals: tuple[SignalReceived, ...]
    rejected: tuple[str, ...]


class _Rejected(Exception):
    """A signal is not taken; its only argument is the reason."""


def model_of_key(key: str) -> str | None:
    """Return the canonical name of the model whose signal a key holds; None if it holds none.

    Examples
    --------
    >>> model_of_key("quantum:model:xgb:signal"), model_of_key("quantum:model:mpd:signal")
    ('xgboost', 'mpd_transformer')
    >>> model_of_key("quantum:trust:xgb") is None
    True
    """
    found = _KEY.fullmatch(key)
    return canonical_model(found[1]) if found else None


def signal_keys(model: str) -> list[str]:
    """Return the keys under which a model's signal may lie.

    Examples
    --------
    >>> signal_keys("lightgbm")
    ['quantum:model:lightgbm:signal', 'quantum:model:lgbm:signal']
    """
    return [f"{SIGNAL_PREFIX}{name}:signal" for name in model_names(model)]


class SignalBroker:
    """Reads what others wrote as their model's signal.

    A value is a JSON object ``{"action": "BUY"|"SELL"|"HOLD", "confidence": c, "timestamp": t}``, with
    ``symbol``, ``horizon`` (seconds) and ``probabilities`` (down, flat, up) if wanted, or a list of such
    objects. Other fields are not looked at.

    Parameters
    ----------
    symbol, horizon_ns
        Of signals that name none.
    label_id
        Of every signal.
    freshness_ns
        A signal older than this is stale; > 0, default 60 s.
    future_ns
        How far a signal's clock may be ahead; >= 0, default 5 s.
    most_bytes
        Largest value that is looked into; default 256 KiB.
    most_signals
        Most signals of one value; default 1000.

    Examples
    --------
    >>> broker = SignalBroker(symbol="BTCUSDT", horizon_ns=3600 * 10**9, label_id="l1")
    >>> said = b'{"action": "BUY", "confidence": 0.85, "timestamp": 1234567890}'
    >>> (signal,), _ = broker.read(said, model="xgboost", source="key", now_ns=1234567895 * 10**9)
    >>> signal.prediction.direction.name, signal.ts_event
    ('UP', 1234567890000000000)
    >>> broker.read(said, model="xgboost", source="key", now_ns=1234567951 * 10**9).rejected
    ('stale',)

    References
    ----------
    Seed 000, Model Broker.
    """

    def __init__(
        self,
        *,
        symbol: str,
        horizon_ns: int,
        label_id: str,
        freshness_ns: int = 60 * SECOND_NS,
        future_ns: int = 5 * SECOND_NS,
        most_bytes: int = 262_144,
        most_signals: int = 1_000,
    ) -> None:
        self.symbol = symbol
        self.horizon_ns = horizon_ns
        self.label_id = label_id
        self.freshness_ns = freshness_ns
        self.future_ns = future_ns
        self.most_bytes = most_bytes
        self.most_signals = most_signals

    def read(self, raw: bytes, *, model: str, source: str, now_ns: int) -> Reading:
        """Read one value.

        Parameters
        ----------
        model
            Canonical name of whose signal it is.
        source
            Where the value was found.
        now_ns
            The instant of reading, UTC nanoseconds.
        """
        try:
            written = self._written(raw)
        except _Rejected as rejected:
            return Reading((), (str(rejected),))
        signals, reasons = [], []
        for one in written if isinstance(written, list) else [written]:
            try:
                signals.append(self._signal(one, model, source, now_ns))
            except _Rejected as rejected:
                reasons.append(str(rejected))
        return Reading(tuple(signals), tuple(reasons))

    def _written(self, raw: bytes) -> Any:
        if len(raw) > self.most_bytes:
            raise _Rejected("too_large")
        try:
            written = json.loads(raw.decode(), parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise _Rejected("not_json") from None
        if isinstance(written, list) and len(written) > self.most_signals:
            raise _Rejected("too_large")
        return written

    def _signal(self, said: Any, model: str, source: str, now_ns: int) -> SignalReceived:
        if not isinstance(said, dict):
            raise _Rejected("not_a_signal")
        direction = _direction(said)
        confidence = _confidence(said)
        ts_event = self._timestamp(said, now_ns)
        symbol = self.symbol if said.get("symbol") is None else said["symbol"]
        if not (isinstance(symbol, str) and _SYMBOL.fullmatch(symbol)):
            raise _Rejected("bad_symbol")
        return SignalReceived(
            model=model,
            symbol=symbol,
            ts_event=ts_event,
            horizon_ns=self._horizon(said),
            label_id=self.label_id,
            probabilities=_probabilities(said, direction, confidence),
            confidence=confidence,
            source=source,
            ts_received=now_ns,
        )

    def _timestamp(self, said: Mapping[str, Any], now_ns: int) -> int:
        if said.get("timestamp") is None:
            raise _Rejected("no_timestamp")
        given = _number(said["timestamp"], "bad_timestamp")
        if given < 0:
            raise _Rejected("bad_timestamp")
        in_seconds = given < _SECONDS_BELOW
        if isinstance(given, int):
            ts_event = given * (SECOND_NS if in_seconds else SECOND_NS // 1_000)
        else:
            # A float of seconds carries no more than microseconds.
            ts_event = round(given * 1e6) * 1_000 if in_seconds else round(given * 1e3) * 1_000
        if ts_event > now_ns + self.future_ns:
            raise _Rejected("future")
        if ts_event < now_ns - self.freshness_ns:
            raise _Rejected("stale")
        return ts_event

    def _horizon(self, said: Mapping[str, Any]) -> int:
        if said.get("horizon") is None:
            return self.horizon_ns
        seconds = _number(said["horizon"], "bad_horizon")
        if not 0 < seconds <= 366 * DAY_NS // SECOND_NS:
            raise _Rejected("bad_horizon")
        return max(1, round(seconds * SECOND_NS))


def _no_number(name: str) -> float:
    raise ValueError(name)


def _number(value: Any, reason: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Rejected(reason)
    if isinstance(value, float) and not isfinite(value):
        raise _Rejected(reason)
    return value


def _direction(said: Mapping[str, Any]) -> Direction:
    word = said.get("action")
    if word is None:
        raise _Rejected("no_action")
    if not isinstance(word, str) or word.upper() not in _WORDS:
        raise _Rejected("unknown_action")
    return _WORDS[word.upper()]


def _confidence(said: Mapping[str, Any]) -> float:
    if said.get("confidence") is None:
        raise _Rejected("no_confidence")
    confidence = _number(said["confidence"], "bad_confidence")
    if not 0 <= confidence <= 1:
        raise _Rejected("bad_confidence")
    return float(confidence)


def _probabilities(
    said: Mapping[str, Any], direction: Direction, confidence: float
) -> tuple[float, float, float]:
    """Take the probabilities given, which must lean to the action; else spread the confidence."""
    given = said.get("probabilities")
    if given is None:
        return signal_probabilities(direction, confidence)
    if not isinstance(given, list):
        raise _Rejected("bad_probabilities")
    for value in given:
        _number(value, "bad_probabilities")
    try:
        probabilities = as_probabilities("probabilities", given)
    except (InvalidValue, OverflowError):
        raise _Rejected("bad_probabilities") from None
    if direction_of(probabilities) is not direction:
        raise _Rejected("bad_probabilities")
    return probabilities
