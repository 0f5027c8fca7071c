"""A request that is not sent yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """A request, and what its answer is.

    Parameters
    ----------
    answer
        Type of the answer; ``str`` for plain text.
    also
        Statuses beside 2xx whose body is an answer too.
    """

    method: str
    path: str
    answer: Any
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    also: tuple[int, ...] = ()

    def read(self, content: bytes) -> T:
        """Return the answer of a body."""
        value: Any = (
            content.decode() if self.answer is str else TypeAdapter(self.answer).validate_json(content)
        )
        found: T = value
        return found


def part(text: str) -> str:
    """Return a text as one part of a path.

    Examples
    --------
    >>> part("a/b c")
    'a%2Fb%20c'
    """
    return quote(text, safe="")


def get(path: str, answer: Any, also: tuple[int, ...] = (), **params: Any) -> Call[Any]:
    """Return a request that reads; parameters that are None are left out."""
    given = {name: value for name, value in params.items() if value is not None}
    return Call(method="GET", path=path, answer=answer, params=given, also=also)


def post(path: str, answer: Any, body: Mapping[str, Any] | None = None) -> Call[Any]:
    """Return a request that writes."""
    return Call(method="POST", path=path, answer=answer, body=body)
