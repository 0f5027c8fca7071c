"""Networks small enough for tests: seconds to fit, and four features or one level of a book to read."""

from typing import Any

_QUICK: dict[str, Any] = {"epochs": 6, "batch_size": 80, "learning_rate": 5e-3, "accumulate": 1}

SMALL_NETWORKS: dict[str, dict[str, Any]] = {
    "nhits": {**_QUICK, "window": 8, "hidden_size": 32, "num_blocks": 1},
    "patchtst": {
        **_QUICK,
        "window": 8,
        "patch_len": 4,
        "d_model": 8,
        "num_heads": 2,
        "num_layers": 1,
        "ff_dim": 32,
    },
    "cnn_lstm": {
        **_QUICK,
        "window": 8,
        "input_features": 4,
        "channels": (8, 8),
        "lstm_hidden": 8,
        "lstm_layers": 1,
    },
    "mpd_transformer": {
        **_QUICK,
        "window": 8,
        "input_features": 4,
        "patch_size": (4, 2),
        "embed_dim": 16,
        "num_layers": 1,
        "num_heads": 2,
    },
    "tlob": {
        **_QUICK,
        "epochs": 10,
        "window": 8,
        "num_levels": 1,
        "spatial_channels": (4, 8),
        "temporal_hidden": 16,
        "num_temporal_layers": 1,
        "num_heads": 2,
    },
}
