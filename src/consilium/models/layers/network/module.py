"""The one place where a class derives from torch's."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

MAX_UNITS = 1e4
"""Inputs beyond this are clipped, so that sums of squares in single precision stay finite."""

Quantities = dict[str, Tensor]
"""What the heads return, by name; see `Network`."""


class Layer(nn.Module):  # type: ignore[misc, unused-ignore]  # untyped where torch is absent
    """A torch module; without torch its base is unknown to the type checker, here and nowhere else."""


class Network(Layer):
    """A network from windows (n, T, F) to quantities.

    Names of quantities: ``direction`` or ``direction_<h>`` are logits (n, 3), columns down, flat, up;
    ``confidence`` or ``confidence_<h>`` the logit (n, 1) of that direction being right; ``expected_return``
    (n, 1) in deviations of the training returns.
    """

    primary: str = "direction"
    names: tuple[str, ...]
    rows_at_once: int | None = None
    """Most rows of one pass in training on a processor: a larger batch is taken in several, whose gradients
    add up to the same. None where rows of a batch meet, as in batch normalisation, or nothing is won."""

    def forward(self, windows: Tensor) -> Quantities:
        """Return the quantities of windows (n, T, F); inputs are clipped at `MAX_UNITS`."""
        return self.quantities(clipped(windows))

    @abstractmethod
    def quantities(self, windows: Tensor) -> Quantities:
        """Return the quantities of clipped windows."""

    @abstractmethod
    def start_at(self, priors: Mapping[str, Tensor]) -> None:
        """Set the biases of directions to ``ln prior``, so that learning starts from the class shares."""


def clipped(windows: Tensor) -> Tensor:
    """Return inputs cut at `MAX_UNITS`."""
    return windows.clamp(-MAX_UNITS, MAX_UNITS)


def count_parameters(module: Layer) -> int:
    """Return the number of trainable numbers.

    Examples
    --------
    >>> from consilium.models.layers.network.pooling import AttentionPooling
    >>> count_parameters(AttentionPooling(8))
    8
    """
    return sum(int(parameter.numel()) for parameter in module.parameters() if parameter.requires_grad)
