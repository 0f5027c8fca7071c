"""Aggregators, one per file; those that withstand attackers come with the robust rules."""

from consilium.domain.tables import lookup
from consilium.federated.aggregators.aggregator import Aggregator

AGGREGATORS = {
    "mean": "consilium.federated.aggregators.mean:Mean",
}


def make_aggregator(name: str) -> Aggregator:
    """Make an aggregator by its name.

    Raises
    ------
    UnknownName
        No such aggregator; the error lists the known ones.

    Examples
    --------
    >>> make_aggregator("mean")
    Mean()
    """
    made: Aggregator = lookup("aggregator", name, AGGREGATORS, "consilium.aggregators")()
    return made
