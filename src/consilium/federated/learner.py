"""A participant between rounds: it trains, clips, and keeps its own control."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue, Update
from consilium.federated.entropy import Entropy
from consilium.federated.local import LocalRule, Trained
from consilium.federated.optimizers import make_optimizer
from consilium.federated.quantising import Scale, quantise
from consilium.federated.rounds import RoundPlan
from consilium.federated.sampling import seed_of
from consilium.federated.session import Terms
from consilium.federated.tasks.task import Task
from consilium.federated.visible_round import length

Floats = NDArray[np.float64]


class Learner:
    """Makes the updates of one participant.

    Parameters
    ----------
    participant
        Its id; its rows are in the task.
    task
        What is trained.
    terms
        What was agreed.

    Examples
    --------
    >>> from consilium.federated.sampling import version_of
    >>> from consilium.federated.tasks.digits import Digits
    >>> task = Digits(participants=3)
    >>> learner = Learner("p00000", task, Terms(session="s", task="digits", clip=0.5))
    >>> base = task.initial()
    >>> update, within = learner.update(1, base, version_of(base), {}, clip=0.5)
    >>> round(length(update.delta), 6), within
    (0.5, False)
    """

    def __init__(self, participant: str, task: Task, terms: Terms) -> None:
        self.participant, self.task, self.terms = participant, task, terms
        self.optimizer = make_optimizer(terms.optimizer, **terms.options)
        self._control = np.zeros(task.dimension)
        self._pending: dict[int, Floats] = {}

    @property
    def control(self) -> Floats:
        """What its own gradients are on average; zeros where the optimizer keeps none. Secret: it stays."""
        return self._control.copy()

    @property
    def pending(self) -> dict[int, Floats]:
        """Controls by round, of updates that may or may not count: it is not known yet. Secret: they stay."""
        return {number: control.copy() for number, control in self._pending.items()}

    def recall(self, control: Floats, pending: Mapping[int, Floats]) -> None:
        """Go on with controls from before a restart.

        Raises
        ------
        InvalidValue
            Of another model.
        """
        for one in (control, *pending.values()):
            if one.shape != self._control.shape:
                raise InvalidValue(
                    f"a control must have shape {self._control.shape}",
                    one.shape,
                    "use the store of this session",
                )
        self._control = np.array(control)
        self._pending = {number: np.array(one) for number, one in pending.items()}

    def update(
        self,
        number: int,
        parameters: Floats,
        base_version: str,
        state: Mapping[str, Floats],
        *,
        clip: float,
    ) -> tuple[Update, bool]:
        """Train, and return the clipped update, and whether it was within the clip as it was.

        Parameters
        ----------
        number
            Of the round.
        parameters, base_version
            The model to train from, shape (d,), and its name.
        state
            Public state of the optimizer.
        clip
            L2 bound; where there are controls, of both changes as one vector.

        Raises
        ------
        InvalidValue
            The training left the finite numbers: withdraw from the round.
        """
        controlled = self.optimizer.parts == 2
        trained = self._trained(number, parameters, state["control"] - self._control if controlled else None)
        delta = trained.parameters - parameters
        if controlled:
            delta = np.concatenate([delta, trained.mean_gradient - self._control])
        clipped, within = clip_to(delta, clip)
        if controlled:
            self._pending[number] = self._control + clipped[len(parameters) :]
        return (
            Update(
                participant=self.participant,
                round=number,
                base_version=base_version,
                delta=clipped,
                num_examples=self.task.examples(self.participant),
                clip_norm=clip,
                local_performance=trained.performance,
                seconds=trained.seconds,
            ),
            within,
        )

    def _trained(self, number: int, parameters: Floats, correction: Floats | None) -> Trained:
        trained = self.task.train(
            self.participant,
            parameters,
            plan=self.terms.local,
            rule=LocalRule(base=parameters, prox_mu=self.optimizer.prox_mu, correction=correction),
            seed=seed_of(self.terms.seed, self.terms.session, self.participant, number),
        )
        if not np.all(np.isfinite(trained.parameters - parameters)):
            raise InvalidValue(
                f"the training of {self.participant} must stay finite",
                "NaN or inf in its parameters",
                "lower the learning rate; this round goes on without it",
            )
        return trained

    def settle(self, number: int, *, counted: bool) -> None:
        """Take the control of a round if its update counted, or drop it: the server's is their mean."""
        pending = self._pending.pop(number, None)
        if counted and pending is not None:
            self._control = pending
        self._pending = {later: kept for later, kept in self._pending.items() if later > number}


def clip_to(delta: Floats, clip: float) -> tuple[Floats, bool]:
    """Shorten a vector to an L2 norm; return it, and whether it was no longer before.

    Examples
    --------
    >>> shorter, within = clip_to(np.array([3.0, 4.0]), 1.0)
    >>> shorter.round(12).tolist(), within
    ([0.6, 0.8], False)
    """
    norm = length(delta)
    if norm <= clip:
        return delta, True
    return delta / norm * clip, False


def masked_input(update: Update, within: bool, plan: RoundPlan, entropy: Entropy) -> NDArray[np.int64]:
    """Return the integers that a participant masks: its faded update, rounded, and its bit if asked.

    Parameters
    ----------
    update, within
        As `Learner.update` made them.
    plan
        Of the round; it holds the participant's factor.
    entropy
        Draws the rounding.
    """
    faded = update.delta * plan.factors[update.participant]
    whole = quantise(faded, Scale(clip=plan.clip, clip_int=plan.clip_int), entropy)
    return np.append(whole, np.int64(within)) if plan.with_bit else whole
