"""What a download folder holds: symbols and period, fixed when it begins and kept beside the candles."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from consilium.domain.errors import DataProblem, UsageError
from consilium.domain.time import DAY_NS
from consilium.market.files import write_whole

PLAN = "plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How much to fetch: symbols, and either bars or days (0 where not used)."""

    symbols: int
    bars: int = 0
    days: int = 0

    def span(self, interval_ns: int) -> int:
        """Return the number of bars."""
        return self.bars or self.days * DAY_NS // interval_ns


PRESETS = {"small": Preset(symbols=15, bars=500), "full": Preset(symbols=100, days=90)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a folder holds or will hold.

    Parameters
    ----------
    exchange, quote, interval
        Where from, against which currency, length of a bar (``1h``).
    start_ts, end_ts
        First opening time, and the time before which the last bar opens, UTC nanoseconds.
    pairs
        Symbol to the exchange's name of the pair, in order of rank.
    asked
        What was asked for; another wish needs another folder.
    """

    exchange: str
    quote: str
    interval: str
    start_ts: int
    end_ts: int
    pairs: dict[str, str]
    asked: str


def wish(
    preset: str, symbols: Sequence[str] | None, bars: int | None, interval: str, exchange: str, quote: str
) -> str:
    """Return in words what was asked for: the same words mean the same download."""
    which = preset if symbols is None else ",".join(symbols)
    return f"{which} {bars or 'preset ' + preset} bars of {interval} in {quote} from {exchange}"


def stored_plan(folder: Path, asked: str) -> Plan | None:
    """Return the plan of a folder, None where there is none yet; refuse another wish's."""
    path = folder / PLAN
    if not path.exists():
        return None
    try:
        plan = Plan(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataProblem(
            f"{PLAN} must be a download's plan", f"'{path}' ({error})", "delete it, or choose another folder"
        ) from error
    if plan.asked != asked:
        raise UsageError(
            "a folder must hold one download",
            f"'{asked}' where '{plan.asked}' is",
            "repeat that call, or choose another folder",
        )
    return plan


def write_plan(folder: Path, plan: Plan) -> None:
    """Write the plan whole or not at all."""
    text = json.dumps(asdict(plan), indent=1).encode()
    write_whole(folder / PLAN, lambda out: out.write(text))
