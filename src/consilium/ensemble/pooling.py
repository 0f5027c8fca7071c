"""What a pool of probabilities decides: its most probable direction."""

from collections.abc import Sequence

from consilium.domain import Direction
from consilium.ensemble.voting import DIRECTIONS, PASS, TOLERANCE, Verdict, Vote, boosted, level_of, tally


def verdict_of_pool(
    votes: Sequence[Vote],
    weights: tuple[float, ...],
    probabilities: tuple[float, float, float],
    n: int,
) -> Verdict:
    """Take the most probable direction of a pool; a tie for the first place is FLAT, with reason ``tie``.

    Parameters
    ----------
    votes
        At least one.
    weights
        In the order of the votes, >= 0, sum 1.
    probabilities
        The pool of the votes (down, flat, up).
    n
        Enabled models, abstainers included; >= ``len(votes)``.

    Examples
    --------
    >>> from consilium.domain import Prediction
    >>> said = Prediction(model="a", symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                   probabilities=(0.1, 0.3, 0.6))
    >>> vote = Vote(said, said.direction, 1.0, 1.0)
    >>> verdict_of_pool([vote], (1.0,), said.probabilities, 2).level
    'split'
    """
    heads, mass = tally(votes, weights)
    tied = False
    if max(heads) == len(votes):
        # Rounding could make a tie of a bare majority inside each voter's own forecast.
        direction = votes[0].direction
    else:
        best = max(probabilities)
        least = best - TOLERANCE
        tied = len([p for p in probabilities if p >= least]) > 1
        direction = Direction.FLAT if tied else DIRECTIONS[probabilities.index(best)]
    confidence = min(1.0, probabilities[direction])
    level, factor = level_of(heads[direction], n)
    # Keywords in the call would cost as much as the rest of this function.
    return Verdict(
        direction,
        probabilities,
        confidence,
        confidence,
        boosted(confidence, factor),
        level,
        heads[direction] / len(votes),
        min(1.0, mass[direction]),
        weights,
        {"tie": "tie: two directions are equally probable" if tied else PASS},
    )
