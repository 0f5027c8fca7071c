"""The configurations of the documents: sizes, options, and what they refuse."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'consilium[torch]'")

from consilium.domain import ConsiliumError, InvalidValue, UnknownName
from consilium.models import make_forecaster
from consilium.models.cnn_lstm import CnnLstm, CnnLstmConfig
from consilium.models.layers.network.module import Network, count_parameters
from consilium.models.mpd_transformer import MPDConfig, MPDTransformer
from consilium.models.nhits import NHits, NHitsConfig
from consilium.models.patchtst import PatchTST, PatchTSTConfig
from consilium.models.tlob import TLOB, TLOBConfig


@pytest.mark.promise("002", "N-HiTS: three stacks of pooling 1, 2, 4, hidden 512, about 1.6 M parameters")
def test_nhits_has_between_1_53_and_1_69_million_parameters() -> None:
    assert count_parameters(NHits(NHitsConfig(), 14)) == 1_611_237
    for inputs in ("squeeze", "channels"):
        for features in (1, 14, 62, 112):
            network = NHits(NHitsConfig(inputs=inputs), features)
            assert 1.53e6 < count_parameters(network) < 1.69e6
            pools = [part for part in network.stacks.modules() if isinstance(part, torch.nn.MaxPool1d)]
            assert [pool.kernel_size for pool in pools] == 3 * [1] + 3 * [2] + 3 * [4]


@pytest.mark.promise("002", "PatchTST: patches of 12 on 120 steps, d 128, 8 heads, 3 layers, ff 512")
def test_patchtst_has_0_60_million_parameters_shared_and_0_62_a_channel() -> None:
    assert count_parameters(PatchTST(PatchTSTConfig(), 14)) == 603_139
    assert count_parameters(PatchTST(PatchTSTConfig(embedding="per_channel"), 14)) == 624_771
    assert round(count_parameters(PatchTST(PatchTSTConfig(d_model=256, ff_dim=1024), 14)) / 1e6, 1) == 2.4
    assert PatchTSTConfig().num_patches == 10


def test_cnn_lstm_has_1_9_million_parameters() -> None:
    assert round(count_parameters(CnnLstm(CnnLstmConfig(), 112)) / 1e6, 1) == 1.9


@pytest.mark.promise(
    "004", "MPDTransformer: patches (10, 14), d 256, 6 layers, 8 heads, CLS token, three heads"
)
def test_the_mpd_transformer_has_4_79_million_parameters_and_8_with_ten_layers() -> None:
    assert round(count_parameters(MPDTransformer(MPDConfig(), 112)) / 1e6, 2) == 4.79
    assert round(count_parameters(MPDTransformer(MPDConfig(num_layers=10), 112)) / 1e6) == 8
    assert MPDConfig().num_patches == 48


@pytest.mark.promise("004", "TLOB: channels 32/64/128, kernels 3/5/7, hidden 128, 4 layers, 4 heads")
def test_tlob_has_1_53_million_parameters_and_5_with_hidden_256() -> None:
    assert round(count_parameters(TLOB(TLOBConfig(), 192)) / 1e6, 2) == 1.53
    assert round(count_parameters(TLOB(TLOBConfig(temporal_hidden=256), 192)) / 1e6) == 5


def test_the_published_tlob_has_its_own_size() -> None:
    # FI-2010 in the paper: 40 columns, 128 snapshots, hidden 40, 4 layers, 1 head.
    published = TLOBConfig(
        variant="dual_attention",
        window=128,
        num_levels=10,
        temporal_hidden=40,
        num_heads=1,
        horizons=(10, 20, 50),
        primary=10,
    )
    assert 1.0e6 < count_parameters(TLOB(published, 40)) < 1.2e6


@pytest.mark.promise(
    "004", "heads direction, confidence and expected_return; TLOB direction_{h}, confidence_{h}"
)
def test_the_heads_have_the_names_and_shapes_of_the_documents() -> None:
    three = {"direction": (2, 3), "confidence": (2, 1), "expected_return": (2, 1)}
    assert shapes(CnnLstm(CnnLstmConfig(), 112), 60, 112) == three
    assert shapes(MPDTransformer(MPDConfig(num_layers=1), 112), 60, 112) == three
    assert shapes(NHits(NHitsConfig(), 14), 120, 14) == {"direction": (2, 3)}
    expected = {f"direction_{h}": (2, 3) for h in (10, 30, 50)} | {
        f"confidence_{h}": (2, 1) for h in (10, 30, 50)
    }
    for variant, columns in (("spatial_cnn", 80), ("spatial_cnn", 192), ("dual_attention", 80)):
        config = TLOBConfig(variant=variant, num_temporal_layers=1)
        network = TLOB(config, columns)
        assert network.primary == "direction_30"
        assert shapes(network, 100, columns) == expected


def shapes(network: Network, window: int, features: int) -> dict[str, tuple[int, ...]]:
    with torch.inference_mode():
        stated = network.eval()(torch.randn(2, window, features))
    return {name: tuple(value.shape) for name, value in stated.items()}


@pytest.mark.promise(
    "002", "PatchTST options: RevIN, linear or conv patches, learnable or sinusoidal positions"
)
@pytest.mark.parametrize("revin", [False, True])
@pytest.mark.parametrize("patching", ["linear", "conv"])
@pytest.mark.parametrize("positions", ["learnable", "sinusoidal"])
@pytest.mark.parametrize("norm", ["pre_layer", "post_batch"])
def test_every_option_of_patchtst_runs_with_every_other(
    revin: bool, patching: str, positions: str, norm: str
) -> None:
    for embedding in ("shared", "per_channel"):
        for head in ("mean", "flatten"):
            config = PatchTSTConfig(
                window=26,
                patch_len=6,
                d_model=8,
                num_heads=2,
                num_layers=1,
                ff_dim=8,
                revin=revin,
                patching=patching,
                positions=positions,
                norm=norm,
                embedding=embedding,
                head=head,
            )
            network = PatchTST(config, 3)
            stated = network(torch.randn(5, 26, 3))["direction"]
            torch.autograd.backward(stated.sum())
            assert stated.shape == (5, 3)
            assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "params", "clue"),
    [
        ("nhits", {"pools": (1, 300)}, "pools of nhits"),
        ("nhits", {"hidden_size": 0}, "hidden_size of nhits must be a whole number >= 1; got 0"),
        ("nhits", {"inputs": "channel"}, "did you mean 'channels'"),
        ("patchtst", {"num_heads": 7}, "width must be a multiple of the heads; got 128 for 7 heads"),
        ("patchtst", {"patch_len": 121}, "patch_len of patchtst must be <= window 120"),
        ("patchtst", {"head": "men"}, "did you mean 'mean'"),
        ("patchtst", {"dropout": 1.0}, r"dropout of patchtst must be in \[0, 1\)"),
        ("cnn_lstm", {"kernel_size": 4}, "must be odd"),
        ("mpd_transformer", {"patch_size": (7, 14)}, "must divide 60 steps x 112 columns"),
        ("tlob", {"horizons": (10, 20)}, r"primary of tlob must be one of the horizons \(10, 20\); got 30"),
        ("tlob", {"kernels": (3, 4)}, "kernels of tlob must be odd"),
        (
            "tlob",
            {"variant": "dual"},
            "variant of tlob must be one of dual_attention, spatial_cnn; got 'dual'",
        ),
        ("tlob", {"learning_rate": 0.0}, "learning_rate of tlob must be > 0"),
        ("tlob", {"batch_size": 0}, "batch_size of tlob"),
        ("tlob", {"weight_decay": -1.0}, "weight_decay of tlob must be >= 0"),
    ],
)
def test_a_setting_outside_its_bound_is_refused_in_one_line(
    name: str, params: dict[str, Any], clue: str
) -> None:
    model = make_forecaster(name, **params)
    window = model.window
    X = torch.zeros(40, window, 80).double().numpy()
    with pytest.raises(ConsiliumError, match=clue) as refused:
        model.fit(X, torch.arange(40).numpy() % 3)
    assert "\n" not in str(refused.value)


def test_a_parameter_that_no_network_has_is_named() -> None:
    with pytest.raises(UnknownName, match=r"parameter of nhits .* did you mean 'hidden_size'"):
        make_forecaster("nhits", hiden_size=3)


@pytest.mark.parametrize(("name", "most"), [("cnn_lstm", 112), ("mpd_transformer", 112)])
def test_more_columns_than_the_layout_are_refused(name: str, most: int) -> None:
    model = make_forecaster(name, epochs=1)
    X = torch.zeros(40, model.window, most + 2).double().numpy()
    with pytest.raises(InvalidValue, match=f"{name} reads at most {most} features; got {most + 2}"):
        model.fit(X, torch.arange(40).numpy() % 3)


def test_tlob_refuses_windows_that_are_no_whole_books() -> None:
    model = make_forecaster("tlob", epochs=1)
    with pytest.raises(InvalidValue, match="tlob reads 80 or 192 columns; got 81"):
        model.fit(torch.zeros(40, 100, 81).double().numpy(), torch.arange(40).numpy() % 3)
