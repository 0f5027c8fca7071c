"""What a check found."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "failed", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one setting.

    Parameters
    ----------
    setting
        Its name, such as ``data_dir`` or ``api.tls_key``.
    level
        ``ok``; ``warning``: the service starts and says so; ``failed``: the machine does not give what the
        setting names; ``wrong``: the setting itself cannot be meant.
    text
        In one line, without secrets.
    """

    setting: str
    level: Level
    text: str

    @property
    def fatal(self) -> bool:
        """Whether the service does not start with it."""
        return self.level in {"failed", "wrong"}


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 if the service can start, 2 if a setting is wrong, 1 if only the machine is at fault.

    Examples
    --------
    >>> exit_code([Finding("port", "failed", ""), Finding("host", "ok", "")])
    1
    >>> exit_code([]), exit_code([Finding("port", "failed", ""), Finding("host", "wrong", "")])
    (0, 2)
    """
    levels = {finding.level for finding in findings}
    return 2 if "wrong" in levels else int("failed" in levels)
