"""What can be asked of /api/network by who runs sessions; participants have a carrier of their own."""

from collections.abc import Mapping
from typing import Any

from consilium.app.api.network import Reports, SessionAbout, Sessions, SessionStands
from consilium.app.client.call import Call, get, part, post

_AT = "/api/network/sessions"


def sessions() -> Call[Sessions]:
    """How every session stands."""
    return get(_AT, Sessions)


def session_about(session: str) -> Call[SessionAbout]:
    """All that is agreed in a session, and how it stands."""
    return get(_of(session), SessionAbout)


def session_reports(session: str, since: int = 1) -> Call[Reports]:
    """Return the reports of the rounds from one on, the oldest first."""
    return get(f"{_of(session)}/reports", Reports, since=since)


def session_owners(session: str) -> Call[str]:
    """Return the signed owner list as it was issued."""
    return get(f"{_of(session)}/owners", str)


def create_session(terms: Mapping[str, Any]) -> Call[SessionStands]:
    """Begin a session, in the words of `NewSession`."""
    return post(_AT, SessionStands, terms)


def start_session(session: str, reason: str) -> Call[SessionStands]:
    """Begin the rounds of a session."""
    return post(f"{_of(session)}/start", SessionStands, {"reason": reason})


def pause_session(session: str, reason: str) -> Call[SessionStands]:
    """End the round that is on, and begin no other."""
    return post(f"{_of(session)}/pause", SessionStands, {"reason": reason})


def resume_session(session: str, reason: str) -> Call[SessionStands]:
    """Go on after a pause."""
    return post(f"{_of(session)}/resume", SessionStands, {"reason": reason})


def cancel_session(session: str, reason: str) -> Call[SessionStands]:
    """End a session for good."""
    return post(f"{_of(session)}/cancel", SessionStands, {"reason": reason})


def _of(session: str) -> str:
    return f"{_AT}/{part(session)}"
