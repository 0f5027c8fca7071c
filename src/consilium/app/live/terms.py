"""What is followed: fixed when the first step is made, for replays must read the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consilium.domain import Candle


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Feed, symbols and bars of a data folder."""

    feed: str = ""
    interval_ns: int = 0
    symbols: tuple[str, ...] = ()
    bars_per_day: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "feed": self.feed,
            "interval_ns": self.interval_ns,
            "symbols": list(self.symbols),
            "bars_per_day": dict(self.bars_per_day),
        }

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Terms":
        """Read what ``as_dict`` wrote."""
        return cls(**{**fields, "symbols": tuple(fields["symbols"])})

    def objection(self, candle: Candle, ts_close: int) -> str:
        """Return why a candle is not the next of its symbol after a close; nothing if it is."""
        if candle.symbol not in self.bars_per_day:
            return "unknown_symbol"
        if candle.interval_ns != self.interval_ns:
            return "other_length"
        return "repeated" if candle.ts_close <= ts_close else ""
