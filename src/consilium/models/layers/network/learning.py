"""A plain loop for networks: AdamW, early stopping on a later slice, the best state kept.

The seam for another loop is the type `Loop`: it gets the network, a `Lesson` and a `Plan`, leaves the best
weights in the network and returns what it did. `NetworkForecaster.fit` takes one as ``loop``.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own habit

from consilium.domain import InvalidValue
from consilium.models.layers.network.loss import LossWeights, multi_task_loss
from consilium.models.layers.network.module import Network, Quantities
from consilium.models.layers.settings import require_above_zero, require_count

FORECAST_ROWS = 16
"""Rows of one forward pass. Always as many, filled up with zeros: sums of a matrix product depend on its
size, so a row alone would otherwise get other last bits than among others."""

Rows = NDArray[np.floating[Any]]


class Diverged(InvalidValue):
    """The loss left the finite numbers; the network holds its last good weights.

    Parameters
    ----------
    retry
        The learning rate to try.
    """

    def __init__(self, owner: str, loss: float, epoch: int, rate: float) -> None:
        self.retry = rate / 10.0
        super().__init__(
            f"the loss of {owner} must stay finite",
            f"{loss} in epoch {epoch} at learning_rate {rate:g}",
            f"try learning_rate {self.retry:g}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a network learns.

    Parameters
    ----------
    epochs
        Most passes over the rows, >= 1.
    patience
        With a validation slice: stop after so many epochs without a lower log-loss there, >= 1.
    batch_size
        Rows of one forward pass, >= 1.
    learning_rate
        Of AdamW, > 0.
    weight_decay
        Of AdamW, >= 0.
    accumulate
        Batches whose gradients are added up for one step, >= 1.
    clip
        Largest length of a gradient, > 0.
    seed
        Of first weights, order of rows and dropout, >= 0.
    """

    epochs: int = 100
    patience: int = 10
    batch_size: int = 32
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    accumulate: int = 1
    clip: float = 1.0
    seed: int = 0

    def require(self, owner: str) -> None:
        """Refuse values outside their bounds."""
        for name, least in (
            ("epochs", 1),
            ("patience", 1),
            ("batch_size", 1),
            ("accumulate", 1),
            ("seed", 0),
        ):
            require_count(owner, name, getattr(self, name), least)
        require_above_zero(owner, "learning_rate", self.learning_rate)
        require_above_zero(owner, "clip", self.clip)
        if not 0.0 <= self.weight_decay < float("inf"):
            raise InvalidValue(
                f"weight_decay of {owner} must be >= 0", self.weight_decay, "correct weight_decay"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What there is to learn from; rows in the order of time.

    Parameters
    ----------
    owner
        Name of the model, for errors.
    inputs
        Windows (n, T, F), finite.
    targets
        By quantity: classes int64 (n,), -1 where open; returns float (n,) in deviations, NaN where open.
    weights
        Of rows, (n,), > 0, mean 1.
    validation
        A later slice: windows and classes of the primary direction; None for none.
    loss_weights
        Shares of the quantities.
    """

    owner: str
    inputs: Rows
    targets: Mapping[str, NDArray[Any]]
    weights: NDArray[np.float64]
    validation: tuple[Rows, NDArray[np.int64]] | None
    loss_weights: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What a loop did.

    Parameters
    ----------
    best_epoch
        Whose weights were kept, from 1; the last one without a validation slice.
    train_losses
        Mean multi-task loss of each epoch.
    validation_losses
        Log-loss of the primary direction on the validation slice after each epoch; empty without one.
    """

    best_epoch: int
    train_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]


Loop = Callable[[Network, Lesson, Plan], Learnt]


