"""The calls as methods, for both clients: each is described once, with its parameters and its answer."""

from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import Parameter, signature
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from consilium.app.client import calls, council_calls, network_calls
from consilium.app.client.call import Call

P = ParamSpec("P")
T = TypeVar("T")
Kind = TypeVar("Kind", bound=type)


class Waits(Protocol):
    """A client that waits for its answers."""

    def close(self) -> None:
        """Let go of the connections."""


class Awaits(Protocol):
    """A client that awaits them."""

    async def aclose(self) -> None:
        """Let go of the connections."""


class Asked(Generic[P, T]):
    """What a method is to each client; at run time it is a plain function."""

    @overload
    def __get__(self, client: None, owner: object) -> Callable[Concatenate[Any, P], Any]: ...
    @overload
    def __get__(self, client: Waits, owner: object) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: Awaits, owner: object) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: object, owner: object) -> Any:
        """Return the method."""


def asked(describe: Callable[P, Call[T]]) -> Asked[P, T]:
    """Return a method that carries out what a function describes, with its name, parameters and words."""

    @wraps(describe)
    def method(self: Any, *args: P.args, **given: P.kwargs) -> Any:
        return self(describe(*args, **given))

    return cast("Asked[P, T]", _shown(method, describe))


def awaited(client: Kind) -> Kind:
    """Let the methods of a client be coroutine functions, as they are said to be."""
    for name, method in vars(Calls).items():
        if hasattr(method, "describe"):
            setattr(client, name, _awaiting(method.describe))
    return client


def _awaiting(describe: Callable[..., Call[Any]]) -> Any:
    @wraps(describe)
    async def method(self: Any, *args: Any, **given: Any) -> Any:
        return await self(describe(*args, **given))

    return _shown(method, describe)


def _shown(method: Any, describe: Callable[..., Any]) -> Any:
    """Give a method the parameters of its function behind its own."""
    del method.__wrapped__
    told = signature(describe)
    own = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    answer = told.return_annotation.__args__[0]
    method.__signature__ = told.replace(parameters=[own, *told.parameters.values()], return_annotation=answer)
    method.describe = describe
    return method


class Calls:
    """One method for each route."""

    livez = asked(calls.livez)
    readyz = asked(calls.readyz)
    health = asked(calls.health)
    metrics = asked(calls.metrics)
    ensemble_status = asked(calls.ensemble_status)
    ensemble_models = asked(calls.ensemble_models)
    enable_model = asked(calls.enable_model)
    weigh_model = asked(calls.weigh_model)
    choose_strategy = asked(calls.choose_strategy)
    report_performance = asked(calls.report_performance)
    start_training = asked(calls.start_training)
    training_status = asked(calls.training_status)
    cancel_training = asked(calls.cancel_training)
    consensus = asked(calls.consensus)
    market_status = asked(calls.market_status)
    candles = asked(calls.candles)
    predictions = asked(calls.predictions)
    trading_status = asked(calls.trading_status)
    positions = asked(calls.positions)
    orders = asked(calls.orders)
    fills = asked(calls.fills)
    event_history = asked(calls.event_history)
    publish = asked(calls.publish)

    # the council

    council_status = asked(council_calls.council_status)
    decisions = asked(council_calls.decisions)
    council_policy = asked(council_calls.council_policy)
    holds = asked(council_calls.holds)
    approvals = asked(council_calls.approvals)
    alerts = asked(council_calls.alerts)
    explain_decision = asked(council_calls.explain_decision)
    change_mode = asked(council_calls.change_mode)
    adjust_risk = asked(council_calls.adjust_risk)
    change_profile = asked(council_calls.change_profile)
    change_universe = asked(council_calls.change_universe)
    change_allocation = asked(council_calls.change_allocation)
    approve = asked(council_calls.approve)
    freeze = asked(council_calls.freeze)
    review = asked(council_calls.review)
    release_hold = asked(council_calls.release_hold)
    retire_source = asked(council_calls.retire_source)
    acknowledge = asked(council_calls.acknowledge)
    enable_role = asked(council_calls.enable_role)
    disable_role = asked(council_calls.disable_role)

    # learning together

    sessions = asked(network_calls.sessions)
    session_about = asked(network_calls.session_about)
    session_reports = asked(network_calls.session_reports)
    session_owners = asked(network_calls.session_owners)
    create_session = asked(network_calls.create_session)
    start_session = asked(network_calls.start_session)
    pause_session = asked(network_calls.pause_session)
    resume_session = asked(network_calls.resume_session)
    cancel_session = asked(network_calls.cancel_session)
