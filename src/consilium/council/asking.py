"""What a command asks of the holds: keys and values, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consilium.council.holds import MODE_ORDER, PROFILE_ORDER, looser, tighter
from consilium.council.payloads import LIMIT_OF
from consilium.domain import CouncilCommanded, InvalidValue, Mode, Policy, UnknownName
from consilium.domain.checks import finite
from consilium.domain.time import DAY_NS, MINUTE_NS

DAY_MINUTES = DAY_NS // MINUTE_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One key, the value that is wanted for it, and the name that the command calls it by."""

    key: str
    value: Any
    name: str

    def loosens(self, policy: Policy) -> bool:
        """Whether it allows anything that the policy forbids."""
        now = getattr(policy, self.key)
        return bool(looser(self.key, now, self.value) != tighter(self.key, now, now))

    def binds(self, base: Policy) -> bool:
        """Whether it forbids anything that the base allows."""
        start = getattr(base, self.key)
        return bool(tighter(self.key, start, self.value) != tighter(self.key, start, start))


def number_of(payload: Mapping[str, Any], name: str) -> float:
    """Return a finite number of a payload.

    Raises
    ------
    InvalidValue
        Missing, no number, or not finite.
    """
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not finite(value):
        raise InvalidValue(f"{name} must be a finite number", repr(value), "give a number")
    return float(value)


def text_of(payload: Mapping[str, Any], name: str) -> str:
    """Return a text of a payload that is not empty."""
    value = payload.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidValue(f"{name} must be a text that is not empty", repr(value), f"give the {name}")
    return value


def minutes_of(payload: Mapping[str, Any]) -> int | None:
    """Return the duration of a payload in minutes, within a day; None where none is given.

    Raises
    ------
    InvalidValue
        No whole number from 1 to 1440.
    """
    value = payload.get("duration_minutes")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= DAY_MINUTES:
        raise InvalidValue(
            f"duration_minutes must be a whole number from 1 to {DAY_MINUTES}", repr(value), "give minutes"
        )
    return value


def asks_of(command: CouncilCommanded, base: Policy, symbols: frozenset[str]) -> tuple[Ask, ...]:
    """Return what a command asks of mode, profile, limits or symbols.

    Raises
    ------
    InvalidValue
        A value beyond the base limits, or nothing asked.
    UnknownName
        No such mode, profile or symbol.
    """
    payload = command.payload
    minutes_of(payload)
    if command.action == "mode":
        return (Ask(key="mode", value=_named("mode", text_of(payload, "mode"), MODE_ORDER), name="mode"),)
    if command.action == "profile":
        name = _named("profile", text_of(payload, "profile"), PROFILE_ORDER)
        return (Ask(key="profile", value=name, name="profile"),)
    if command.action == "universe":
        return (Ask(key="symbols", value=_symbols(payload.get("symbols"), symbols), name="symbols"),)
    named = [name for name in LIMIT_OF if payload.get(name) is not None]
    strange = sorted(set(payload) - set(LIMIT_OF) - {"duration_minutes", "reason"})
    if strange:
        raise UnknownName("limit", strange[0], LIMIT_OF)
    if not named:
        raise InvalidValue("at least one limit must be given", "none", f"give one of {', '.join(LIMIT_OF)}")
    return tuple(
        Ask(key=LIMIT_OF[name], value=_limit(payload, name, getattr(base, LIMIT_OF[name])), name=name)
        for name in named
    )


def _named(kind: str, name: str, known: tuple[str, ...]) -> str:
    if name not in known:
        raise UnknownName(kind, name, known)
    return name


def _limit(payload: Mapping[str, Any], name: str, most: float) -> float:
    value = number_of(payload, name)
    if not 0.0 < value <= most:
        raise InvalidValue(f"{name} must be > 0 and <= {most:g}, its base", f"{value:g}", "stay within it")
    return value


def _symbols(value: object, known: frozenset[str]) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(s, str) and s for s in value):
        raise InvalidValue(
            "symbols must be a list of names that is not empty", repr(value), "give at least one, or pause"
        )
    names = tuple(sorted({str(name) for name in value}))
    for name in names:
        if known and name not in known:
            raise UnknownName("symbol", name, known)
    return names


def told_value(value: Any) -> str:
    """Write a value so that it can name a hold.

    Examples
    --------
    >>> told_value("PAUSED"), told_value(5.0), told_value(("A", "B"))
    ('PAUSED', '5', 'A,B')
    """
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


FROZEN = Mode.FROZEN.value
