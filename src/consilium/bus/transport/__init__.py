"""How events travel: a window onto the journal, in this process or in Redis, read by groups of consumers."""

from consilium.bus.transport.memory import MemoryTransport
from consilium.bus.transport.opening import open_transport
from consilium.bus.transport.port import Consumed, DeadLetter, Handler, Transport
from consilium.bus.transport.pump import Pump, replay
from consilium.bus.transport.redis_streams import RedisTransport

__all__ = [
    "Consumed",
    "DeadLetter",
    "Handler",
    "MemoryTransport",
    "Pump",
    "RedisTransport",
    "Transport",
    "open_transport",
    "replay",
]
