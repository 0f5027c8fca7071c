"""A fitted network as one ONNX file."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilium.domain import InvalidValue, OutputProblem
from consilium.domain.tables import missing_package
from consilium.models.layers.forecaster import PRIOR_SHARE
from consilium.models.layers.network.heads import CONFIDENCE, is_direction
from consilium.models.layers.network.learning import seeded
from consilium.models.layers.network.module import Layer, Network

OPSET = 17
PARITY = 1e-5
"""Largest difference between the file and the network that is let through."""

INPUT, LOGITS, PROBABILITIES, ROWS = "windows", "logits", "probabilities", "rows"
"""Names in a file; `ROWS` is the name of a free first dimension, to be fixed in a session for speed."""

SCALES = (0.1, 1.0, 3.0)
"""Sizes of the sample windows that prove a file."""


class FittedNetwork(Protocol):
    """What is read of a forecaster."""

    name: str
    window: int
    n_features_in_: int
    n_threads: int
    network_: Network
    prior_: NDArray[np.float64]
    return_scale_: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Parameters
    ----------
    path
        The file.
    inputs
        Shape of its one input, float32; 0 rows stands for any number.
    outputs
        Names: ``logits`` (n, 3) of the primary direction, ``probabilities`` (n, 3) as `predict_proba` gives
        them, then what each head states as `NetworkForecaster.quantities` gives it.
    difference
        Largest difference to the network over samples, of all outputs; where these exceed 1, such as logits,
        as a share of the largest. At most 1e-5.
    """

    path: Path
    inputs: tuple[int, ...]
    outputs: tuple[str, ...]
    difference: float


class Served(Layer):
    """A network and all that lies between its logits and a forecast."""

    def __init__(self, fitted: FittedNetwork) -> None:
        super().__init__()
        self.network = fitted.network_
        self.scale = fitted.return_scale_
        self.prior: Tensor
        self.register_buffer("prior", torch.from_numpy(fitted.prior_).float())

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `forward` returns."""
        return (LOGITS, PROBABILITIES, *self.network.names)

    def forward(self, windows: Tensor) -> tuple[Tensor, ...]:
        """Return logits, probabilities and what each head states."""
        stated = self.network(windows)
        told = []
        for name in self.network.names:
            if is_direction(name):
                told.append(stated[name].softmax(dim=1))
            elif name.startswith(CONFIDENCE):
                told.append(stated[name][:, 0].sigmoid())
            else:
                told.append(stated[name][:, 0] * self.scale)
        learnt = told[self.network.names.index(self.network.primary)]
        mixed = (1.0 - PRIOR_SHARE) * learnt + PRIOR_SHARE * self.prior
        return (stated[self.network.primary], mixed, *told)


def to_onnx(forecaster: FittedNetwork, path: Path, *, batch: int | None = 1) -> Exported:
    """Write a fitted network for ONNX Runtime, opset 17, and prove that it says the same.

    Parameters
    ----------
    forecaster
        Fitted on at least two classes.
    path
        The file; replaced whole or not at all.
    batch
        Rows of one call: 1 for one decision, which lets the runtime settle all shapes; None for any number.

    Raises
    ------
    InvalidValue
        Nothing was learnt, or the file differs from the network by more than 1e-5: it is not written.
    OutputProblem
        The file cannot be written.
    UsageError
        onnx or onnxruntime is not installed.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from consilium.models.nhits import NHitsForecaster
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.standard_normal((40, 8, 2)), np.arange(40) % 3
    >>> model = NHitsForecaster(window=8, hidden_size=8, epochs=1).fit(X, y)
    >>> made = to_onnx(model, Path(mkdtemp()) / "nhits.onnx")
    >>> made.inputs, made.outputs, made.difference <= 1e-5
    ((1, 8, 2), ('logits', 'probabilities', 'direction'), True)
    """
    if not hasattr(forecaster, "network_"):
        raise InvalidValue(
            f"{forecaster.name} must have learnt before it is exported", "no network", "fit on 2 classes"
        )
    served = Served(forecaster).eval()
    shape = (forecaster.window, forecaster.n_features_in_)
    with seeded(0, forecaster.n_threads):
        content = _exported(served, shape, batch)
        difference = _difference(served, content, shape, batch, forecaster.n_threads)
    if not difference <= PARITY:
        raise InvalidValue(
            f"the ONNX file of {forecaster.name} must agree with its network to {PARITY:g}",
            f"{difference:g}",
            "serve it by torch",
        )
    _write(path, content)
    return Exported(path=path, inputs=(batch or 0, *shape), outputs=served.outputs, difference=difference)


def _exported(served: Served, shape: Sequence[int], batch: int | None) -> bytes:
    target = BytesIO()
    axes = {name: {0: ROWS} for name in (INPUT, *served.outputs)} if batch is None else None
    with warnings.catch_warnings():
        # The tracing exporter calls itself deprecated; the other one cannot be held to opset 17.
        warnings.simplefilter("ignore")
        try:
            # A buffer is taken by the tracing exporter only, and the types speak of both.
            export: Any = torch.onnx.export
            export(
                served,
                (torch.zeros(batch or 2, *shape),),
                target,
                input_names=[INPUT],
                output_names=list(served.outputs),
                opset_version=OPSET,
                dynamic_axes=axes,
                dynamo=False,
            )
        except ModuleNotFoundError as error:
            raise missing_package("an ONNX file", error) from None
    return target.getvalue()


def _difference(
    served: Served, content: bytes, shape: Sequence[int], batch: int | None, threads: int
) -> float:
    """Return the largest difference of any output over samples of small, standard and large size."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise missing_package("the check of an ONNX file", error) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0.0
    for rows in (1, 5) if batch is None else (batch,):
        for scale in SCALES:
            given = (scale * rng.standard_normal((rows, *shape))).astype(np.float32)
            with torch.inference_mode():
                expected = served(torch.from_numpy(given))
            got = session.run(None, {INPUT: given})
            for one, other in zip(got, expected, strict=True):
                truth = other.numpy()
                size = max(1.0, float(np.max(np.abs(truth))))
                worst = max(worst, float(np.max(np.abs(one - truth))) / size)
    return worst


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as reason:
        fresh.unlink(missing_ok=True)
        raise OutputProblem(
            "an ONNX file needs a writable folder", f"{path} ({reason.strerror})", "choose another place"
        ) from None
