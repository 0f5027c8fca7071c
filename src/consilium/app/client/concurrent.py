"""The client for programs that do not wait."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from consilium.app.api.answers import (
    Account,
    Alive,
    Candles,
    Done,
    EnsembleStatus,
    Health,
    MarketStatus,
    ModelKnown,
    Page,
    Positions,
    Published,
    Readiness,
    TrainingStatus,
)
from consilium.app.client import calls
from consilium.app.client.calls import Call
from consilium.app.client.carrying import TRIES, answer_of, error_of, headers_of, pause_after, request_of
from consilium.app.client.events import EventReader, ServedEvent, params_of

T = TypeVar("T")


class AsyncClient:
    """Asks the API, and awaits its answers; used in an ``async with`` block.

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
    >>> client = AsyncClient("http://127.0.0.1:8001", key="csl_...")
    >>> client.url
    'http://127.0.0.1:8001'
    """

    def __init__(
        self, url: str, *, key: str = "", timeout_s: float = 10.0, verify: bool | str = True
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url, headers=headers_of(key), timeout=timeout_s, verify=verify, trust_env=False
        )

    async def __call__(self, call: Call[T]) -> T:
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
                response = await self._http.request(**asked)
            except httpx.TransportError:
                pause = pause_after(call, None, tried)
                if pause is None:
                    raise
            else:
                pause = pause_after(call, response, tried)
                if pause is None:
                    return answer_of(call, response)
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def events(
        self, topics: Sequence[str] | None = None, *, after: int | None = None
    ) -> AsyncIterator[ServedEvent]:
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
                async with self._http.stream(
                    "GET", "/api/events", params=params_of(topics), headers=reader.headers(), timeout=60.0
                ) as response:
                    if not response.is_success and response.status_code < 500:
                        raise error_of(response.status_code, await response.aread())
                    response.raise_for_status()
                    failed = 0
                    reader.begin()
                    async for line in response.aiter_lines():
                        event = reader.take(line)
                        if event is not None:
                            yield event
            except (httpx.TransportError, httpx.HTTPStatusError):
                failed += 1
            await asyncio.sleep(min(5.0, 0.1 * 2.0 ** min(failed, 6)))

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def livez(self) -> Alive:
        """Whether the process answers."""
        return await self(calls.livez())

    async def readyz(self) -> Readiness:
        """Whether the service can do its work; a service that cannot is an answer, no error."""
        return await self(calls.readyz())

    async def health(self) -> Health:
        """How the service is."""
        return await self(calls.health())

    async def metrics(self) -> str:
        """Figures in Prometheus' text form."""
        return await self(calls.metrics())

    async def ensemble_status(self) -> EnsembleStatus:
        """Rule, models, newest consensus."""
        return await self(calls.ensemble_status())

    async def ensemble_models(self) -> list[ModelKnown]:
        """All that is known of each model."""
        return await self(calls.ensemble_models())

    async def enable_model(self, model_type: str, enabled: bool) -> Done:
        """Let a model take part, or not."""
        return await self(calls.enable_model(model_type, enabled))

    async def weigh_model(self, model_type: str, weight: float) -> Done:
        """Set the share of a model before experience."""
        return await self(calls.weigh_model(model_type, weight))

    async def choose_strategy(self, strategy: str) -> Done:
        """Choose the consensus rule."""
        return await self(calls.choose_strategy(strategy))

    async def report_performance(self, model_type: str, accuracy: float, profit_factor: float) -> Done:
        """Keep what was measured of a model."""
        return await self(calls.report_performance(model_type, accuracy, profit_factor))

    async def start_training(
        self, architecture: str, symbol: str, epochs: int = 100, batch_size: int = 32
    ) -> TrainingStatus:
        """Begin to train a model."""
        return await self(calls.start_training(architecture, symbol, epochs, batch_size))

    async def training_status(self) -> TrainingStatus:
        """How far the training is."""
        return await self(calls.training_status())

    async def cancel_training(self) -> TrainingStatus:
        """End the training that runs."""
        return await self(calls.cancel_training())

    async def consensus(self, symbol: str | None = None, after: int = 0, limit: int = 100) -> Page:
        """Return consensuses, in the order of the journal."""
        return await self(calls.consensus(symbol, after, limit))

    async def market_status(self) -> MarketStatus:
        """What is followed, and how far."""
        return await self(calls.market_status())

    async def candles(self, symbol: str, limit: int = 100) -> Candles:
        """Return the newest candles of a symbol."""
        return await self(calls.candles(symbol, limit))

    async def predictions(self, symbol: str | None = None, after: int = 0, limit: int = 100) -> Page:
        """Forecasts, in the order of the journal."""
        return await self(calls.predictions(symbol, after, limit))

    async def trading_status(self) -> Account:
        """What the account is worth and holds."""
        return await self(calls.trading_status())

    async def positions(self) -> Positions:
        """What is held."""
        return await self(calls.positions())

    async def orders(self, after: int = 0, limit: int = 100) -> Page:
        """Orders and what became of them."""
        return await self(calls.orders(after, limit))

    async def fills(self, after: int = 0, limit: int = 100) -> Page:
        """Return fills, in the order of the journal."""
        return await self(calls.fills(after, limit))

    async def event_history(
        self,
        topics: Sequence[str] | None = None,
        after: int = 0,
        before: int | None = None,
        limit: int = 100,
    ) -> Page:
        """Events of the journal, page by page; newest first where ``before`` is given."""
        return await self(calls.event_history(topics, after, before, limit))

    async def publish(
        self, topic: str, *, source: str, sequence: int, ts_event: int, payload: Mapping[str, Any]
    ) -> Published:
        """Publish an event of an outside system; the same source and sequence again changes nothing."""
        return await self(
            calls.publish(topic, source=source, sequence=sequence, ts_event=ts_event, payload=payload)
        )
