"""The loop that teaches the networks of a run: precision by device, checkpoints, early stopping."""

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own habit

from consilium.domain import InvalidValue
from consilium.models.layers.network.learning import (
    Diverged,
    Learnt,
    Lesson,
    Plan,
    as_tensor,
    passes,
    validation_loss,
)
from consilium.models.layers.network.loss import multi_task_loss
from consilium.models.layers.network.module import Network
from consilium.training.network.checkpoint import Checkpoint
from consilium.training.network.device import choose_device, choose_precision
from consilium.training.network.recompute import recomputing
from consilium.training.network.session import Session
from consilium.training.teaching import Lap, Teaching

TOLD_EVERY = 1.0
"""Seconds between two words about a network that is on its way."""

ROWS_ON_A_DEVICE = 512
"""Rows of one forward pass over the early-stop slice, off the processor."""


class TooLarge(InvalidValue):
    """A batch did not fit into memory."""

    def __init__(self, owner: str, plan: Plan, device: torch.device) -> None:
        half = plan.batch_size // 2
        cure = f"try batch_size {half} and accumulate {2 * plan.accumulate}, or --recompute"
        super().__init__(
            f"a batch of {owner} must fit into the memory of {device}",
            f"batch_size {plan.batch_size}",
            cure if half else "try --recompute, a smaller network, or --device cpu",
        )


class TrainingLoop:
    """Teaches one network; behind `NetworkForecaster.fit` as its ``loop``.

    On the processor the bits are those of `learn`, and those of a training that was killed and taken up
    again as often as may be.

    Parameters
    ----------
    teaching
        Device, precision, how often a state is written, who is told.
    checkpoint
        Where states are written; None for nowhere.
    name, part
        What is told of.
    """

    def __init__(
        self, teaching: Teaching, checkpoint: Checkpoint | None = None, *, name: str = "", part: str = ""
    ) -> None:
        self.teaching = teaching
        self.checkpoint = checkpoint
        self.name = name
        self.part = part

    def __call__(self, network: Network, lesson: Lesson, plan: Plan) -> Learnt:
        """Teach, leave the best weights in the network, on the processor, and return what was done.

        Raises
        ------
        Diverged
            A loss or gradient that is not finite; the network and the checkpoint hold the last good state.
        TooLarge
            A batch that does not fit into memory.
        ArtefactRefused
            A checkpoint that is damaged or of another training.
        OutputProblem
            A checkpoint that cannot be written, for want of room for example.
        """
        device = choose_device(self.teaching.device)
        try:
            with self.checkpoint.held() if self.checkpoint else nullcontext():
                return _Course(self, network.to(device), lesson, plan, device).run()
        except torch.OutOfMemoryError:
            raise TooLarge(lesson.owner, plan, device) from None
        except RuntimeError as error:
            if "allocate memory" in str(error):
                raise TooLarge(lesson.owner, plan, device) from None
            raise
        finally:
            network.to("cpu")


