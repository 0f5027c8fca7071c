"""What a participant trained for a round, between the training and the end of the round."""

from dataclasses import dataclass

from consilium.domain import Update


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
