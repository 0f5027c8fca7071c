"""What a participant trained for a round, between the training and the end of the round."""

import json
from dataclasses import dataclass

from consilium.app.federated.secret_store import FileSecretStore
from consilium.domain import Update
from consilium.federated.rounds import RoundPlan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What was trained for a round, and from what.

    Parameters
    ----------
    number, clip
        For which round and clip.
    base
        Name of the model.
    model
        Digest of all that was trained from.
    update, within
        As `Learner.update` made them.
    """

    number: int
    clip: float
    base: str
    model: str
    update: Update
    within: bool


class TrainedFrom:
    """Remembers through a restart what the last update was trained from: who has masked needs no more of it.

    Parameters
    ----------
    store
        Of the participant.
    session
        Name of it.
    """

    def __init__(self, store: FileSecretStore, session: str) -> None:
        self._store, self._name = store, f"model:{session}"

    def keep(self, made: Trained) -> None:
        """Write down from what it was trained, before anything of it is masked."""
        self._store.put(self._name, json.dumps([made.number, made.base, made.clip, made.model]).encode())

    def of(self, plan: RoundPlan, base: str) -> str:
        """Return the digest of what was trained from for this round, as it is planned; empty if none was."""
        kept = self._store.get(self._name)
        if kept is None:
            return ""
        number, trained_from, clip, model = json.loads(kept)
        return str(model) if (number, trained_from, clip) == (plan.number, base, plan.clip) else ""
