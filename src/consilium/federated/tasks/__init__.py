"""What participants train together, one task per file."""

from typing import Any

from consilium.domain.tables import lookup
from consilium.federated.tasks.task import Task

TASKS = {
    "digits": "consilium.federated.tasks.digits:Digits",
    "candles": "consilium.federated.tasks.candles:Candles",
}


def task_class(name: str) -> type[Any]:
    """Return the class of a task; what it is made of differs from task to task.

    Raises
    ------
    UnknownName
        No such task; the error lists the known ones.

    Examples
    --------
    >>> task_class("digits").__name__
    'Digits'
    """
    found: type[Any] = lookup("task", name, TASKS, "consilium.tasks")
    return found


__all__ = ["TASKS", "Task", "task_class"]
