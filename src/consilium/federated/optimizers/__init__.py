"""Server optimizers, one per file."""

from consilium.domain import UsageError
from consilium.domain.tables import lookup
from consilium.federated.optimizers.optimizer import Optimizer

OPTIMIZERS = {
    "fedavg": "consilium.federated.optimizers.fedavg:FedAvg",
    "fedprox": "consilium.federated.optimizers.fedprox:FedProx",
    "fedadam": "consilium.federated.optimizers.fedadam:FedAdam",
    "scaffold": "consilium.federated.optimizers.scaffold:Scaffold",
}


def make_optimizer(name: str, **options: float) -> Optimizer:
    """Make an optimizer by its name.

    Parameters
    ----------
    name
        A name in OPTIMIZERS or of an entry point of ``consilium.optimizers``.
    options
        Settings of its class.

    Raises
    ------
    UnknownName
        No such optimizer; the error lists the known ones.
    UsageError
        It has no such setting.

    Examples
    --------
    >>> make_optimizer("fedprox", mu=0.1)
    FedProx(mu=0.1, learning_rate=1.0)
    """
    kind = lookup("optimizer", name, OPTIMIZERS, "consilium.optimizers")
    try:
        made: Optimizer = kind(**options)
    except TypeError as error:
        raise UsageError(
            f"settings of {name} must be those of its class", f"{error}", "leave it out"
        ) from None
    return made
