"""What a trading worker may do: no council sits among workers, so it fails closed, and halts on a note."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from consilium.app.council.kill_switch import command_of, read_note
from consilium.app.live.records import COMMANDED
from consilium.app.settings import Settings
from consilium.council.policy import policy_for
from consilium.domain import CouncilCommanded, Mode, Policy

TOPIC = COMMANDED
UNGOVERNED = (
    "no council sits among workers: no entries; set council.enabled to false to trade by the limits of "
    "paper.profile, or run consilium serve"
)
LIFTED = "lifted-"

log = logging.getLogger("consilium.worker")


class Ungoverned:
    """The policy of a trading worker: of the capital profile, without entries where a council is asked for.

    A note of the kill switch becomes a row of the journal, and counts when that comes back; so does its
    removal. Who removes it answers for it: there is no council to review.

    Parameters
    ----------
    settings
        Of the process.
    """

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
        if self._settings.council.enabled:
            return replace(policy, mode=Mode.PAUSED.value, entry=False)
        return policy

    @property
    def warning(self) -> str:
        """Return why it makes no entries; empty if it does."""
        if self.halt:
            return "frozen by a note: remove live/FROZEN.json of the data folder when that is over"
        return UNGOVERNED if self._settings.council.enabled else ""

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

    def hear(self, command: CouncilCommanded) -> None:
        """Take a command of the journal: only a halt and its end mean something here."""
        if command.action == "mode" and command.payload.get("mode") == Mode.FROZEN:
            self.halt = command.command_id
            log.critical("frozen by %s: %s", command.person, command.reason)
        elif self.halt and command.command_id == f"{LIFTED}{self.halt}":
            self.halt = ""
            log.warning("the note of the halt was removed: no longer frozen")

    def state(self) -> str:
        """Return all that it remembers."""
        return self.halt

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up the state of a room; one from before there were halts has none."""
        self.halt = str(state.get("halt", ""))
