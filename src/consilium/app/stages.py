"""How a long run says where it is."""

from typing import Protocol


class ProgressCall(Protocol):
    """Called as a stage advances."""

    def __call__(self, stage: str, done: int, total: int, text: str = "") -> None:
        """Say that ``done`` of ``total`` steps of a stage are done."""
        ...


def silent(stage: str, done: int, total: int, text: str = "") -> None:
    """Say nothing."""
