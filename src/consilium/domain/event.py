"""The envelope in which every message travels and is kept."""

from dataclasses import dataclass

from consilium.domain.checks import require_at_least, require_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A message with its provenance.

    Parameters
    ----------
    version
        Of the payload's schema; older ones pass through upcasters.
    ts_event, ts_recorded
        When it happened, and when it was written down.
    payload
        The message itself, one of the domain types.
    """

    event_id: str
    topic: str
    stream: str
    version: int = 1
    ts_event: int
    ts_recorded: int
    cause_id: str = ""
    trace_id: str = ""
    payload: object

    def __post_init__(self) -> None:
        require_name("event_id", self.event_id)
        require_name("topic", self.topic)
        require_at_least("version", self.version, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerFailed:
    """A dead letter: the handler that failed, the message's topic, and the error's one line."""

    handler: str
    topic: str
    event_id: str
    error: str
    ts_event: int
