"""All that a training changes as it goes on; saved and put back, it goes on to the same bits."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilium.domain import ArtefactRefused
from consilium.models.layers.network.learning import Learnt, Plan
from consilium.models.layers.network.module import Network

NETWORK, BEST, OPTIMISER, RANDOM = "network.", "best.", "optimiser.", "random."
"""Beginnings of the names under which tensors are kept."""


@dataclass(slots=True, kw_only=True)
class Place:
    """Where a training stands.

    Parameters
    ----------
    epoch, batch
        The epoch it is in, from 1, and the next batch of it, from 0.
    total
        Sum of loss x rows over the batches of this epoch.
    best_epoch
        Whose weights are kept.
    train_losses, validation_losses
        Of the epochs that are over.
    done
        Whether there is nothing left to learn.
    """

    epoch: int = 1
    batch: int = 0
    total: float = 0.0
    best_epoch: int = 0
    train_losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    done: bool = False


class Session:
    """A network, its optimiser, and every source of chance.

    Parameters
    ----------
    network
        On its device.
    plan
        How it learns.
    device
        Where.
    scaled
        Whether losses are scaled, as half precision needs it.
    """

    def __init__(self, network: Network, plan: Plan, device: torch.device, *, scaled: bool) -> None:
        self.network = network
        self.device = device
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.place = Place()
        self.best = copy_state(network)
        self._rng = np.random.default_rng(plan.seed)
        self._before_order = self._rng.bit_generator.state

    def order(self, rows: int) -> NDArray[np.int64]:
        """Draw the order of an epoch; one that was begun before gets the order that it had."""
        if self.place.batch:
            self._rng.bit_generator.state = self._before_order
        self._before_order = self._rng.bit_generator.state
        return self._rng.permutation(rows)

    def keep_best(self) -> None:
        """Keep the weights of the epoch that is now over."""
        self.place.best_epoch, self.best = self.place.epoch, copy_state(self.network)

    def learnt(self) -> Learnt:
        """Return what was done."""
        return Learnt(
            best_epoch=self.place.best_epoch,
            train_losses=tuple(self.place.train_losses),
            validation_losses=tuple(self.place.validation_losses),
        )

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors, and what JSON can hold, between two steps of the optimiser."""
        tensors = {BEST + name: value for name, value in self.best.items()}
        state: dict[str, Any] = {"place": asdict(self.place)}
        if self.place.done:
            return tensors, state
        tensors |= {NETWORK + name: value for name, value in self.network.state_dict().items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"{OPTIMISER}{number}.{name}": value for name, value in moments.items()}
        tensors[RANDOM + "cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors[RANDOM + "cuda"] = torch.cuda.get_rng_state(self.device)
        state["order"] = self._before_order if self.place.batch else self._rng.bit_generator.state
        state["scaler"] = self.scaler.state_dict()
        return tensors, state

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any], where: str) -> None:
        """Put back what `capture` returned.

        Raises
        ------
        ArtefactRefused
            It does not fit the network.
        """
        try:
            self.place = Place(**state["place"])
            self.best = _of(tensors, BEST)
            self.network.load_state_dict(self.best if self.place.done else _of(tensors, NETWORK))
            if self.place.done:
                return
            self._restore_optimiser(_of(tensors, OPTIMISER))
            self._rng.bit_generator.state = self._before_order = state["order"]
            self.scaler.load_state_dict(state["scaler"])
            torch.set_rng_state(tensors[RANDOM + "cpu"])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(tensors[RANDOM + "cuda"], self.device)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            text = " ".join(str(error).split())[:160]
            raise ArtefactRefused(
                f"{where} must fit the network", text, "delete that folder to begin anew"
            ) from None

    def _restore_optimiser(self, tensors: Mapping[str, Tensor]) -> None:
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            number, _, kind = name.partition(".")
            moments.setdefault(int(number), {})[kind] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})


def copy_state(network: Network) -> dict[str, Tensor]:
    """Return a copy of all weights and buffers."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _of(tensors: Mapping[str, Tensor], beginning: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(beginning): value for name, value in tensors.items() if name.startswith(beginning)
    }