class _Course:
    """One call of the loop."""

    def __init__(
        self, loop: TrainingLoop, network: Network, lesson: Lesson, plan: Plan, device: torch.device
    ) -> None:
        self.teaching, self.checkpoint = loop.teaching, loop.checkpoint
        self.name, self.part = loop.name, loop.part
        self.network, self.lesson, self.plan, self.device = network, lesson, plan, device
        self.precision = choose_precision(loop.teaching.precision, device)
        self.session = Session(network, plan, device, scaled=self.precision == torch.float16)
        stored = self.checkpoint.read() if self.checkpoint else None
        if stored is not None and self.checkpoint is not None:
            self.session.restore(*stored, where=str(self.checkpoint.folder))
        self.place = self.session.place
        self.batches = -(-len(lesson.weights) // plan.batch_size)
        self.begun = self.saved = self.told = time.monotonic()
        self.done_before = self._share()

    def run(self) -> Learnt:
        with recomputing(self.network, self.teaching.recompute):
            while not self.place.done:
                loss = self._one_epoch()
                heard = self._validation(loss)
                self._end_epoch(loss, heard)
                self._tell(force=True)
        self.network.load_state_dict(self.session.best)
        self.network.eval()
        return self.session.learnt()

    def _one_epoch(self) -> float:
        self.network.train()
        order = self.session.order(len(self.lesson.weights))
        for batch in range(self.place.batch, self.batches):
            rows = np.sort(order[batch * self.plan.batch_size : (batch + 1) * self.plan.batch_size])
            value = self._one_batch(rows, batch)
            self.place.total += value * len(rows)
            self.place.batch = batch + 1
            if self._is_step(batch):
                self._step()
                self._save_if_due()
            self._tell()
        return self.place.total / len(order)

    def _is_step(self, batch: int) -> bool:
        return (batch + 1) % self.plan.accumulate == 0 or batch + 1 == self.batches

    def _one_batch(self, rows: NDArray[np.int64], batch: int) -> float:
        # A last group of fewer batches is averaged over what it has.
        first = batch // self.plan.accumulate * self.plan.accumulate
        group = min(self.plan.accumulate, self.batches - first)
        value = 0.0
        for part, share in passes(self.network, rows) if self.device.type == "cpu" else [(rows, 1.0)]:
            loss = self._loss(part) * share
            value += float(loss.detach())
            if not np.isfinite(value):
                raise self._diverged(value)
            self.session.scaler.scale(loss / group).backward()  # type: ignore[no-untyped-call, unused-ignore]  # torch's
        return value

    def _step(self) -> None:
        session = self.session
        session.scaler.unscale_(session.optimiser)
        length = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        # A scaled loss may overflow; its scaler then leaves the step out and scales by less.
        if not session.scaler.is_enabled() and not bool(torch.isfinite(length)):
            raise self._diverged(float(length))
        session.scaler.step(session.optimiser)
        session.scaler.update()
        session.optimiser.zero_grad()

    def _loss(self, rows: NDArray[np.int64]) -> Tensor:
        windows = as_tensor(self.lesson.inputs[rows]).to(self.device)
        targets = {
            name: torch.from_numpy(values[rows]).to(self.device)
            for name, values in self.lesson.targets.items()
        }
        with self._narrow():
            stated = self.network(windows)
        return multi_task_loss(
            {name: value.float() for name, value in stated.items()},
            {name: t.float() if t.is_floating_point() else t for name, t in targets.items()},
            torch.from_numpy(self.lesson.weights[rows]).float().to(self.device),
            self.lesson.loss_weights,
        )

    def _narrow(self) -> AbstractContextManager[Any]:
        if self.precision is None:
            return nullcontext()
        narrow: AbstractContextManager[Any] = torch.autocast(self.device.type, dtype=self.precision)
        return narrow

    def _validation(self, loss: float) -> float:
        """Return the log-loss of the primary direction on the early-stop slice; the training loss without."""
        if self.lesson.validation is None:
            return loss
        windows, labels = self.lesson.validation
        if self.device.type == "cpu":
            return validation_loss(self.network, windows, labels)
        self.network.eval()
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(labels), ROWS_ON_A_DEVICE):
                part = slice(start, start + ROWS_ON_A_DEVICE)
                logits = self.network(as_tensor(windows[part]).to(self.device))[self.network.primary]
                truth = torch.from_numpy(labels[part]).to(self.device)
                total += float(F.cross_entropy(logits.double(), truth, reduction="sum"))
        return total / len(labels)

    def _end_epoch(self, loss: float, heard: float) -> None:
        place, plan = self.place, self.plan
        if not np.isfinite(heard):
            raise self._diverged(heard)
        earlier = min(place.validation_losses, default=float("inf"))
        place.train_losses.append(loss)
        if self.lesson.validation is not None:
            place.validation_losses.append(heard)
        if self.lesson.validation is None or heard <= earlier:
            self.session.keep_best()
        elif place.epoch - place.best_epoch >= plan.patience:
            place.done = True
        place.done = place.done or place.epoch == plan.epochs
        if not place.done:
            place.epoch, place.batch, place.total = place.epoch + 1, 0, 0.0
        self._save_if_due(force=place.done)

    def _diverged(self, value: float) -> Diverged:
        self.network.load_state_dict(self.session.best)
        self.network.eval()
        return Diverged(self.lesson.owner, value, self.place.epoch, self.plan.learning_rate)

    def _save_if_due(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if self.checkpoint and (force or now - self.saved >= self.teaching.every_seconds):
            self.checkpoint.save(*self.session.capture())
            self.saved = time.monotonic()

    def _share(self) -> float:
        place = self.place
        if place.done:
            return 1.0
        return (place.epoch - 1 + place.batch / self.batches) / self.plan.epochs

    def _tell(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if self.teaching.tell is None or (now - self.told < TOLD_EVERY and not force):
            return
        self.told = now
        place, share = self.place, self._share()
        rows = min(place.batch * self.plan.batch_size, len(self.lesson.weights))
        gone = share - self.done_before
        self.teaching.tell(
            Lap(
                model=self.name,
                part=self.part,
                over=len(place.train_losses),
                epochs=self.plan.epochs,
                share=share,
                loss=place.total / rows if rows else place.train_losses[-1],
                validation=place.validation_losses[-1] if place.validation_losses else float("nan"),
                seconds_left=(now - self.begun) / gone * (1.0 - share) if gone > 0.0 else float("nan"),
            )
        )
