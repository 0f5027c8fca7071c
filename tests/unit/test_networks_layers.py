"""The parts of the networks, each against arithmetic that one can check."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'consilium[torch]'")

from consilium.models.layers.network.attention import Encoder, EncoderBlock
from consilium.models.layers.network.dual_attention import BilinearNorm
from consilium.models.layers.network.layout import FeatureLayout
from consilium.models.layers.network.patches import PatchEmbedding
from consilium.models.layers.network.pooling import AttentionPooling
from consilium.models.layers.network.positions import sinusoids
from consilium.models.layers.published import swap_classes, swap_columns, swap_sides
from consilium.models.mpd_transformer import MPDConfig, MPDTransformer
from consilium.models.nhits import NHits, NHitsConfig
from consilium.models.patchtst import PatchTST, PatchTSTBackbone, PatchTSTConfig
from consilium.models.tlob import TLOB, TLOBConfig


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("window", "length", "stride"), [(12, 4, 4), (13, 4, 2), (15, 6, 4)])
def test_patches_by_convolution_are_patches_by_matrix(
    shared: bool, window: int, length: int, stride: int
) -> None:
    torch.manual_seed(0)
    slow = PatchEmbedding(window, length, stride, 8, 3, kind="linear", shared=shared)
    fast = PatchEmbedding(window, length, stride, 8, 3, kind="conv", shared=shared)
    fast.load_state_dict(slow.state_dict())
    x = torch.randn(5, window, 3)
    tokens = slow(x)
    torch.testing.assert_close(fast(x), tokens, atol=1e-5, rtol=0)
    newest = x[2, window - length :, 1] @ slow.weight[0 if shared else 1].T + slow.bias[0 if shared else 1]
    torch.testing.assert_close(tokens[2, 1, -1], newest, atol=1e-5, rtol=0)


def test_channels_folded_into_the_batch_give_what_a_loop_over_them_gives() -> None:
    torch.manual_seed(0)
    config = PatchTSTConfig(window=24, patch_len=6, d_model=16, num_heads=2, num_layers=2, ff_dim=16)
    folded = PatchTSTBackbone(config, 5).eval()
    one = PatchTSTBackbone(config, 1).eval()
    one.load_state_dict(folded.state_dict())
    x = torch.randn(3, 24, 5)
    looped = torch.cat([one(x[:, :, c : c + 1]) for c in range(5)], dim=1)
    torch.testing.assert_close(folded(x), looped, atol=1e-5, rtol=0)


@pytest.mark.parametrize("norm", ["pre_layer", "post_batch"])
@pytest.mark.parametrize("place", [0, -1, 3])
def test_reading_one_token_gives_what_reading_all_gives(norm: str, place: int) -> None:
    torch.manual_seed(0)
    encoder = Encoder(3, 16, 4, 32, norm=norm, final_norm=True).eval()
    tokens = torch.randn(2, 7, 16)
    torch.testing.assert_close(
        encoder(tokens, only=place)[:, 0], encoder(tokens)[:, place], atol=1e-5, rtol=0
    )


def test_attention_with_one_head_is_its_formula() -> None:
    torch.manual_seed(0)
    attention = EncoderBlock(6, 1, 8).attention.eval()
    x = torch.randn(1, 4, 6)
    q, k, v = (attention.joint(x)[0, :, i : i + 6] for i in (0, 6, 12))
    shares = torch.softmax(q @ k.T / 6**0.5, dim=1)
    torch.testing.assert_close(attention(x)[0], attention.out(shares @ v), atol=1e-6, rtol=0)


@pytest.mark.promise("002", "RevIN: each window loses level and scale; they come back")
def test_with_revin_the_head_still_sees_level_and_scale() -> None:
    torch.manual_seed(0)
    config = PatchTSTConfig(
        window=24, patch_len=6, d_model=16, num_heads=2, num_layers=1, ff_dim=16, revin=True
    )
    network = PatchTST(config, 2).eval()
    x = torch.randn(1, 24, 2)
    moved = 3.0 * x + 5.0
    assert network.revin is not None
    normal, mean, scale = network.revin(x)
    again, other_mean, other_scale = network.revin(moved)
    torch.testing.assert_close(again, normal, atol=1e-4, rtol=0)
    torch.testing.assert_close(other_mean, 3.0 * mean + 5.0, atol=1e-5, rtol=0)
    torch.testing.assert_close(other_scale, 3.0 * scale, atol=1e-4, rtol=0)
    torch.testing.assert_close(network.revin.undo(again, other_mean, other_scale), moved, atol=1e-4, rtol=0)
    assert not torch.allclose(network(moved)["direction"], network(x)["direction"], atol=1e-3)


def test_nhits_blocks_subtract_full_length_backcasts_and_add_forecasts() -> None:
    torch.manual_seed(0)
    stacks = NHits(NHitsConfig(window=20, hidden_size=16, num_blocks=2), 1).stacks
    x = torch.randn(3, 20)
    left, total = x, torch.zeros(3, 3)
    for block in stacks.blocks:
        backcast, forecast = block(left)
        assert backcast.shape == x.shape
        left, total = left - backcast, total + forecast
    torch.testing.assert_close(stacks(x), total)


def test_nhits_by_channels_treats_each_feature_alike() -> None:
    torch.manual_seed(0)
    network = NHits(NHitsConfig(window=20, hidden_size=16, inputs="channels"), 2)
    x = torch.randn(4, 20, 2)
    alone = torch.cat([network.stacks(x[:, :, c]) for c in range(2)], dim=1)
    torch.testing.assert_close(network(x)["direction"], network.mix(alone) + network.level)


def test_missing_books_are_zero_columns_and_a_flag_outside_the_patches() -> None:
    layout = FeatureLayout("x", 112)
    x = torch.randn(2, 3, 112)
    x[1, :, 62:] = 0.0
    columns, flag = layout(x)
    assert columns is x
    assert flag[:, :, 0].tolist() == [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    told, given = FeatureLayout("x", 113)(torch.cat([x, 1.0 - flag], dim=2))
    assert torch.equal(told, x)
    assert torch.equal(given, 1.0 - flag)
    short, none = FeatureLayout("x", 62)(x[..., :62])
    assert torch.equal(short[1], x[1])
    assert none.sum() == 0
    network = MPDTransformer(MPDConfig(num_layers=1), 112).eval()
    few = MPDTransformer(MPDConfig(num_layers=1), 62).eval()
    few.load_state_dict(network.state_dict())
    masked = x[1:].repeat(1, 20, 1)
    torch.testing.assert_close(few(masked[..., :62])["direction"], network(masked)["direction"])


def test_the_flag_of_the_book_reaches_the_forecast() -> None:
    torch.manual_seed(0)
    network = MPDTransformer(MPDConfig(num_layers=1), 112).eval()
    x = torch.zeros(1, 60, 112)
    before = network(x)["direction"]
    x[..., 62:] = 1e-30
    assert not torch.equal(network(x)["direction"], before)


def test_patches_of_the_picture_are_10_steps_by_14_columns() -> None:
    network = MPDTransformer(MPDConfig(num_layers=1), 112)
    x = torch.arange(60 * 112, dtype=torch.float32).reshape(1, 60, 112)
    patches = network.cut(x)
    assert patches.shape == (1, 48, 140)
    torch.testing.assert_close(patches[0, 9], x[0, 10:20, 14:28].flatten())


def test_attention_over_time_is_a_weighted_mean() -> None:
    pooling = AttentionPooling(3)
    steps = torch.full((1, 4, 3), -5.0)
    steps[0, 2] = 5.0
    with torch.no_grad():
        pooling.score.weight.fill_(50.0)
    torch.testing.assert_close(pooling(steps)[0], steps[0, 2])


def test_sinusoids_are_those_of_the_paper() -> None:
    table = sinusoids(50, 6).numpy()
    t, k = 17, 2
    assert table[t, 2 * k] == pytest.approx(np.sin(t / 10_000 ** (2 * k / 6)), abs=1e-5)
    assert table[t, 2 * k + 1] == pytest.approx(np.cos(t / 10_000 ** (2 * k / 6)), abs=1e-5)


def test_bilinear_normalisation_is_its_formula() -> None:
    torch.manual_seed(0)
    norm = BilinearNorm(4, 3)
    x = torch.randn(1, 4, 3)
    x[0, 2] = 7.0  # a step whose features are all alike has no deviation
    by_step = (x - x.mean(2, keepdim=True)) / torch.where(x.std(2) < 1e-4, torch.tensor(1.0), x.std(2))[
        ..., None
    ]
    by_feature = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)
    expected = 0.5 * norm.step_gain * by_step + 0.5 * norm.feature_gain.T * by_feature
    torch.testing.assert_close(norm(x), expected)


def test_tlob_encodes_each_row_on_its_own_and_reads_the_newest_auxiliary_features() -> None:
    torch.manual_seed(0)
    network = TLOB(TLOBConfig(window=12, num_temporal_layers=1), 192).eval()
    x = torch.randn(2, 12, 192)
    codes = torch.stack([network.encode(x[:, t]) for t in range(12)], dim=1)
    expected = network(x)
    for name, value in network.decide(codes).items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=0)
    older, newest = x.clone(), x.clone()
    older[:, :-1, 80:] += 1.0
    newest[:, -1, 80:] += 1.0
    torch.testing.assert_close(network(older)["direction_30"], expected["direction_30"])
    assert not torch.allclose(network(newest)["direction_30"], expected["direction_30"], atol=1e-6)


@pytest.mark.promise("004", "TLOB's published class and column order is turned at one border")
def test_the_published_order_is_turned_and_turned_back() -> None:
    rng = np.random.default_rng(0)
    books = rng.standard_normal((2, 5, 40))
    assert swap_sides(books)[1, 2, :4].tolist() == books[1, 2, [2, 3, 0, 1]].tolist()
    np.testing.assert_array_equal(swap_sides(swap_sides(books)), books)
    assert swap_classes(np.array([0, 1, 2])).tolist() == [2, 1, 0]
    scores = rng.standard_normal((4, 3))
    np.testing.assert_array_equal(swap_columns(scores).argmax(axis=1), swap_classes(scores.argmax(axis=1)))
