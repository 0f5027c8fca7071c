"""What Ctrl-C or SIGTERM leaves behind once the lock-box is open: a look that counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from consilium.domain import ConsiliumError, to_iso
from consilium.training.runs import RunTable


class LockboxLeftOpen(ConsiliumError):
    """A judgement was stopped after it had opened the lock-box.

    Parameters
    ----------
    run_id
        The run, which stays in the run table as aborted.
    ts_lockbox
        Where the lock-box begins, UTC nanoseconds.

    Examples
    --------
    >>> print(LockboxLeftOpen("000007-1f3a9c2e", 1_704_067_200_000_000_000))
    a judgement must not be interrupted once its lock-box is open; got Ctrl-C or SIGTERM in run
    000007-1f3a9c2e: the lock-box of these data (from 2024-01-01T00:00:00Z on) is open now, this opening
    counts in every later report; run the command again for a verdict
    """

    def __init__(self, run_id: str, ts_lockbox: int) -> None:
        super().__init__(
            "a judgement must not be interrupted once its lock-box is open",
            f"Ctrl-C or SIGTERM in run {run_id}",
            f"the lock-box of these data (from {to_iso(ts_lockbox)} on) is open now, this opening counts in "
            "every later report; run the command again for a verdict",
        )


@dataclass(slots=True)
class Looking:
    """Which run may be looking at which lock-box; both are unknown at first.

    Parameters
    ----------
    run_id
        The run, as soon as it has a row.
    ts_lockbox
        Where its lock-box begins, as soon as that is decided, UTC nanoseconds.
    """

    run_id: str | None = None
    ts_lockbox: int | None = None


@contextmanager
def told_if_opened(table: RunTable) -> Iterator[Looking]:
    """Turn an interruption into an error that says so, if the run table knows of an opened lock-box.

    The table is asked, and not the run: it may have been stopped between writing the opening and knowing of
    it.

    Raises
    ------
    LockboxLeftOpen
        Ctrl-C or SIGTERM came after the lock-box was opened.
    """
    looking = Looking()
    try:
        yield looking
    except KeyboardInterrupt:
        run_id, begin = looking.run_id, looking.ts_lockbox
        if run_id is None or begin is None or not any(last >= begin for _, last in table.read_by(run_id)):
            raise
        raise LockboxLeftOpen(run_id, begin) from None
