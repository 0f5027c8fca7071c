"""What can be asked of /api/network by who runs sessions; participants have a carrier of their own."""

from collections.abc import Mapping
from typing import Any

from consilium.app.api.network import Reports, SessionAbout, Sessions, SessionStands
from consilium.app.client.call import Call, get, post


def sessions() -> Call[Sessions]:
    """How every session stands."""
    return get("/api/network/sessions", Sessions)


def session(name: str) -> Call[SessionAbout]:
    """All that is agreed in a session, and how it stands."""
    return get(f"/api/network/sessions/{name}", SessionAbout)


def create_session(body: Mapping[str, Any]) -> Call[SessionStands]:
    """Begin a session, in the words of `NewSession`."""
    return post("/api/network/sessions", SessionStands, body)


def move_session(name: str, word: str, reason: str) -> Call[SessionStands]:
    """Start, pause, resume or cancel a session."""
    return post(f"/api/network/sessions/{name}/{word}", SessionStands, {"reason": reason})


def session_reports(name: str) -> Call[Reports]:
    """Return the reports of all rounds, the oldest first."""
    return get(f"/api/network/sessions/{name}/reports", Reports)