def learn(network: Network, lesson: Lesson, plan: Plan) -> Learnt:
    """Teach a network; the plain loop, on the processor.

    Two runs of one seed give the same bits at one number of threads. Call it inside `seeded`.

    Raises
    ------
    Diverged
        A loss that is not finite; the network then holds its best finite state.
    """
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
    )
    rng = np.random.default_rng(plan.seed)
    train_losses: list[float] = []
    validation_losses: list[float] = []
    best_epoch, best = 0, _copy_state(network)
    for epoch in range(1, plan.epochs + 1):
        loss = _one_epoch(network, lesson, plan, optimiser, rng.permutation(len(lesson.weights)))
        heard = loss if lesson.validation is None else validation_loss(network, *lesson.validation)
        if not (np.isfinite(loss) and np.isfinite(heard)):
            network.load_state_dict(best)
            raise Diverged(lesson.owner, heard if np.isfinite(loss) else loss, epoch, plan.learning_rate)
        train_losses.append(loss)
        if lesson.validation is not None:
            validation_losses.append(heard)
            if heard > min(validation_losses[:-1], default=float("inf")):
                if epoch - best_epoch >= plan.patience:
                    break
                continue
        best_epoch, best = epoch, _copy_state(network)
    network.load_state_dict(best)
    network.eval()
    return Learnt(
        best_epoch=best_epoch,
        train_losses=tuple(train_losses),
        validation_losses=tuple(validation_losses),
    )


def _one_epoch(
    network: Network, lesson: Lesson, plan: Plan, optimiser: torch.optim.Optimizer, order: NDArray[np.int64]
) -> float:
    """Pass over the rows once; stop at the first loss that is not finite and return it."""
    network.train()
    starts = range(0, len(order), plan.batch_size)
    total = 0.0
    optimiser.zero_grad()
    for place, start in enumerate(starts):
        rows = np.sort(order[start : start + plan.batch_size])
        # A last group of fewer batches is averaged over what it has.
        group = min(plan.accumulate, len(starts) - place // plan.accumulate * plan.accumulate)
        value = 0.0
        for part, share in passes(network, rows):
            loss = batch_loss(network, lesson, part) * share
            value += float(loss.detach())
            if not np.isfinite(value):
                return value
            torch.autograd.backward(loss / group)
        if (place + 1) % plan.accumulate == 0 or place + 1 == len(starts):
            torch.nn.utils.clip_grad_norm_(network.parameters(), plan.clip)
            optimiser.step()
            optimiser.zero_grad()
        total += value * len(rows)
    return total / len(order)


def passes(network: Network, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], float]]:
    """Yield the rows of each pass over a batch on a processor, and their share of it.

    Examples
    --------
    >>> from consilium.models.patchtst import PatchTST, PatchTSTConfig
    >>> wide = PatchTST(PatchTSTConfig(), 125)
    >>> [(part.tolist(), round(share, 2)) for part, share in passes(wide, np.arange(6))]
    [([0, 1, 2, 3], 0.67), ([4, 5], 0.33)]
    """
    size = network.rows_at_once or len(rows)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        yield part, len(part) / len(rows)


def batch_loss(network: Network, lesson: Lesson, rows: NDArray[np.int64]) -> Tensor:
    """Return the multi-task loss of some rows of a lesson, with its gradient."""
    windows = as_tensor(lesson.inputs[rows])
    targets = {name: torch.from_numpy(values[rows]) for name, values in lesson.targets.items()}
    weights = torch.from_numpy(lesson.weights[rows]).float()
    return multi_task_loss(
        network(windows),
        {name: t.float() if t.is_floating_point() else t for name, t in targets.items()},
        weights,
        lesson.loss_weights,
    )


def validation_loss(network: Network, windows: Rows, labels: NDArray[np.int64]) -> float:
    """Return the log-loss of the primary direction on a slice."""
    logits = forecast_quantities(network, windows)[network.primary]
    return float(F.cross_entropy(logits.double(), torch.from_numpy(labels)))


def forecast_quantities(network: Network, windows: Rows) -> Quantities:
    """Return the quantities of windows (n, T, F), n >= 1, in passes of `FORECAST_ROWS` rows."""
    network.eval()
    parts: list[Quantities] = []
    with torch.inference_mode():
        for start in range(0, len(windows), FORECAST_ROWS):
            batch = as_tensor(windows[start : start + FORECAST_ROWS])
            there = len(batch)
            if there < FORECAST_ROWS:
                batch = torch.cat([batch, batch.new_zeros(FORECAST_ROWS - there, *batch.shape[1:])])
            parts.append({name: value[:there] for name, value in network(batch).items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def as_tensor(rows: Rows) -> Tensor:
    """Return rows in single precision."""
    return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))


@contextmanager
def seeded(seed: int, n_threads: int) -> Iterator[None]:
    """Run with torch's randomness made from a seed and with so many threads; put both back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def _copy_state(network: Network) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
