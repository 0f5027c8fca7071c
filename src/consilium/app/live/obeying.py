"""What a trading worker may do: what the council rules, and no entries where it hears none."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from consilium.app.council.kill_switch import command_of, read_note
from consilium.app.council.making import make_council
from consilium.app.live.records import (
    COMMAND_TAKEN,
    COMMANDED,
    COUNCIL_HEARD,
    POLICY_CHANGED,
    STEP_RULED,
)
from consilium.app.settings import Settings
from consilium.bus.codec import message_of
from consilium.bus.payloads import decode, encode
from consilium.domain import CouncilCommanded, Event, Mode, Policy

SILENT = "no word of the council: no entries; start consilium worker council"
KILLS_KEPT = 64
_WITHOUT_ENTRIES = frozenset((Mode.PAUSED, Mode.REDUCING, Mode.EMERGENCY, Mode.FROZEN))

log = logging.getLogger("consilium.worker")


class Obeying:
    """The policy of a trading worker, as the journal's rows tell it.

    Until a policy is heard, the council's first one is in force: PAUSED. Where the council is not heard any
    more, the last one is, without entries. A halt counts at once and until the council has taken it; then its
    freeze does. Whatever becomes of a note on the disk, what the journal says stays.

    Parameters
    ----------
    settings
        Of the process.
    heard
        Returns whether the council gives signs of life now.
    clock
        Seconds that go forward.
    """

    topics: tuple[str, ...] = (COMMANDED, POLICY_CHANGED, STEP_RULED, COMMAND_TAKEN, COUNCIL_HEARD)

    def __init__(
        self,
        settings: Settings,
        heard: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._alive = heard
        self._clock = clock
        self._ruled = _closed(make_council(settings).policy)
        self._kills: list[str] = []
        self._seen_at: float | None = None
        self._owed_since = clock()
        self._spoke = False
        self.halt = ""
        """The id of a command that stopped trading, and that the council has not taken yet."""
        self.lost = False
        """Whether the council is not heard."""
        self.due: int | None = None
        """The close on which it has not said its last word; None where there is none."""

    @property
    def policy(self) -> Policy:
        """Return what is in force."""
        if self.halt:
            return replace(self._ruled, mode=Mode.FROZEN.value, entry=False, strategy_exit=False)
        return _closed(self._ruled) if self.lost else self._ruled

    @property
    def waits(self) -> bool:
        """Whether the next step has to wait for the word on the last one."""
        return self.due is not None and not self.lost

    @property
    def warning(self) -> str:
        """Return why it makes no entries; empty if that is not its own doing."""
        return "frozen by a halt that the council has not taken yet" if self.halt else self.silence

    @property
    def silence(self) -> str:
        """Return that the council is not heard; empty if it is."""
        return SILENT if self.lost else ""

    def look(self, now: int) -> CouncilCommanded | None:
        """Return the command that the data folder asks for now and the journal does not have."""
        note = read_note(self._settings.data_dir)
        return None if note is None or note["command_id"] in self._kills else command_of(note, now)

    def listen(self) -> bool | None:
        """Return whether the council is heard from now on, where that is another than it was.

        It is lost where it gave no sign of life for ``council.lost_s``, or was silent on a close for so long;
        neither stands for the other.
        It is heard again where it lives and owes no word, or has said one since: on a feed that is faster it
        would always owe one. The next step waits for the word on the last one then.
        """
        now, alive = self._clock(), self._alive()
        if alive or self._seen_at is None:  # nobody has looked before the first time
            self._seen_at = now
        if self.lost:
            return True if alive and (self.due is None or self._spoke) else None
        oldest = self._seen_at if self.due is None else min(self._seen_at, self._owed_since)
        return False if now - oldest > self._settings.council.lost_s else None

    def hear(self, event: Event) -> None:
        """Take a row of the journal."""
        message = message_of(event)
        if event.topic == POLICY_CHANGED:
            self._ruled = message.policy
        elif event.topic == COMMANDED:
            self._commanded(message)
        elif event.topic == STEP_RULED:
            self._spoke = True
            if self.due is not None and message["ts_event"] >= self.due:
                self.due = None
        elif event.topic == COMMAND_TAKEN:
            frozen = self._ruled.mode == Mode.FROZEN
            if message["command_id"] == self.halt and (frozen or message["refused"]):
                self.halt = ""
        elif event.topic == COUNCIL_HEARD:
            self.lost, self._spoke = not message["heard"], False
            self._seen_at = self._owed_since = self._clock()
            log.warning("%s", self.silence or "the council is heard again")

    def _commanded(self, command: CouncilCommanded) -> None:
        if command.action != "mode" or command.payload.get("mode") != Mode.FROZEN:
            return
        if command.command_id in self._kills and self._ruled.mode == Mode.FROZEN:
            return  # two have read one note; where its freeze is over it is a halt again
        known = [kill for kill in self._kills if kill != command.command_id]
        self._kills = [*known, command.command_id][-KILLS_KEPT:]
        self.halt = command.command_id
        log.critical("frozen by %s: %s", command.person, command.reason)

    def traded(self, ts: int) -> None:
        """Know that the council is told of a close; its word on it is waited for."""
        if self.due is None:
            self._owed_since = self._clock()
        self.due = ts

    def state(self) -> dict[str, Any]:
        """Return all that it remembers, as JSON values."""
        return {
            "ruled": encode(self._ruled),
            "kills": list(self._kills),
            "halt": self.halt,
            "lost": self.lost,
            "due": self.due,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        self._ruled = decode(Policy, state["ruled"])
        self._kills = [str(kill) for kill in state["kills"]]
        self.halt, self.lost, self.due = str(state["halt"]), bool(state["lost"]), state["due"]
        self._seen_at, self._owed_since, self._spoke = None, self._clock(), False


def _closed(policy: Policy) -> Policy:
    """Return a policy without entries."""
    mode = policy.mode if policy.mode in _WITHOUT_ENTRIES else Mode.PAUSED.value
    return replace(policy, mode=mode, entry=False)
