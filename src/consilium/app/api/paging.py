"""Pages by key: what comes after a place, never by counting."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query

MOST_ROWS = 1_000
LARGEST_OFFSET = 2**53 - 1
"""The largest integer that JavaScript reads exactly."""

After = Annotated[
    int,
    Query(
        ge=0,
        le=LARGEST_OFFSET,
        description="Place in the journal after which to go on: `next` of the page before.",
        examples=[0],
    ),
]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Most rows of the page.", examples=[100])]


def page_of(rows: Sequence[Mapping[str, Any]], limit: int) -> dict[str, Any]:
    """Return a page of rows that carry their place as ``offset``.

    Examples
    --------
    >>> page_of([{"offset": 7}, {"offset": 9}], 2)
    {'items': [{'offset': 7}, {'offset': 9}], 'next': 9}
    >>> page_of([{"offset": 7}], 2)["next"] is None
    True
    """
    return {"items": list(rows), "next": rows[-1]["offset"] if len(rows) == limit else None}
