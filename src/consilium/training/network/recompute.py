"""Gradient checkpointing: inner results of blocks are computed again on the way back instead of kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from consilium.models.layers.network.module import Network


def blocks_of(network: Network) -> list[nn.Module]:
    """Return the blocks whose inner results need not be kept: members of lists of modules.

    A block with batch normalisation is left alone: a second pass would count its batch twice. Random numbers
    of dropout are drawn again from the same state, so that nothing else differs.

    Examples
    --------
    >>> from consilium.models.nhits import NHits, NHitsConfig
    >>> len(blocks_of(NHits(NHitsConfig(), 3)))
    9
    """
    lists = (part for part in network.modules() if isinstance(part, nn.ModuleList))
    return [block for part in lists for block in part if not _counts_batches(block)]


def _counts_batches(block: nn.Module) -> bool:
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in block.modules())  # noqa: SLF001 - torch has no public base of the three


@contextmanager
def recomputing(network: Network, wanted: bool = True) -> Iterator[None]:
    """Compute inner results of blocks again on the way back, if wanted; the results are the same bits.

    References
    ----------
    Chen et al. (2016), Training deep nets with sublinear memory cost, section 4.1.
    """
    blocks = blocks_of(network) if wanted else []
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
