"""What makes a training step cheaper on a processor changes nothing but the time."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'consilium[torch]'")

from consilium.models.layers.network.attention import SelfAttention
from consilium.models.layers.network.dropout import LEAST, Dropout
from consilium.models.layers.network.horizon import Horizon
from consilium.models.layers.network.learning import passes
from consilium.models.layers.network.module import Layer
from consilium.models.patchtst import TOKENS_AT_ONCE, PatchTST, PatchTSTConfig


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("count", [LEAST - 1, 40 * LEAST])
def test_as_many_numbers_are_dropped_as_asked_and_the_mean_stays(share: float, count: int) -> None:
    torch.manual_seed(1)
    left = Dropout(share)(torch.ones(count))
    deviation = (share * (1.0 - share) / count) ** 0.5
    assert abs(float((left == 0).float().mean()) - share) < 4.0 * deviation
    assert abs(float(left.double().mean()) - 1.0) < 4.0 * deviation / (1.0 - share)
    assert torch.unique(left[left > 0]).tolist() == pytest.approx([1.0 / (1.0 - share)], rel=1e-4)


def test_dropped_numbers_do_not_follow_one_another() -> None:
    torch.manual_seed(2)
    gone = (Dropout(0.5)(torch.ones(1 << 20)) == 0).float() - 0.5
    for lag in (1, 2, 3, 4, 128, 512):
        assert abs(float((gone[lag:] * gone[:-lag]).mean())) < 4.0 * 0.25 / 2**10


def test_a_gradient_passes_where_a_number_stayed() -> None:
    torch.manual_seed(3)
    numbers = torch.randn(4 * LEAST, requires_grad=True)
    left = Dropout(0.2)(numbers)
    left.sum().backward()
    assert numbers.grad is not None
    assert torch.equal(left.detach(), numbers.detach() * numbers.grad)


def test_one_seed_drops_the_same_numbers_and_each_call_others() -> None:
    drop, ones = Dropout(0.5), torch.ones(2 * LEAST)
    drawn = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        drawn.append((drop(ones), drop(ones)))
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[0][1])
    assert not torch.equal(drawn[0][0], drawn[2][0])


@pytest.mark.parametrize(("n", "tokens"), [(6, 10), (5, 10), (6, 1), (4, 40)])
def test_sequences_that_share_a_call_do_not_see_each_other(n: int, tokens: int) -> None:
    torch.manual_seed(0)
    attention = SelfAttention(16, 4)
    given = torch.randn(n, tokens, 16)
    results = []
    for training in (True, False):
        inputs = given.clone().requires_grad_()
        mixed = attention.train(training)(inputs)
        mixed.square().sum().backward()
        results.append((mixed.detach(), inputs.grad))
    for one, other in zip(*results, strict=True):
        assert one is not None
        assert other is not None
        assert (one - other).abs().max() <= 1e-6


def test_attention_in_half_precision_is_that_of_single_precision() -> None:
    torch.manual_seed(0)
    attention, tokens = SelfAttention(16, 4), torch.randn(6, 10, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = attention(tokens)
    assert (narrow.float() - attention(tokens)).abs().max() < 0.02


def test_gradients_of_passes_add_up_to_those_of_the_batch() -> None:
    torch.manual_seed(0)
    network = PatchTST(PatchTSTConfig(dropout=0.0, d_model=16, num_heads=2, ff_dim=16), 62)
    rows = np.arange(19)
    parts = [part for part, _ in passes(network, rows)]
    assert [len(part) for part in parts] == [8, 8, 3]
    assert len(parts[0]) * 62 * 10 <= TOKENS_AT_ONCE
    windows = torch.randn(19, 120, 62)
    gradients = []
    for cut in ([(rows, 1.0)], list(passes(network, rows))):
        network.zero_grad()
        for part, share in cut:
            (network(windows[part])["direction"].square().sum(dim=1).mean() * share).backward()
        gradients.append([part.grad.clone() for part in network.parameters() if part.grad is not None])
    for one, other in pairwise(gradients):
        assert max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True)) < 1e-6


def test_a_batch_whose_rows_meet_is_one_pass() -> None:
    network = PatchTST(PatchTSTConfig(norm="post_batch"), 62)
    assert [len(part) for part, _ in passes(network, np.arange(64))] == [64]


class Newest(Layer):
    """The newest step of each channel."""

    def forward(self, windows: Any) -> Any:
        return windows[:, -1:].transpose(1, 2)


def test_a_forecast_of_numbers_moves_with_the_level_and_scale_of_its_window() -> None:
    torch.manual_seed(0)
    ahead = Horizon(Newest(), 2, 1, 3)
    windows = torch.randn(4, 30, 2)
    assert ahead(windows).shape == (4, 3, 2)
    assert (ahead(5.0 * windows + 7.0) - (5.0 * ahead(windows) + 7.0)).abs().max() < 1e-3
