"""What a trading worker may do where no council is asked for: it halts on a note, and goes on without."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from consilium.app.council.kill_switch import command_of, read_note
from consilium.app.live.records import COMMANDED
from consilium.app.settings import Settings
from consilium.bus.codec import message_of
from consilium.council.policy import policy_for
from consilium.domain import CouncilCommanded, Event, Mode, Policy

LIFTED = "lifted-"

log = logging.getLogger("consilium.worker")


class Ungoverned:
    """The policy of a trading worker with ``council.enabled`` false: that of the capital profile.

    A note of the kill switch becomes a row of the journal, and counts when that comes back; so does its
    removal. Who removes it answers for it: there is no council to review.

    Parameters
    ----------
    settings
        Of the process.
    """

    topics: tuple[str, ...] = (COMMANDED,)
    waits = False
    """It waits for nobody's word."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.halt = ""
        """The id of the command that stopped trading; empty if none did."""

    @property
    def policy(self) -> Policy:
        """Return what is in force."""
        policy = policy_for(self._settings.paper.profile)
        if self.halt:
            return replace(policy, mode=Mode.FROZEN.value, entry=False, strategy_exit=False)
        return policy

    @property
    def warning(self) -> str:
        """Return why it makes no entries; empty if it does."""
        if self.halt:
            return "frozen by a note: remove live/FROZEN.json of the data folder when that is over"
        return ""

    def look(self, now: int) -> CouncilCommanded | None:
        """Return the command that the data folder asks for now and the journal does not have."""
        note = read_note(self._settings.data_dir)
        if note is not None:
            return None if note["command_id"] == self.halt else command_of(note, now)
        if not self.halt:
            return None
        return CouncilCommanded(
            command_id=f"{LIFTED}{self.halt}",
            action="review",
            payload={"what": "freeze"},
            reason="the note of the halt was removed",
            person="operator",
            ts_event=now,
        )

    def listen(self) -> None:
        """Return that there is nobody to be heard."""

    def hear(self, event: Event) -> None:
        """Take a command of the journal: only a halt and its end mean something here."""
        command: CouncilCommanded = message_of(event)
        if command.action == "mode" and command.payload.get("mode") == Mode.FROZEN:
            self.halt = command.command_id
            log.critical("frozen by %s: %s", command.person, command.reason)
        elif self.halt and command.command_id == f"{LIFTED}{self.halt}":
            self.halt = ""
            log.warning("the note of the halt was removed: no longer frozen")

    def state(self) -> dict[str, Any]:
        """Return all that it remembers, as JSON values."""
        return {"halt": self.halt}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned; a state of a governed room is refused by its lack of this one."""
        if "ruled" in state:
            raise KeyError("halt of a room without a council")
        self.halt = str(state["halt"])
