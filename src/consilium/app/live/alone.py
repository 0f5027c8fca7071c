"""One service a data folder and a journal: two would write over each other."""

from collections.abc import Sequence

from consilium.app.settings import Settings
from consilium.bus.journal.alone import Held

ROOMS_OF_ONE = ("market", "ensemble", "trading", "council")
"""What `consilium serve` does itself, and of which only one worker may run."""


def hold(settings: Settings, url: str, rooms: Sequence[str] = ROOMS_OF_ONE) -> Held:
    """Hold rooms of a journal, and the candles of the data folder where the market is among them.

    Parameters
    ----------
    settings
        Of the process.
    url
        Of the journal.
    rooms
        Done by this process.

    Raises
    ------
    OutputProblem
        Another process does one of them.
    """
    held = Held()
    if "market" in rooms:
        held.file(settings.data_dir / "live" / "market.lock", "a data folder takes one service at a time")
    try:
        return held.journal(url, rooms)
    except BaseException:
        held.close()
        raise
