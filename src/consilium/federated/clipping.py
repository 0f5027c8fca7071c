"""A clip that follows the middle of the norms: each participant tells one bit of its own."""

from math import exp

from consilium.domain.checks import require_fraction, require_positive

RATE = 0.2


def next_clip(clip: float, share_below: float) -> float:
    """Return the clip of the next round: ``C exp(-0.2 (b - 0.5))``.

    One bit ``1[norm <= C]`` of each participant is in the same secure sum, so only b is known. A step changes
    the clip by a tenth at most, whatever is claimed.

    Parameters
    ----------
    clip
        C, > 0.
    share_below
        b, share of the survivors whose update was no longer than C, in [0, 1].

    Examples
    --------
    >>> next_clip(1.0, 0.5), round(next_clip(1.0, 1.0), 3), round(next_clip(1.0, 0.0), 3)
    (1.0, 0.905, 1.105)

    References
    ----------
    Andrew et al. (2021), Differentially private learning with adaptive clipping, eq. 1.
    """
    require_positive("clip", clip)
    require_fraction("share below the clip", share_below)
    return clip * exp(-RATE * (share_below - 0.5))
