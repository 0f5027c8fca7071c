"""Updates as integers: clipped, unbiased, within their bounds."""

import numpy as np
import pytest

from consilium.domain import InvalidValue
from consilium.federated.entropy import SeededEntropy
from consilium.federated.quantising import Scale, dequantise, quantise


def update(d: int, norm: float, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=d)
    return values * norm / np.linalg.norm(values)


def test_an_update_within_the_clip_keeps_its_values_to_a_step() -> None:
    scale = Scale(clip=2.0, clip_int=4_096)
    delta = update(1_000, 1.5)
    back = dequantise(quantise(delta, scale, SeededEntropy(1)), scale)
    assert np.abs(back - delta).max() < scale.step


def test_a_longer_update_is_shortened_to_the_clip_in_its_direction() -> None:
    scale = Scale(clip=2.0, clip_int=1 << 20)
    delta = update(1_000, 50.0)
    back = dequantise(quantise(delta, scale, SeededEntropy(1)), scale)
    assert np.linalg.norm(back) == pytest.approx(2.0, rel=1e-4)
    assert np.abs(back - delta * 2.0 / 50.0).max() <= scale.step


@pytest.mark.parametrize("size", [1e300, 1e-300, 5e-324, 0.0])
def test_huge_and_tiny_updates_neither_overflow_nor_vanish_wrongly(size: float) -> None:
    scale = Scale(clip=1.0, clip_int=100)
    whole = quantise(np.array([size, -size, 0.0, size]), scale, SeededEntropy(1))
    expected = round(100 / np.sqrt(3)) if size > 1 else 0
    assert np.abs(np.abs(whole[[0, 1, 3]]) - expected).max() <= 1
    assert whole[2] == 0


def test_rounding_has_no_bias() -> None:
    scale = Scale(clip=1.0, clip_int=64)
    delta = np.array([0.3 / 64, 0.71 / 64, -0.05 / 64, -10.5 / 64])
    entropy = SeededEntropy(2)
    mean = np.mean([quantise(delta, scale, entropy) for _ in range(4_000)], axis=0)
    assert np.abs(mean - delta * 64).max() < 4 * 0.5 / np.sqrt(4_000)


@pytest.mark.parametrize("d", [1, 10, 10_000, 100_000])
def test_the_integer_norm_never_exceeds_its_bound_and_no_value_the_clip(d: int) -> None:
    scale = Scale(clip=1.0, clip_int=256)
    for seed in range(20 if d < 1_000 else 5):
        whole = quantise(update(d, 3.0, seed), scale, SeededEntropy(seed))
        assert np.sqrt(float(whole @ whole)) <= scale.norm_bound(d)
        assert np.abs(whole).max() <= 256


def test_a_draw_beyond_the_norm_is_drawn_anew() -> None:
    class Counted(SeededEntropy):
        drawn = 0

        def token(self, size: int) -> bytes:
            self.drawn += 1
            return super().token(size)

    # All fractions near .5 and a small clip: rounding itself decides about the norm.
    scale = Scale(clip=1.0, clip_int=16)
    delta = np.full(1_024, 0.5 / 16)
    counts = []
    for seed in range(60):
        entropy = Counted(seed)
        whole = quantise(delta, scale, entropy)
        assert int(whole @ whole) <= 16**2 + 16 + 1_024 // 4 + 16
        counts.append(entropy.drawn)
    assert max(counts) > 1
    assert np.mean(counts) < 1 / (1 - np.exp(-0.5))


def test_the_mean_of_a_sum_comes_back() -> None:
    scale = Scale(clip=1.0, clip_int=1 << 16)
    deltas = [update(50, 0.5, seed) for seed in range(8)]
    total = np.sum([quantise(delta, scale, SeededEntropy(9)) for delta in deltas], axis=0)
    assert np.abs(dequantise(total, scale, 8) - np.mean(deltas, axis=0)).max() <= scale.step


@pytest.mark.parametrize(
    ("delta", "problem"),
    [
        (
            np.array([1.0, np.nan, np.inf]),
            r"must be finite; got 2 of 3 values that are not, first nan at 1: lower",
        ),
        (np.array([-np.inf]), "first -inf at 0"),
        (np.zeros((2, 2)), r"must be flat and not empty; got shape \(2, 2\): flatten it"),
        (np.zeros(0), r"got shape \(0,\)"),
    ],
)
def test_what_is_no_finite_vector_is_refused(delta: np.ndarray, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        quantise(delta, Scale(clip=1.0), SeededEntropy(1))


@pytest.mark.parametrize("clip", [0.0, -1.0, float("nan"), float("inf")])
def test_a_clip_that_is_no_length_is_refused(clip: float) -> None:
    with pytest.raises(InvalidValue, match="clip must be finite and > 0"):
        Scale(clip=clip)


def test_a_scale_outside_its_bounds_is_refused() -> None:
    for clip_int in (0, -1, 2**31):
        with pytest.raises(InvalidValue, match=rf"clip_int must lie in \[1, 2\^31\); got {clip_int}"):
            Scale(clip=1.0, clip_int=clip_int)
    with pytest.raises(InvalidValue, match="count must be finite and >= 1; got 0"):
        dequantise(np.array([1]), Scale(clip=1.0), 0)
