"""A council that hears the desk's own account and health together, as in service."""

from typing import Any

from consilium.council.service import CouncilService
from consilium.domain import AccountReported, CouncilCommanded, HealthReported, TimePassed
from consilium.domain.time import DAY_NS, HOUR_NS, SECOND_NS

NOON = 1_700_006_400 * SECOND_NS // DAY_NS * DAY_NS + 12 * HOUR_NS


class Voices:
    """Says what it is told to, at a time that only goes on."""

    def __init__(self, **settings: Any) -> None:
        self.council = CouncilService(**settings)
        self.now, self.count = NOON, 0

    def says(
        self, after: int = 0, source: str = "account:paper", status: str = "HEALTHY", **figures: Any
    ) -> list[Any]:
        """Report health and an account of one instant."""
        self.now += after
        self.count += 1
        said: dict[str, Any] = {"equity": 1e4, "positions": 0, "exposure": 0.0, "unprotected": 0} | figures
        health = HealthReported(source="system", sequence=self.count, ts_event=self.now, system_status=status)
        account = AccountReported(source=source, sequence=self.count, ts_event=self.now, **said)
        return self.council.handle_all([health, account])

    def waits(self, span: int) -> list[Any]:
        """Let time pass."""
        self.now += span
        return self.council.handle(TimePassed(ts_event=self.now))

    def asks(self, action: str, payload: dict[str, Any], person: str = "ann") -> list[Any]:
        """Give a command."""
        self.count += 1
        return self.council.handle(
            CouncilCommanded(
                command_id=f"c{self.count}", action=action, payload=payload, reason="a test asks",
                person=person, authenticated_at=self.now, ts_event=self.now,
            )
        )  # fmt: skip

    def review(self, what: str = "freeze") -> None:
        """Let two persons review."""
        for person in ("ann", "bob"):
            self.asks("review", {"what": what, "note": "seen"}, person)

    @property
    def mode(self) -> str:
        return self.council.policy.mode
