"""A network of the zoo as a flat vector, taught by the one trainer from parameters that all share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from consilium.federated.local import LocalRule
from consilium.models.layers.network.learning import Learnt, Lesson, Loop, Plan
from consilium.models.layers.network.module import Network

Floats = NDArray[np.float64]


def flat(network: Network) -> Floats:
    """Return all weights and real buffers of a network, in the order of its state, shape (d,).

    Examples
    --------
    >>> from consilium.models.nhits import NHits, NHitsConfig
    >>> network = NHits(NHitsConfig(window=8, hidden_size=8), 3)
    >>> load_flat(network, flat(network) + 1.0)
    >>> flat(network)[:3].round(2).tolist() != [0.0, 0.0, 0.0]
    True
    """
    parts = [value.detach().reshape(-1).double() for value in _numbers(network)]
    values: Floats = torch.cat(parts).numpy()
    return values


def load_flat(network: Network, parameters: Floats) -> None:
    """Put a vector of `flat` into a network, in single precision."""
    start = 0
    with torch.no_grad():
        for value in _numbers(network):
            part = torch.from_numpy(np.array(parameters[start : start + value.numel()]))
            value.copy_(part.reshape(value.shape))
            start += value.numel()


def _numbers(network: Network) -> list[Tensor]:
    # A state's tensors share memory with the network; counters of batches are no part of a model.
    return [value for value in network.state_dict().values() if value.is_floating_point()]


class SharedStart:
    """A loop that begins at shared parameters, follows a local rule, and leaves the teaching to another loop.

    Parameters
    ----------
    inner
        The trainer's loop.
    parameters
        Of the round, shape (d,).
    rule
        What is added to each step's gradient, after it was clipped.
    """

    def __init__(self, inner: Loop, parameters: Floats, rule: LocalRule) -> None:
        self.inner, self.rule = inner, rule
        self.parameters = parameters
        self.mean_gradient = np.zeros(len(parameters))
        self.steps = 0

    def __call__(self, network: Network, lesson: Lesson, plan: Plan) -> Learnt:
        """Teach; `parameters` then holds what was learned, `mean_gradient` what drove it."""
        load_flat(network, self.parameters)
        follower = _Follower(network, self.rule)
        with follower.following():
            learnt = self.inner(network, lesson, plan)
        self.parameters = flat(network)
        self.steps = follower.steps
        self.mean_gradient = follower.total / max(1, follower.steps)
        return learnt


class _Follower:
    """Stands before each step of a network's optimizer: adds the rule, and adds up plain gradients."""

    def __init__(self, network: Network, rule: LocalRule) -> None:
        self.rule = rule
        self.places = _places(network)
        self.total = np.zeros(len(rule.base))
        self.steps = 0

    @contextmanager
    def following(self) -> Iterator[None]:
        handle = register_optimizer_step_pre_hook(self._before)
        try:
            yield
        finally:
            handle.remove()

    def _before(self, optimiser: torch.optim.Optimizer, _args: Sequence[Any], _kwargs: Any) -> None:
        ours = {id(weight) for weight, _ in self.places}
        if not any(id(weight) in ours for group in optimiser.param_groups for weight in group["params"]):
            return
        self.steps += 1
        for weight, place in self.places:
            if weight.grad is None:
                continue
            self.total[place] += weight.grad.detach().reshape(-1).double().numpy()
            if not self.rule.idle:
                with torch.no_grad():
                    weight.grad += self._added(weight, place)

    def _added(self, weight: Tensor, place: slice) -> Tensor:
        base = torch.from_numpy(self.rule.base[place]).reshape(weight.shape)
        added = self.rule.prox_mu * (weight.detach().double() - base)
        if self.rule.correction is not None:
            added = added + torch.from_numpy(self.rule.correction[place]).reshape(weight.shape)
        return added.to(weight.dtype)


def _places(network: Network) -> list[tuple[Tensor, slice]]:
    """Return the trainable weights, and where each stands in `flat`."""
    weights = dict(network.named_parameters())
    places: list[tuple[Tensor, slice]] = []
    start = 0
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            if name in weights:
                places.append((weights[name], slice(start, start + value.numel())))
            start += value.numel()
    return places
