"""Signs of life: each worker leaves one under its name in Redis, which forgets it where no other follows."""

from collections.abc import Sequence
from typing import Any

from consilium.bus.redis_link import RedisLink

LASTS_S = 10.0
"""After which time a sign of life is forgotten."""


class Signs:
    """Signs of life of the workers of a Redis; one that is away neither takes nor has any.

    Parameters
    ----------
    url
        As in `consilium.bus.redis_link.RedisLink`.
    lasts_s
        How long a sign counts: Redis itself measures it, so no clocks are compared.
    prefix
        Of its keys.
    """

    def __init__(self, url: str, *, lasts_s: float = LASTS_S, prefix: str = "consilium:alive:") -> None:
        self._link = RedisLink(url, connections=2)
        self._lasts_ms = max(1, round(1_000 * lasts_s))
        self._prefix = prefix

    def give(self, name: str, trouble: str = "") -> bool:
        """Leave a sign of life, with what troubles the worker; False while Redis is away."""
        key = self._prefix + name
        return self._link.call(lambda client: bool(client.set(key, trouble, px=self._lasts_ms)), False)

    def take_back(self, name: str) -> None:
        """Leave none any more: the worker ends."""
        self._link.call(lambda client: client.delete(self._prefix + name), 0)

    def seen(self, names: Sequence[str]) -> dict[str, str | None] | None:
        """Return by name what troubles a worker that lives, None for one that does not.

        Nothing at all is known while Redis is away: then it is None as a whole.
        """

        def work(client: Any) -> dict[str, str | None] | None:
            found = client.mget([self._prefix + name for name in names])
            told = [None if value is None else value.decode(errors="replace") for value in found]
            return dict(zip(names, told, strict=True))

        return self._link.call(work, None)

    def close(self) -> None:
        """Give the connections back."""
        self._link.close()
