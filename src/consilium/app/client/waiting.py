"""The client for programs that wait."""

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import httpx

from consilium.app.client.call import Call
from consilium.app.client.carrying import (
    TRIES,
    answer_of,
    connection_of,
    error_of,
    pause_after,
    request_of,
    stream_of,
    stream_pause,
)
from consilium.app.client.events import EventReader, ServedEvent
from consilium.app.client.methods import with_calls

if TYPE_CHECKING:
    from consilium.app.client.waits import Waits
else:
    Waits = object

T = TypeVar("T")


@with_calls
class Client(Waits):
    """Asks the API, and waits for its answers; used in a ``with`` block.

    A request whose connection fails, or that the service cannot take just now, is sent again; one that writes
    carries an Idempotency-Key, so that it is carried out once.

    Parameters
    ----------
    url
        Such as ``http://127.0.0.1:8001``.
    key
        API key; empty for the routes that need none.
    timeout_s
        Of one request.
    verify
        Whether certificates are checked, or a file of those to trust.

    Examples
    --------
    >>> client = Client("http://127.0.0.1:8001", key="csl_...")
    >>> client.url
    'http://127.0.0.1:8001'
    """

    def __init__(
        self, url: str, *, key: str = "", timeout_s: float = 10.0, verify: bool | str = True
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(**connection_of(self.url, key, timeout_s, verify))

    def __call__(self, call: Call[T]) -> T:
        """Carry out a call.

        Raises
        ------
        ApiError
            The API refused.
        httpx.TransportError
            The service could not be reached.
        """
        asked = request_of(call)
        for tried in range(1, TRIES + 1):
            try:
                response = self._http.request(**asked)
            except httpx.TransportError:
                pause = pause_after(call, None, tried)
                if pause is None:
                    raise
            else:
                pause = pause_after(call, response, tried)
                if pause is None:
                    return answer_of(call, response)
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def events(
        self, topics: Sequence[str] | None = None, *, after: int | None = None
    ) -> Iterator[ServedEvent]:
        """Follow the journal without end; a stream that breaks is taken up again where it was.

        Parameters
        ----------
        topics
            Only these; all if not given.
        after
            Place after which to begin; the journal's end if not given.

        Raises
        ------
        ApiError
            The API refused.
        """
        reader, failed = EventReader(after), 0
        while True:
            try:
                with self._http.stream(**stream_of(reader, topics)) as response:
                    if not response.is_success and response.status_code < 500:
                        raise error_of(response.status_code, response.read())
                    response.raise_for_status()
                    failed = 0
                    reader.begin()
                    for line in response.iter_lines():
                        event = reader.take(line)
                        if event is not None:
                            yield event
            except (httpx.TransportError, httpx.HTTPStatusError):
                failed += 1
            time.sleep(stream_pause(failed))

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
