"""What the parts of the room remember, as JSON values, and how they take it up again."""

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any, ClassVar

from consilium.domain import InvalidValue, Order, Policy


def plain(value: Any) -> Any:
    """Return a scalar as JSON has it; a float that is not finite, which JSON has not, as a list of its name.

    Examples
    --------
    >>> plain(0.1), plain(float("inf")), plain("o1"), plain(None)
    (0.1, ['inf'], 'o1', None)
    """
    return [repr(value)] if isinstance(value, float) and not isfinite(value) else value


def scalar(value: Any) -> Any:
    """Return what ``plain`` wrote.

    Examples
    --------
    >>> scalar(['-inf']), scalar(7)
    (-inf, 7)
    """
    return float(value[0]) if isinstance(value, list) else value


class Kept:
    """Something whose state is the scalars that ``kept`` names, and whatever a subclass adds."""

    __slots__ = ()
    kept: ClassVar[tuple[str, ...]] = ()

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON values; settings are not part of it."""
        return {name: plain(getattr(self, name)) for name in self.kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned.

        Raises
        ------
        InvalidValue
            The state is of something else.
        """
        for name in self.kept:
            if name not in state:
                raise InvalidValue(
                    f"the state of a {type(self).__name__} must have {name}", "none", "restore a whole state"
                )
            setattr(self, name, scalar(state[name]))


def order_state(order: Order) -> dict[str, Any]:
    """Return an order as JSON values."""
    return {field.name: plain(getattr(order, field.name)) for field in fields(order)}


def read_order(state: Mapping[str, Any]) -> Order:
    """Return the order that ``order_state`` wrote."""
    return Order(**{name: scalar(value) for name, value in state.items()})


def policy_state(policy: Policy) -> dict[str, Any]:
    """Return a policy as JSON values."""
    state = {field.name: getattr(policy, field.name) for field in fields(policy)}
    symbols = None if policy.symbols is None else list(policy.symbols)
    return state | {"symbols": symbols, "weights": dict(policy.weights)}


def read_policy(state: Mapping[str, Any]) -> Policy:
    """Return the policy that ``policy_state`` wrote.

    Examples
    --------
    >>> policy = Policy(symbols=("A", "B"), weights={"m": 1.0})
    >>> read_policy(policy_state(policy)) == policy
    True
    """
    symbols = state["symbols"]
    return Policy(**{**state, "symbols": None if symbols is None else tuple(symbols)})
