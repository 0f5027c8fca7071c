"""What the networks are taught by: direction, confidence and return in one sum."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own habit

from consilium.models.layers.network.heads import CONFIDENCE, DIRECTION, RETURN, is_direction
from consilium.models.layers.network.module import Quantities

UNKNOWN = -1
"""Class of a row whose outcome is not known; a return that is not known is NaN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Share of each quantity in the loss.

    Parameters
    ----------
    direction
        Of the cross-entropy of each direction; 1.
    confidence
        Of the cross-entropy of "this direction is right"; 0.5.
    expected_return
        Of the squared error in deviations of the training returns; 0.3.
    """

    direction: float = 1.0
    confidence: float = 0.5
    expected_return: float = 0.3


def multi_task_loss(
    stated: Quantities, targets: Mapping[str, Tensor], weights: Tensor, shares: LossWeights
) -> Tensor:
    """Return ``sum_k share_k mean_i(w_i loss_k,i)`` over quantities that have targets.

    A confidence is taught whether its own direction is right, which needs no target of its own; its gradient
    does not reach the direction. Several horizons share one weight.

    Parameters
    ----------
    stated
        Quantities of a batch of n.
    targets
        Classes (n,) by name of a direction, `UNKNOWN` where open; returns (n,) in deviations under
        ``expected_return``, NaN where open.
    weights
        Of rows, (n,), mean about 1.
    shares
        Of quantities.

    Examples
    --------
    >>> even = {"direction": torch.zeros(2, 3)}
    >>> y = {"direction": torch.tensor([0, 2])}
    >>> round(multi_task_loss(even, y, torch.ones(2), LossWeights()).item(), 4)
    1.0986
    """
    total = weights.new_zeros(())
    directions = [name for name in targets if is_direction(name)]
    for name in directions:
        known = (targets[name] != UNKNOWN).to(weights.dtype) * weights
        truth = targets[name].clamp(min=0)
        entropy = F.cross_entropy(stated[name], truth, reduction="none")
        total = total + shares.direction / len(directions) * (known * entropy).mean()
        confidence = name.replace(DIRECTION, CONFIDENCE, 1)
        if confidence in stated:
            right = (stated[name].detach().argmax(dim=1) == truth).to(weights.dtype)
            doubt = F.binary_cross_entropy_with_logits(stated[confidence][:, 0], right, reduction="none")
            total = total + shares.confidence / len(directions) * (known * doubt).mean()
    if RETURN in targets and RETURN in stated:
        known = torch.isfinite(targets[RETURN]).to(weights.dtype) * weights
        error = stated[RETURN][:, 0] - torch.nan_to_num(targets[RETURN])
        total = total + shares.expected_return * (known * error * error).mean()
    return total
