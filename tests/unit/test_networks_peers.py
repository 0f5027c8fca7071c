"""The networks against other projects' code, with the same weights."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'consilium[torch]'")

from consilium.models.layers.network.attention import Encoder
from consilium.models.layers.network.positions import sinusoids
from consilium.models.mpd_transformer import MPDConfig, MPDTransformer
from consilium.models.nhits import NHitsBlock
from consilium.models.patchtst import PatchTST, PatchTSTConfig

Weights = dict[str, Any]


def encoder_in_torchs_names(encoder: Encoder) -> Weights:
    """Name our weights as torch.nn.TransformerEncoder does."""
    names = {
        "attention.joint.weight": "self_attn.in_proj_weight",
        "attention.joint.bias": "self_attn.in_proj_bias",
        "attention.out": "self_attn.out_proj",
        "feed.0": "linear1",
        "feed.3": "linear2",
        "norm_attention": "norm1",
        "norm_feed": "norm2",
    }
    renamed = {}
    for key, value in encoder.state_dict().items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        renamed[key.replace("blocks.", "layers.")] = value
    return renamed


@pytest.mark.promise("004", "the MPD encoder is a pre-norm transformer encoder: equal to torch's")
def test_the_mpd_encoder_is_torchs_transformer_encoder() -> None:
    torch.manual_seed(0)
    config = MPDConfig()
    ours = MPDTransformer(config, 112).encoder.eval()
    layer = torch.nn.TransformerEncoderLayer(
        config.embed_dim,
        config.num_heads,
        config.inner,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    theirs = torch.nn.TransformerEncoder(
        layer, config.num_layers, norm=torch.nn.LayerNorm(config.embed_dim), enable_nested_tensor=False
    ).eval()
    for block in ours.modules():
        if isinstance(block, torch.nn.Linear | torch.nn.LayerNorm):
            torch.nn.init.normal_(block.bias, std=0.1)
    theirs.load_state_dict(encoder_in_torchs_names(ours))
    tokens = torch.randn(4, 49, config.embed_dim)
    with torch.inference_mode():
        expected = theirs(tokens)
        assert (ours(tokens) - expected).abs().max() <= 1e-5
        assert (ours(tokens, only=0)[:, 0] - expected[:, 0]).abs().max() <= 1e-5


def patchtst_in_their_names(network: PatchTST, theirs: Any, shared: bool) -> None:
    """Copy our weights into transformers' PatchTSTForClassification; all of its own must be replaced."""
    embedding = network.backbone.embedding
    new: Weights = {"model.encoder.positional_encoder.position_enc": network.backbone.positions.table}
    if shared:
        new["model.encoder.embedder.input_embedding.weight"] = embedding.weight[0]
        new["model.encoder.embedder.input_embedding.bias"] = embedding.bias[0]
    else:
        for channel in range(embedding.channels):
            new[f"model.encoder.embedder.input_embedding.{channel}.weight"] = embedding.weight[channel]
            new[f"model.encoder.embedder.input_embedding.{channel}.bias"] = embedding.bias[channel]
    batch_norm = "norm_attention.norm.weight" in network.backbone.encoder.blocks[0].state_dict()
    for key, value in network.backbone.encoder.state_dict().items():
        _, place, part = key.split(".", 2)
        base = f"model.encoder.layers.{place}."
        if part.startswith("attention.joint."):
            kind = part.rsplit(".", 1)[1]
            for name, third in zip("qkv", value.chunk(3), strict=True):
                new[f"{base}self_attn.{name}_proj.{kind}"] = third
            continue
        for ours, named in (
            ("attention.out", "self_attn.out_proj"),
            ("feed.0", "ff.0"),
            ("feed.3", "ff.3"),
            ("norm_attention.norm", "norm_sublayer1.batchnorm"),
            ("norm_feed.norm", "norm_sublayer3.batchnorm"),
            ("norm_attention", "norm_sublayer1"),
            ("norm_feed", "norm_sublayer3"),
        ):
            if part.startswith(ours) and (batch_norm or not ours.endswith(".norm")):
                part = part.replace(ours, named)
                break
        new[base + part] = value
    head = network.heads.maps["direction"]
    new["head.linear.weight"], new["head.linear.bias"] = head.weight, head.bias
    assert set(new) == set(theirs.state_dict())
    theirs.load_state_dict(new)


