"""A council with all its officers, at noon, and the persons who ask and approve."""

from typing import Any

from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import AccountReported, CouncilCommanded, HealthReported
from consilium.domain.time import HOUR_NS, SECOND_NS

START = 1_700_006_400 * SECOND_NS + 12 * HOUR_NS


class Desk:
    """A council with all its officers, and its operators."""

    def __init__(self, **rules: Any) -> None:
        self.council = CouncilService(rules=CouncilRules(**({"start_profile": "NORMAL"} | rules)))
        self.now, self.count = START, 0
        self.says()

    def says(self, after: int = 0, status: str = "HEALTHY", **figures: Any) -> list[Any]:
        self.now += after
        self.count += 1
        said: dict[str, Any] = {"equity": 1e4, "positions": 0, "unprotected": 0, "exposure": 0.0} | figures
        return self.council.handle_all(
            (
                HealthReported(source="system", sequence=self.count, ts_event=self.now, system_status=status),
                AccountReported(source="paper", sequence=self.count, ts_event=self.now, **said),
            )
        )

    def command(self, action: str, payload: dict[str, Any], person: str = "ada") -> CouncilCommanded:
        self.count += 1
        return CouncilCommanded(
            command_id=f"c{self.count}", action=action, payload=payload, reason="a test asks", person=person,
            authenticated_at=self.now, ts_event=self.now,
        )  # fmt: skip

    def asks(self, action: str, payload: dict[str, Any], person: str = "ada") -> list[Any]:
        command = self.command(action, payload, person)
        self.council.check(command)
        return self.council.handle(command)

    def approves(self) -> CouncilCommanded:
        (name,) = self.council.approvals
        return self.command("approve", {"approval_id": name}, "bob")
