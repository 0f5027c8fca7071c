"""The kill switch of a process: it acts, leaves its note, and says so where it could do neither."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from consilium.app.council.kill_switch import KILL, note_of
from consilium.app.live.records import COMMANDED
from consilium.bus.codec import message_of
from consilium.bus.journal import Journal
from consilium.council.freezing import MANUAL_HOLD
from consilium.council.identity import command_id_of
from consilium.council.service import CouncilService
from consilium.domain import OutputProblem

log = logging.getLogger("consilium.council")


def halt_stands(service: CouncilService) -> bool:
    """Whether an operator's freeze is in force; any other freeze that holds is none."""
    return MANUAL_HOLD in service.holds


def standing_halt(service: CouncilService, known: Iterable[str]) -> str:
    """Return which of some halts brought the operator's freeze in force; empty where none of them did."""
    hold = service.holds.get(MANUAL_HOLD)
    if hold is None:
        return ""
    return next((name for name in known if command_id_of("decision", name) == hold.decision_id), "")


def commanded(journal: Journal) -> Iterator[str]:
    """Give the ids of all commands in the journal, newest first."""
    before: int | None = None
    while rows := journal.read(0, 200, topics=[COMMANDED], newest_first=True, before=before):
        yield from (message_of(row.event).command_id for row in rows)
        before = rows[-1].offset


def halt_recalled(service: CouncilService | None, journal: Journal) -> str:
    """Return which halt of the journal stands; empty where none does."""
    if service is None or not halt_stands(service):
        return ""
    return standing_halt(service, (name for name in commanded(journal) if name.startswith(KILL)))


class Halting:
    """One form of a halt, wherever it is asked for; who inherits it says how it acts and keeps its note."""

    @property
    def council(self) -> CouncilService:
        """The council, or a copy of it.

        Raises
        ------
        UsageError
            The settings have none.
        """
        raise NotImplementedError

    def kill(self, reason: str, by: str, *, key_id: str = "") -> str:
        """Stop trading now: freeze, cancel what adds risk, then write it down. From any thread.

        It needs no journal and no bus: a note on the disk is enough, which every worker and every later start
        reads.

        Returns
        -------
        The id of the command; a second halt while the first stands gives the first one's.

        Raises
        ------
        UsageError
            The settings have no council.
        OutputProblem
            It could neither be carried out nor noted: nothing was done.
        """
        standing = standing_halt(self.council, self._halts_known())
        if standing and self._stands_on(standing, reason, by, key_id):
            return standing
        note = note_of(reason, by, key_id)
        acted = self._halt_at_once(note)
        failed = self._note_left(note)
        acted = acted or self._halt(note)
        if failed and not acted:
            self._halt_failed()
            raise OutputProblem(
                f"the note of a halt must be written: {failed}", "neither carried out nor noted", "stop it"
            )
        log.critical("frozen by %s: %s", by, reason)
        return str(note["command_id"])

    def _halts_known(self) -> Sequence[str]:
        """Return the ids of the newest halts."""
        raise NotImplementedError

    def _stands_on(self, standing: str, reason: str, by: str, key_id: str) -> bool:  # noqa: ARG002 - see below
        """Make sure that a standing halt goes on to stand; False where a new one is needed for that."""
        return True

    def _halt_at_once(self, note: Mapping[str, Any]) -> bool:  # noqa: ARG002 - for who can
        """Carry a halt out where that takes no time; return whether it was."""
        return False

    def _note_left(self, note: Mapping[str, Any]) -> str:
        """Leave the note of a halt; return why that failed, nothing where it did not."""
        raise NotImplementedError

    def _halt(self, note: Mapping[str, Any]) -> bool:
        """Carry a halt out, however long that takes; return whether it was."""
        raise NotImplementedError

    def _halt_failed(self) -> None:
        """Forget a halt that could neither be carried out nor noted."""
