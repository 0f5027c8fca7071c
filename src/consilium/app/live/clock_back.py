"""A machine's clock that lies behind what the council has heard: set back, or slower than a venue's."""

from dataclasses import replace

from consilium.app.council.health import Assessment
from consilium.domain import SECOND_NS


class ClockBack:
    """Knows whether our clock is behind, and since which look.

    Parameters
    ----------
    troubles
        Where it says so, as ``clock``.

    Examples
    --------
    >>> from consilium.domain import SECOND_NS
    >>> back = ClockBack()
    >>> [back.still(now * SECOND_NS, 60 * SECOND_NS) for now in (60, 30, 31, 61, 50)]
    [False, False, True, False, False]
    >>> back.told
    "the machine's clock is 10 s behind what was heard"
    """

    BOUND_NS = 5 * SECOND_NS
    """Closes may be dated a little ahead of us without a word."""

    def __init__(self, troubles: dict[str, str] | None = None) -> None:
        self._behind_ns = 0
        self._troubles = {} if troubles is None else troubles

    def still(self, now: int, heard: int) -> bool:
        """Look; return whether our clock is behind and was so at the last look: its time is refused again."""
        before, self._behind_ns = self._behind_ns, max(heard - now, 0)
        if self.told:
            self._troubles["clock"] = self.told
        else:
            self._troubles.pop("clock", None)
        return self._behind_ns > 0 and before > 0

    @property
    def told(self) -> str:
        """Return by how much, in one line; empty within the bound."""
        behind = self._behind_ns
        text = f"the machine's clock is {behind / SECOND_NS:.0f} s behind what was heard"
        return text if behind > self.BOUND_NS else ""

    def beside(self, assessed: Assessment) -> Assessment:
        """Return a judgement of our health that says so too."""
        detail = "; ".join(text for text in (assessed.detail, self.told) if text)
        return assessed if detail == assessed.detail else replace(assessed, detail=detail)
