"""A typed client of the API, for programs that wait and for programs that do not. See docs/api.md."""

from consilium.app.client.carrying import ApiError
from consilium.app.client.concurrent import AsyncClient
from consilium.app.client.events import ServedEvent
from consilium.app.client.waiting import Client

__all__ = ["ApiError", "AsyncClient", "Client", "ServedEvent"]
