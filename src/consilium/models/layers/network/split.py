"""TLOB in two ONNX files: each book is encoded once, and a decision reads the encodings that were kept."""

import warnings
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilium.domain.tables import missing_package
from consilium.models.layers.forecaster import PRIOR_SHARE
from consilium.models.layers.network.export import OPSET, PROBABILITIES
from consilium.models.layers.network.forecaster import NetworkForecaster
from consilium.models.layers.network.learning import seeded
from consilium.models.layers.network.module import Layer

ROWS, CODES = "rows", "codes"


def is_split(network: Any) -> bool:
    """Tell whether a network treats each row of its window alone before it looks along time."""
    return getattr(network, "spatial", None) is not None


class _Encoder(Layer):
    """Rows (n, 4 L + A) to what is kept of them (n, H)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, rows: Tensor) -> Tensor:
        codes: Tensor = self.network.encode(rows)
        return codes


class _Decider(Layer):
    """Encodings (n, T, H) to probabilities."""

    def __init__(self, network: Any, prior: NDArray[np.float64]) -> None:
        super().__init__()
        self.network = network
        self.prior: Tensor
        self.register_buffer("prior", torch.from_numpy(prior).float())

    def forward(self, codes: Tensor) -> Tensor:
        learnt: Tensor = self.network.decide(codes)[self.network.primary].softmax(dim=1)
        return (1.0 - PRIOR_SHARE) * learnt + PRIOR_SHARE * self.prior


def split_onnx(forecaster: NetworkForecaster) -> tuple[bytes, bytes]:
    """Write encoder and decider of a fitted network that `is_split`; its caller compares them with it.

    Raises
    ------
    UsageError
        The package onnx is not installed.
    """
    network: Any = forecaster.network_.eval()
    encoder, decider = _Encoder(network).eval(), _Decider(network, forecaster.prior_).eval()
    with seeded(0, forecaster.n_threads):
        rows = torch.zeros(1, forecaster.n_features_in_)
        codes = torch.zeros(1, forecaster.window, int(encoder(rows).shape[1]))
        first = _written(encoder, rows, ROWS, CODES)
        return first, _written(decider, codes, CODES, PROBABILITIES)


def _written(module: Layer, sample: Tensor, reads: str, output: str) -> bytes:
    target = BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter calls itself deprecated; the other one cannot be held to opset 17.
        warnings.simplefilter("ignore")
        try:
            export: Any = torch.onnx.export
            export(
                module,
                (sample,),
                target,
                input_names=[reads],
                output_names=[output],
                opset_version=OPSET,
                dynamo=False,
            )
        except ModuleNotFoundError as error:
            raise missing_package("an ONNX file", error) from None
    return target.getvalue()
