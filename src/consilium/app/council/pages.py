"""What is sent about an alert, and what everybody does who carries it."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from consilium.domain import OutputProblem, to_iso

TIMEOUT_S = 10.0
LONGEST_WAIT_S = 3_600.0


class NotSent(OutputProblem):
    """A page that did not arrive; when it is worth while to try again, if the other side says so."""

    def __init__(self, bound: str, value: object, cure: str, *, after_s: float = 0.0) -> None:
        super().__init__(bound, value, cure)
        self.after_s = min(max(after_s, 0.0), LONGEST_WAIT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One message about an alert.

    Parameters
    ----------
    alert_id
        The same for every page of an alert.
    number
        1 for the first, 2 for the first reminder.
    kind, severity
        What it is about, and how bad: critical, high, medium or low.
    title, text
        One line, and all that is to be known.
    ts_event
        When it happened; UTC nanoseconds.
    decision
        The decision behind it, as it was published; empty if there is none.
    """

    alert_id: str
    number: int
    kind: str
    severity: str
    title: str
    text: str
    ts_event: int
    decision: dict[str, Any] = field(default_factory=dict)

    @property
    def page_id(self) -> str:
        """Names it: who gets it a second time can tell."""
        return f"{self.alert_id}-{self.number}"

    @property
    def subject(self) -> str:
        """One line for people.

        Examples
        --------
        >>> Page(alert_id="a", number=2, kind="frozen", severity="critical", title="Trading is frozen",
        ...      text="", ts_event=0).subject
        '[consilium] CRITICAL: Trading is frozen (reminder 1)'
        """
        again = f" (reminder {self.number - 1})" if self.number > 1 else ""
        return f"[consilium] {self.severity.upper()}: {' '.join(self.title.split())}{again}"

    def body(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "service": "consilium",
            "alert_id": self.alert_id,
            "page": self.number,
            "kind": self.kind,
            "severity": self.severity,
            "title": self.title,
            "text": self.text,
            "timestamp": to_iso(self.ts_event),
            "decision": self.decision or None,
        }


class Sender(Protocol):
    """Carries pages to somebody; used by one thread."""

    name: str

    def send(self, page: Page) -> None:
        """Send one page; `NotSent` if it did not arrive for sure."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def kind_of(error: Exception) -> str:
    """Tell the kind of an error, and a number of the system's; its text may hold a secret."""
    number = getattr(error, "errno", None)
    return f"{type(error).__name__}{f' {number}' if isinstance(number, int) else ''}"
