"""The calls as methods, for both clients: each is described once, with its parameters and its answer.

What an editor and a type checker read of them are the stubs ``waits.pyi`` and ``awaits.pyi``, printed from
the same functions by ``python tests/client_stub.py``; tests hold them to these and to the OpenAPI document.
"""

from collections.abc import Callable, Iterator
from inspect import Parameter, getmembers, iscoroutinefunction, isfunction, signature
from typing import Any, TypeVar

from consilium.app.client import calls, council_calls, network_calls
from consilium.app.client.call import Call

Kind = TypeVar("Kind", bound=type)

MODULES = (calls, council_calls, network_calls)


def described() -> Iterator[Callable[..., Call[Any]]]:
    """Return the functions that describe a call, each of which is a method of both clients."""
    for module in MODULES:
        for name, function in getmembers(module, isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield function


def with_calls(client: Kind) -> Kind:
    """Give a client a method for each call; coroutine functions where it awaits its answers."""
    awaits = iscoroutinefunction(vars(client)["__call__"])
    for describe in described():
        setattr(
            client,
            describe.__name__,
            _shown(_awaiting(describe) if awaits else _waiting(describe), describe, client),
        )
    return client


def _waiting(describe: Callable[..., Call[Any]]) -> Any:
    def method(self: Any, *args: Any, **given: Any) -> Any:
        return self(describe(*args, **given))

    return method


def _awaiting(describe: Callable[..., Call[Any]]) -> Any:
    async def method(self: Any, *args: Any, **given: Any) -> Any:
        return await self(describe(*args, **given))

    return method


def _shown(method: Any, describe: Callable[..., Any], client: type) -> Any:
    """Let a method be seen as one that was written in its class: name, place, words, parameters, answer."""
    told = signature(describe)
    own = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    (answer,) = told.return_annotation.__args__
    method.__name__, method.__doc__ = describe.__name__, describe.__doc__
    method.__module__, method.__qualname__ = client.__module__, f"{client.__qualname__}.{describe.__name__}"
    method.__signature__ = told.replace(parameters=[own, *told.parameters.values()], return_annotation=answer)
    method.__annotations__ = {**describe.__annotations__, "return": answer}
    return method
