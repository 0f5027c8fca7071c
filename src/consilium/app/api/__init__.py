"""The API: one frame for every route, and the routes of this room. See docs/api.md."""

from consilium.app.api.frame import make_api

__all__ = ["make_api"]
