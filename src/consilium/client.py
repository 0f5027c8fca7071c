"""The client of the service's API: ``from consilium.client import Client``."""

from consilium.app.client import ApiError, AsyncClient, Client, ServedEvent

__all__ = ["ApiError", "AsyncClient", "Client", "ServedEvent"]
