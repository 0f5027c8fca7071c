"""Which transport a URL means."""

from consilium.bus.transport.memory import MemoryTransport
from consilium.bus.transport.port import Transport
from consilium.bus.transport.redis_streams import RedisTransport


def open_transport(redis_url: str = "") -> Transport:
    """Return the transport of a Redis, or one in this process without a URL.

    Raises
    ------
    UsageError
        A URL that is none of Redis, or the package ``redis`` is not installed.

    Examples
    --------
    >>> open_transport().healthy()
    ''
    """
    return RedisTransport(redis_url) if redis_url else MemoryTransport()
