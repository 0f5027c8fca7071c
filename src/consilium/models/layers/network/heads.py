"""Heads: from what a network knows to the quantities that it states."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from consilium.models.layers.inputs import CLASSES
from consilium.models.layers.network.module import Layer, Network, Quantities

DIRECTION, CONFIDENCE, RETURN = "direction", "confidence", "expected_return"
THREE = (DIRECTION, CONFIDENCE, RETURN)
"""What most networks state."""

START = 0.02
"""Deviation of a head's first weights: small, so that the first forecasts are near the class shares."""


def is_direction(name: str) -> bool:
    """Tell whether a quantity is the logits of a direction: ``direction``, ``direction_30``."""
    return name.startswith(DIRECTION)


class Heads(Layer):
    """One linear map a quantity: three logits for a direction, one number for the others.

    Parameters
    ----------
    width
        Numbers that each head reads.
    names
        Quantities.

    Examples
    --------
    >>> stated = Heads(8, THREE)(torch.ones(2, 8))
    >>> {name: tuple(value.shape) for name, value in stated.items()}
    {'direction': (2, 3), 'confidence': (2, 1), 'expected_return': (2, 1)}
    """

    def __init__(self, width: int, names: Sequence[str]) -> None:
        super().__init__()
        self.maps = nn.ModuleDict(
            {name: _small(width, CLASSES if is_direction(name) else 1) for name in names}
        )

    def forward(self, known: Tensor) -> Quantities:
        """Return the quantities of (n, width)."""
        return {name: self.maps[name](known) for name in self.maps}

    def start_at(self, priors: Mapping[str, Tensor]) -> None:
        """Set biases of directions to ``ln prior``."""
        with torch.no_grad():
            for name, prior in priors.items():
                dict(self.maps[name].named_parameters())["bias"].copy_(prior.log())


class HeadedNetwork(Network):
    """A network whose quantities come from ``heads``, which hold all biases."""

    heads: Heads

    def start_at(self, priors: Mapping[str, Tensor]) -> None:
        """Set the biases of directions to ``ln prior``."""
        self.heads.start_at(priors)


def _small(width: int, outputs: int) -> nn.Linear:
    head = nn.Linear(width, outputs)
    nn.init.trunc_normal_(head.weight, std=START)
    nn.init.zeros_(head.bias)
    return head
