"""A served forecaster: an ONNX graph and what turns its output into the native probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from consilium.domain import ArtefactRefused, InvalidValue, missing_package
from consilium.models.serving.foreign import refuse_pickle

Floats = NDArray[np.float64]

AGAIN = "train the model again, or copy the folder once more"
FORMS = ("logits", "probabilities")

WINDOWS_A_CALL = 4
"""Most windows of one call: weights are read once for all of them, and what lies between fits a cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphForm:
    """How to read a graph.

    Parameters
    ----------
    window, n_features
        Bars and columns of one row.
    output
        Name of the output that is read, shape (n, 3).
    form
        ``logits`` or ``probabilities``.
    prior
        Class shares of the training rows, or None for a graph that says everything itself.
    prior_share
        s of ``p = (1 - s) q + s prior``.
    """

    window: int
    n_features: int
    output: str
    form: str
    prior: tuple[float, float, float] | None
    prior_share: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return (self.n_features,) if self.window == 1 else (self.window, self.n_features)

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "window": self.window,
            "n_features": self.n_features,
            "output": self.output,
            "form": self.form,
            "prior": None if self.prior is None else list(self.prior),
            "prior_share": self.prior_share,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what `state` wrote."""
        if state["form"] not in FORMS:
            raise InvalidValue("form must be logits or probabilities", state["form"], AGAIN)
        prior = None
        if state["prior"] is not None:
            down, flat, up = (float(v) for v in state["prior"])
            prior = (down, flat, up)
        return cls(
            window=int(state["window"]),
            n_features=int(state["n_features"]),
            output=str(state["output"]),
            form=str(state["form"]),
            prior=prior,
            prior_share=float(state["prior_share"]),
        )

    def probabilities(self, raw: NDArray[Any]) -> Floats:
        """Turn the output of the graph into the forecaster's probabilities, shape (n, 3).

        Examples
        --------
        >>> form = GraphForm(window=1, n_features=1, output="logits", form="logits",
        ...                  prior=(0.0, 1.0, 0.0), prior_share=0.5)
        >>> form.probabilities(np.zeros((1, 3))).round(3).tolist()
        [[0.167, 0.667, 0.167]]
        """
        q = np.asarray(raw, dtype=np.float64)
        if self.form == "logits":
            # the ufuncs' own reductions: the methods take three times as long for one row
            q = np.exp(q - np.maximum.reduce(q, axis=1, keepdims=True))
            q /= np.add.reduce(q, axis=1, keepdims=True)
        if self.prior is not None:
            q = (1.0 - self.prior_share) * q + self.prior_share * np.asarray(self.prior)
        result: Floats = q / np.add.reduce(q, axis=1, keepdims=True)
        return result


class GraphSession:
    """One ONNX Runtime session from rows to one output.

    One intra-op thread, sequential, no spinning, and no memory arena of its own: seven sessions in one
    process must not hold seven reserves.

    Parameters
    ----------
    data
        The ONNX file.
    output
        The output that is read; the first one if not given.
    told
        What to call it in errors.

    Raises
    ------
    ArtefactRefused
        Not an ONNX graph, a foreign one, or a pickle.
    UsageError
        ONNX Runtime is not installed.
    """

    def __init__(self, data: bytes, output: str | None, told: str) -> None:
        self._session = open_session(data, told)
        inputs = self._session.get_inputs()
        outputs = [found.name for found in self._session.get_outputs()]
        self.output = outputs[0] if output is None else output
        if len(inputs) != 1 or self.output not in outputs or inputs[0].type not in TYPES:
            raise ArtefactRefused(
                f"{told} must read one array of numbers and return {self.output}",
                f"inputs {[found.name for found in inputs]} and outputs {outputs}",
                AGAIN,
            )
        self._input = str(inputs[0].name)
        self._type = TYPES[inputs[0].type]
        shape = inputs[0].shape
        self._at_once = 1 if shape[:1] == [1] else WINDOWS_A_CALL if len(shape) > 2 else None

    @property
    def single(self) -> bool:
        """Whether it reads float32."""
        return bool(self._type is np.float32)

    def run(self, X: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Return the output of rows, the first axis being rows.

        A graph that was written for one row is asked row by row: a quantised one, whose steps follow the
        largest number of its input, says of a row what it says of it alone. Windows are asked a few at a
        time.
        """
        given = np.ascontiguousarray(X, dtype=self._type)
        size = self._at_once
        if size is None or 0 < len(given) <= size:
            return self._asked(given)
        rows = [self._asked(given[place : place + size]) for place in range(0, len(given), size)]
        return np.concatenate(rows) if rows else np.empty((0, 3), dtype=self._type)

    def _asked(self, given: NDArray[Any]) -> NDArray[Any]:
        result: NDArray[Any] = self._session.run([self.output], {self._input: given})[0]
        return result


class GraphForecaster:
    """A graph that forecasts as the native model does, whose library is not imported.

    Parameters
    ----------
    data
        The ONNX file.
    form
        How to read it.
    told
        What to call it in errors.

    Raises
    ------
    ArtefactRefused
        As in `GraphSession`.
    """

    def __init__(self, data: bytes, form: GraphForm, told: str) -> None:
        self.form = form
        self.told = told
        self._session = GraphSession(data, form.output, told)

    @property
    def single(self) -> bool:
        """Whether it reads float32."""
        return self._session.single

    def predict_proba(self, X: NDArray[np.floating[Any]]) -> Floats:
        """Return probabilities (n, 3) of scaled rows (n, F) or windows (n, window, F).

        Raises
        ------
        InvalidValue
            Another shape, NaN or inf.
        """
        require_rows(X, self.form, self.told)
        return self.ask(X)

    def ask(self, X: NDArray[np.floating[Any]]) -> Floats:
        """Return what `predict_proba` does of rows that are known to be finite and of the right shape."""
        return self.form.probabilities(self._session.run(X))


TYPES: Mapping[str, Any] = {"tensor(double)": np.float64, "tensor(float)": np.float32}


def require_rows(X: NDArray[np.floating[Any]], form: GraphForm, told: str) -> None:
    """Refuse rows of another shape than a graph reads, NaN and inf."""
    if X.shape[1:] != form.shape:
        raise InvalidValue(
            f"{told} reads rows of shape {form.shape}",
            X.shape[1:],
            "give the features and the window it was trained on",
        )
    if not np.isfinite(X).all():
        raise InvalidValue(f"{told} reads finite numbers", "NaN or inf", "leave such rows out")


def open_session(data: bytes, told: str) -> Any:
    """Open a session on one thread; a file that is no such graph, or a pickle, is refused in one line."""
    refuse_pickle(data, told)
    try:
        import onnxruntime as ort
    except ModuleNotFoundError as error:
        raise missing_package("serving", error) from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    for entry in ("session.intra_op.allow_spinning", "session.inter_op.allow_spinning"):
        options.add_session_config_entry(entry, "0")
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the runtime raises classes of its own that it does not export
        raise ArtefactRefused(
            f"{told} must be an ONNX graph that runs here", one_line(error), AGAIN
        ) from None


def one_line(error: Exception) -> str:
    """Return what the runtime says as one short line."""
    return " ".join(str(error).split())[:160]
