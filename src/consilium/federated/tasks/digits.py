"""Handwritten digits: small, real and always at hand; the task on which rounds are tried."""

from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from consilium.domain.checks import require_at_least
from consilium.federated.local import LocalPlan, LocalRule, Trained
from consilium.federated.sampling import seed_of
from consilium.federated.tasks.partition import dirichlet_parts
from consilium.federated.tasks.task import require_parameters, require_participant

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

PIXELS, CLASSES = 64, 10
HELD_OUT = 360
"""Rows on which nobody learns, of 1,797."""
FEWEST_TO_HOLD_BACK = 10


@cache
def _images() -> tuple[Floats, Rows, Floats, Rows]:
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order] / 16.0, labels[order].astype(np.int64)
    for values in (images, labels):
        values.setflags(write=False)
    return images[HELD_OUT:], labels[HELD_OUT:], images[:HELD_OUT], labels[:HELD_OUT]


class Digits:
    """A net of one hidden layer on 8 x 8 images, ``softmax(W2 relu(W1 x + b1) + b2)``, learned by Adam.

    Parameters
    ----------
    participants
        How many share the 1,437 rows, >= 1; or their ids.
    alpha
        Of the Dirichlet split, > 0; 0.5.
    hidden
        Width h of the hidden layer, >= 0; 32. At 0 there is none: 650 numbers, a linear model.
    seed
        Of split and first weights.

    Examples
    --------
    >>> task = Digits(participants=5)
    >>> task.dimension, sum(task.examples(name) for name in task.participants)
    (2410, 1437)

    References
    ----------
    Kingma and Ba (2015), Adam, algorithm 1.
    """

    name: ClassVar[str] = "digits"

    def __init__(
        self,
        participants: int | tuple[str, ...] = 10,
        *,
        alpha: float = 0.5,
        hidden: int = 32,
        seed: int = 0,
    ) -> None:
        if isinstance(participants, int):
            require_at_least("participants", participants, 1)
            participants = tuple(f"p{number:05}" for number in range(participants))
        require_at_least("hidden", hidden, 0)
        self.hidden, self.seed = hidden, seed
        self._images, self._labels, self._later, self._later_labels = _images()
        parts = dirichlet_parts(self._labels, sorted(participants), alpha=alpha, seed=seed)
        self._fit: dict[str, Rows] = {}
        self._held: dict[str, Rows] = {}
        for name, rows in parts.items():
            held = np.zeros(len(rows), dtype=np.bool_)
            if len(rows) >= FEWEST_TO_HOLD_BACK:
                held[::5] = True
            self._fit[name], self._held[name] = rows[~held], rows[held]
        self._rows = {name: len(rows) for name, rows in parts.items()}

    @property
    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        if self.hidden == 0:
            return (PIXELS, CLASSES), (CLASSES,)
        return (PIXELS, self.hidden), (self.hidden,), (self.hidden, CLASSES), (CLASSES,)

    @property
    def dimension(self) -> int:
        """Numbers of the net."""
        return sum(int(np.prod(shape)) for shape in self._shapes)

    @property
    def participants(self) -> tuple[str, ...]:
        """Who has rows."""
        return tuple(self._fit)

    def examples(self, participant: str) -> int:
        """Return the rows of a participant, those it holds back included."""
        require_participant(participant, self._rows)
        return self._rows[participant]

    def initial(self) -> Floats:
        """Return He's first weights, and biases of 0."""
        rng = np.random.default_rng(seed_of(self.seed, self.name, "first"))
        parts = [
            rng.normal(scale=np.sqrt(2.0 / shape[0]), size=shape) if len(shape) == 2 else np.zeros(shape)
            for shape in self._shapes
        ]
        return np.concatenate([part.ravel() for part in parts])

    def train(
        self, participant: str, parameters: Floats, *, plan: LocalPlan, rule: LocalRule, seed: int
    ) -> Trained:
        """Take Adam's steps on a participant's rows."""
        require_participant(participant, self._fit)
        require_parameters(self.name, parameters, self.dimension)
        rows, rng = self._fit[participant], np.random.default_rng(seed)
        y, total, steps = parameters.copy(), np.zeros(self.dimension), 0
        first, second = np.zeros(self.dimension), np.zeros(self.dimension)
        for _ in range(plan.epochs):
            order = rng.permutation(rows)
            for start in range(0, len(order), plan.batch_size):
                plain = self.gradient(y, order[start : start + plan.batch_size])
                total += plain
                steps += 1
                gradient = plain if rule.idle else plain + rule.added_to(y)
                first = 0.9 * first + 0.1 * gradient
                second = 0.999 * second + 0.001 * gradient**2
                scaled = np.sqrt(second / (1.0 - 0.999**steps)) + 1e-8
                y -= plan.learning_rate * first / (1.0 - 0.9**steps) / scaled
        held = self._held[participant]
        return Trained(
            parameters=y,
            mean_gradient=total / max(1, steps),
            steps=steps,
            examples=len(rows),
            performance=self._accuracy(y, self._images[held], self._labels[held]) if len(held) else None,
        )

    def gradient(self, parameters: Floats, rows: Rows) -> Floats:
        """Return the gradient of the mean log-loss of some training rows, shape (d,)."""
        images, labels = self._images[rows], self._labels[rows]
        parts = self._parts(parameters)
        shown = images if self.hidden == 0 else np.maximum(images @ parts[0] + parts[1], 0.0)
        error = _softmax(shown @ parts[-2] + parts[-1])
        error[np.arange(len(rows)), labels] -= 1.0
        error /= len(rows)
        gradients = [shown.T @ error, error.sum(axis=0)]
        if self.hidden:
            behind = (error @ parts[-2].T) * (shown > 0.0)
            gradients = [images.T @ behind, behind.sum(axis=0), *gradients]
        return np.concatenate([part.ravel() for part in gradients])

    def loss(self, parameters: Floats, rows: Rows) -> float:
        """Return the mean log-loss of some training rows."""
        stated = self._forecast(parameters, self._images[rows])
        return float(-np.log(stated[np.arange(len(rows)), self._labels[rows]]).mean())

    def evaluate(self, parameters: Floats) -> dict[str, float]:
        """Return accuracy and log-loss on 360 rows that nobody learned from."""
        require_parameters(self.name, parameters, self.dimension)
        stated = self._forecast(parameters, self._later)
        right = stated[np.arange(HELD_OUT), self._later_labels]
        return {
            "accuracy": float((stated.argmax(axis=1) == self._later_labels).mean()),
            "log_loss": float(-np.log(np.maximum(right, 1e-300)).mean()),
        }

    def _accuracy(self, parameters: Floats, images: Floats, labels: Rows) -> float:
        return float((self._forecast(parameters, images).argmax(axis=1) == labels).mean())

    def _forecast(self, parameters: Floats, images: Floats) -> Floats:
        parts = self._parts(parameters)
        shown = images if self.hidden == 0 else np.maximum(images @ parts[0] + parts[1], 0.0)
        return _softmax(shown @ parts[-2] + parts[-1])

    def _parts(self, parameters: Floats) -> list[Floats]:
        parts, start = [], 0
        for shape in self._shapes:
            size = int(np.prod(shape))
            parts.append(parameters[start : start + size].reshape(shape))
            start += size
        return parts


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return result
