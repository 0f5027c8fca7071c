"""A participant's side of rounds whose updates are seen: each is in its store before it is sent."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from consilium.app.federated.secret_store import FileSecretStore
from consilium.domain import DataProblem, InvalidValue, Update
from consilium.federated.learner import Learner
from consilium.federated.sampling import version_of
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.sent_update import SentUpdate
from consilium.federated.session import SessionState, Terms

Told = Callable[[str], None]


class UpdateCarrier(Protocol):
    """What is needed of a carrier."""

    def model(self) -> dict[str, NDArray[np.float64]]:
        """Return the model's arrays."""
        ...

    def reports(self, since: int = 1) -> list[dict[str, Any]]:
        """Return the reports of the rounds from one on."""
        ...

    def send_update(self, update: bytes) -> None:
        """Send a signed update; it is on the coordinator's disk when this returns."""
        ...


class Showing:
    """Signs updates, keeps them, and sends them.

    What was sent once is sent again as it was: after a restart a training might end in other bits, and two
    updates that differ are evidence against their sender.

    Parameters
    ----------
    carrier
        Reaches the coordinator.
    identity
        Owner's name and signing key.
    store
        Of the participant.
    session
        Name of it.
    told
        Hears what happens, in lines.
    """

    def __init__(
        self, carrier: UpdateCarrier, identity: Identity, store: FileSecretStore, session: str, told: Told
    ) -> None:
        self._carrier, self._identity, self._store = carrier, identity, store
        self._session, self._told = session, told
        self._name = f"update:{session}"

    def latest(self) -> int:
        """Return the round that the last update was kept for; 0 without."""
        found = self._store.get(self._name)
        return 0 if found is None else int.from_bytes(found[:4], "little")

    def kept(self, number: int) -> bytes | None:
        """Return the update of a round as it was signed; None where it is not the last one."""
        found = self._store.get(self._name)
        return None if found is None or self.latest() != number else found[4:]

    def keep(self, update: Update, number: int) -> bytes:
        """Sign an update for a round, and keep it in the place of the one before."""
        numbered = replace(update, round=number)
        raw = SentUpdate.signed(self._session, numbered, self._identity.signing.private).encode()
        self._store.put(self._name, number.to_bytes(4, "little") + raw)
        return raw

    def send(self, raw: bytes, number: int) -> bool:
        """Send an update; return whether it is accepted."""
        try:
            self._carrier.send_update(raw)
        except InvalidValue as refused:
            self._told(f"round {number}: update refused: {refused}")
            return False
        self._told(f"round {number}: update sent")
        return True


class BufferedTurns:
    """Trains again and again from the newest model, and lets one update wait at the coordinator.

    Parameters
    ----------
    carrier, showing
        Reach the coordinator.
    learner
        Trains.
    terms
        What was agreed; buffered.
    told
        Hears what happens, in lines.
    keep
        Writes down what the learner keeps of itself.
    """

    def __init__(
        self,
        carrier: UpdateCarrier,
        showing: Showing,
        learner: Learner,
        terms: Terms,
        told: Told,
        *,
        keep: Callable[[], None],
    ) -> None:
        assert terms.buffering is not None  # noqa: S101 - who makes this looked
        self._carrier, self._showing, self._learner = carrier, showing, learner
        self._terms, self._told, self._keep = terms, told, keep
        self._most_stale = terms.buffering.most_stale
        self._waits = showing.latest()
        """Round for which the update that waits was trained; 0 where none does."""
        self._seen = -1

    def turn(self, stands: Mapping[str, Any]) -> None:
        """Do what is due as the session stands: look whether the last update was merged, train, send."""
        done = int(stands["done"])
        if stands["state"] != SessionState.RUNNING:
            return
        try:
            self._act(done)
        except (InvalidValue, DataProblem) as left_out:
            # The model may be of another moment, or no model: the next turn looks anew.
            self._told(f"nothing sent for round {done + 1}: {left_out}")

    def _act(self, done: int) -> None:
        if self._waits and done != self._seen:
            self._look(done, again=self._seen < 0)
        self._seen = done
        if not self._waits:
            self._train(done + 1)

    def _look(self, done: int, *, again: bool) -> None:
        """Look into the reports since the last update; where it may be too old, send it again."""
        number, owner = self._waits, self._learner.participant
        for report in self._carrier.reports(since=number):
            out = [one for one in report.get("excluded", ()) if one.get("participant") == owner]
            if owner in report["survivors"] or out:
                counted = not out and not report["failed"]
                self._settle(number, counted=counted)
                self._told(
                    f"round {report['number']}: own update {'counted' if counted else 'did not count'}"
                )
                return
        if again or done - number >= self._most_stale:
            raw = self._showing.kept(number)
            if raw is None or not self._showing.send(raw, number):
                self._settle(number, counted=False)

    def _settle(self, number: int, *, counted: bool) -> None:
        self._learner.settle(number, counted=counted)
        self._keep()
        self._waits = 0

    def _train(self, number: int) -> None:
        arrays = self._carrier.model()
        parameters = arrays.pop("parameters", np.zeros(0))
        if len(parameters) != self._learner.task.dimension:
            raise DataProblem(
                f"the model must have {self._learner.task.dimension} numbers", len(parameters), "ask why"
            )
        state = {name.removeprefix("optimizer/"): value for name, value in arrays.items()}
        base = version_of(parameters)
        try:
            update, _ = self._learner.update(number, parameters, base, state, clip=self._terms.clip)
        except InvalidValue as diverged:
            self._told(f"round {number}: nothing to send: {diverged}")
            return
        self._keep()
        if self._showing.send(self._showing.keep(update, number), number):
            self._waits = number
        else:
            self._settle(number, counted=False)