@pytest.mark.peers
@pytest.mark.promise("002", "PatchTST equals transformers' PatchTSTForClassification with the same weights")
@pytest.mark.parametrize("embedding", ["shared", "per_channel"])
@pytest.mark.parametrize("norm", ["pre_layer", "post_batch"])
@pytest.mark.parametrize(("positions", "stride"), [("learnable", 12), ("sinusoidal", 6)])
def test_patchtst_is_that_of_transformers(embedding: str, norm: str, positions: str, stride: int) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = PatchTSTConfig(embedding=embedding, norm=norm, positions=positions, stride=stride)
    ours = PatchTST(config, 14)
    torch.nn.init.normal_(ours.heads.maps["direction"].weight)
    theirs = transformers.PatchTSTForClassification(
        transformers.PatchTSTConfig(
            num_input_channels=14,
            context_length=120,
            num_targets=3,
            patch_length=12,
            patch_stride=stride,
            num_hidden_layers=3,
            d_model=128,
            num_attention_heads=8,
            share_embedding=embedding == "shared",
            ffn_dim=512,
            norm_type="layernorm" if norm == "pre_layer" else "batchnorm",
            pre_norm=norm == "pre_layer",
            positional_encoding_type="random",
            scaling=None,
            do_mask_input=False,
            use_cls_token=False,
            pooling_type="mean",
            head_dropout=0.0,
        )
    )
    for _ in range(3):
        ours(torch.randn(8, 120, 14))  # gives batch normalisation something to remember
    patchtst_in_their_names(ours, theirs, embedding == "shared")
    windows = torch.randn(6, 120, 14)
    with torch.inference_mode():
        expected = theirs.eval()(past_values=windows).prediction_logits
        difference = (ours.eval()(windows)["direction"] - expected).abs().max()
    assert expected.abs().max() > 0.5
    assert difference <= 1e-5
    if positions == "sinusoidal":
        torch.testing.assert_close(ours.backbone.positions.table, sinusoids(config.num_patches, 128))


@pytest.mark.peers
@pytest.mark.promise("002", "an N-HiTS block equals neuralforecast's with the same weights")
@pytest.mark.parametrize("pool", [1, 2, 4, 7])
@pytest.mark.parametrize(("outputs", "knots"), [(3, 3), (96, 4)])
def test_an_nhits_block_is_that_of_neuralforecast(pool: int, outputs: int, knots: int) -> None:
    nhits = pytest.importorskip("neuralforecast.models.nhits")
    torch.manual_seed(0)
    ours = NHitsBlock(120, 64, pool=pool, outputs=outputs, knots=knots).eval()
    torch.nn.init.normal_(ours.both.weight, std=0.2)
    theirs = nhits.NHITSBlock(
        input_size=120,
        h=outputs,
        n_theta=120 + knots,
        mlp_units=[[64, 64], [64, 64]],
        basis=nhits._IdentityBasis(120, outputs, "linear"),
        futr_input_size=0,
        hist_input_size=0,
        stat_input_size=0,
        n_pool_kernel_size=pool,
        pooling_mode="MaxPool1d",
        dropout_prob=0.0,
        activation="ReLU",
    ).eval()
    # Theirs begins with a linear layer that no activation follows; as the identity it changes nothing.
    linear = [part for part in theirs.layers if isinstance(part, torch.nn.Linear)]
    first, second = ours.net[0], ours.net[3]
    with torch.no_grad():
        linear[0].load_state_dict(first.state_dict())
        linear[1].weight.copy_(torch.eye(64))
        linear[1].bias.zero_()
        linear[2].load_state_dict(second.state_dict())
        linear[3].load_state_dict(ours.both.state_dict())
    series = torch.randn(9, 120)
    nothing = torch.empty(0)
    with torch.inference_mode():
        backcast, forecast = ours(series)
        their_backcast, their_forecast = theirs(series, nothing, nothing, nothing)
    assert (backcast - their_backcast).abs().max() <= 1e-5
    assert (forecast - their_forecast[:, :, 0]).abs().max() <= 1e-5
    assert forecast.abs().max() > 0.1
