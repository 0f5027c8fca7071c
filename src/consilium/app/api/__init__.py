"""The API: one frame for every route, and the routes of this room. See docs/api.md."""
