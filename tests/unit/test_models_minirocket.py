"""MiniRocket against a direct convolution written from the paper's definition."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.domain import InvalidValue, log_loss
from consilium.models.layers.rocket import KERNELS, choose_dilations, fit_rocket
from consilium.models.minirocket import MiniRocketForecaster


def direct_convolution(
    x: NDArray[np.float64], heavy: tuple[int, ...], dilation: int
) -> tuple[list[float], list[float]]:
    """The padded convolution of one series with one kernel, and its inner part, tap by tap."""
    weights = [2.0 if j in heavy else -1.0 for j in range(9)]
    padded, inner = [], []
    for t in range(len(x)):
        at = [t + (j - 4) * dilation for j in range(9)]
        value = sum(w * x[i] for w, i in zip(weights, at, strict=True) if 0 <= i < len(x))
        padded.append(value)
        if at[0] >= 0 and at[-1] < len(x):
            inner.append(value)
    return padded, inner


@pytest.mark.parametrize(("length", "n_channels", "num_features"), [(9, 1, 84), (40, 1, 420), (33, 5, 588)])
def test_every_feature_is_the_share_of_a_direct_convolution_above_its_bias(
    length: int, n_channels: int, num_features: int
) -> None:
    X = np.random.default_rng(1).integers(-9, 10, (12, length, n_channels)).astype(np.float64)
    rocket = fit_rocket(X, num_features, np.random.default_rng(2))
    got = rocket.transform(X[:4])
    assert got.shape == (4, num_features)
    feature = combination = 0
    for turn, dilation in enumerate(rocket.dilations.tolist()):
        for kernel, heavy in enumerate(combinations(range(9), 3)):
            channels = [c for c in rocket.channels[combination].tolist() if c >= 0]
            combination += 1
            for _ in range(int(rocket.per_dilation[turn])):
                for row in range(4):
                    padded, inner = direct_convolution(X[row][:, channels].sum(axis=1), heavy, dilation)
                    values = inner if (turn + kernel) % 2 else padded
                    share = np.mean(np.array(values) > rocket.biases[feature])
                    assert got[row, feature] == pytest.approx(share, abs=1e-6)
                feature += 1
    assert feature == num_features


def test_there_are_84_kernels_of_six_light_and_three_heavy_taps() -> None:
    assert len(set(KERNELS)) == 84
    assert all(len(set(kernel)) == 3 and max(kernel) < 9 for kernel in KERNELS)


def test_the_paper_has_9996_features_and_dilations_up_to_the_window() -> None:
    dilations, per_dilation = choose_dilations(512, 10_000)
    assert per_dilation.sum() * 84 == 9_996
    assert dilations[0] == 1
    assert dilations[-1] * 8 <= 511
    assert (np.diff(dilations) > 0).all()
    assert per_dilation.min() >= 1


@pytest.mark.parametrize("length", [9, 10, 17, 64, 100])
@pytest.mark.parametrize("num_features", [84, 168, 1_008, 9_996])
def test_features_are_a_multiple_of_84_and_kernels_fit_the_window(length: int, num_features: int) -> None:
    dilations, per_dilation = choose_dilations(length, num_features)
    assert per_dilation.sum() * 84 == num_features
    assert dilations[-1] * 8 <= length - 1


def test_biases_are_quantiles_of_convolutions_of_training_windows() -> None:
    X = np.random.default_rng(0).standard_normal((1, 20, 1))
    rocket = fit_rocket(X, 84, np.random.default_rng(0))
    golden = (np.sqrt(5) + 1) / 2
    for feature, heavy in enumerate(combinations(range(9), 3)):
        padded, _ = direct_convolution(X[0, :, 0], heavy, 1)
        expected = np.quantile(padded, (feature + 1) * golden % 1)
        assert rocket.biases[feature] == pytest.approx(expected, abs=1e-5)


def test_no_combination_adds_a_channel_twice_or_more_than_nine() -> None:
    X = np.random.default_rng(0).standard_normal((3, 64, 62))
    rocket = fit_rocket(X, 1_008, np.random.default_rng(0))
    sizes = []
    for row in rocket.channels:
        used = row[row >= 0]
        assert len(set(used.tolist())) == len(used)
        sizes.append(len(used))
    assert min(sizes) == 1
    assert max(sizes) == 9
    assert rocket.channels.max() == 61


def waves(n: int, length: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sine against square wave at a random phase, hidden in one of three channels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n) * 2
    wave = np.sin(np.arange(length) * 0.35 + rng.uniform(0, 6.28, (n, 1)))
    X = 0.3 * rng.standard_normal((n, length, 3))
    X[:, :, 1] += np.where(y[:, None] == 2, np.sign(wave), 1.3 * wave)
    return X, y


def test_it_tells_two_waveforms_apart() -> None:
    model = MiniRocketForecaster(window=64, num_features=420).fit(*waves(300, 64, 0))
    X, y = waves(300, 64, 1)
    assert np.mean(model.predict(X) == y) > 0.95
    assert log_loss(model.predict_proba(X), y).mean() < 0.2


def test_pure_noise_leaves_the_prior() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((600, 16, 4)), rng.choice(3, 600, p=[0.2, 0.3, 0.5])
    model = MiniRocketForecaster(window=16, num_features=168).fit(X, y)
    later, truth = rng.standard_normal((2_000, 16, 4)), rng.choice(3, 2_000, p=[0.2, 0.3, 0.5])
    climatology = log_loss(np.tile(model.prior_, (2_000, 1)), truth).mean()
    assert log_loss(model.predict_proba(later), truth).mean() < climatology + 0.01


def test_a_validation_slice_chooses_the_penalty() -> None:
    X, y = waves(300, 64, 0)
    noise = np.random.default_rng(3).integers(0, 2, 300) * 2
    honest = MiniRocketForecaster(num_features=168).fit(X, y, validation=waves(200, 64, 2))
    useless = MiniRocketForecaster(num_features=168).fit(X, y, validation=(waves(300, 64, 4)[0], noise))
    assert useless.ridge_.penalty > honest.ridge_.penalty
    assert np.ptp(useless.predict_proba(X)[:, 0]) < 0.3 < np.ptp(honest.predict_proba(X)[:, 0])


def test_a_window_shorter_than_a_kernel_is_refused() -> None:
    with pytest.raises(InvalidValue, match="window of minirocket must be a whole number >= 9; got 8"):
        MiniRocketForecaster(window=8).fit(np.zeros((4, 8, 1)), [0, 1, 2, 0])


def test_windows_of_another_length_are_refused() -> None:
    with pytest.raises(InvalidValue, match=r"windows of 64 rows; got shape \(4, 32, 1\)"):
        MiniRocketForecaster().fit(np.zeros((4, 32, 1)), [0, 1, 2, 0])


def test_fewer_rows_than_features_are_enough(tmp_path: Path) -> None:
    X, y = waves(60, 64, 0)
    model = MiniRocketForecaster(num_features=840).fit(X, y)
    model.save(tmp_path)
    later, truth = waves(100, 64, 1)
    assert np.mean(MiniRocketForecaster.load(tmp_path).predict(later) == truth) > 0.9
