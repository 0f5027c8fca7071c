"""A window forecaster in two graphs: each row is encoded once, and a decision reads the kept encodings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import ArtefactRefused
from consilium.models.serving.graph import (
    AGAIN,
    GraphForecaster,
    GraphForm,
    GraphSession,
    one_line,
    require_rows,
)

Floats = NDArray[np.float64]


class SplitForecaster:
    """``p = decide(encode(x_1), ..., encode(x_T))``: of a new row only its own encoding is computed.

    Of 100 rows that a decision reads, 99 were there at the last one. The first graph maps rows (n, F) to
    encodings (n, H), whatever its shape inside; the second maps windows (n, T, H) to the output.

    Parameters
    ----------
    encoder, decider
        The two ONNX files.
    form
        How to read the second one; its window and features are those of the rows.
    told
        What to call it in errors.

    Raises
    ------
    ArtefactRefused
        Not two graphs that fit together, or a pickle.
    """

    def __init__(self, encoder: bytes, decider: bytes, form: GraphForm, told: str) -> None:
        self.form = form
        self.told = told
        self._encoder = GraphSession(encoder, None, told)
        try:
            codes = self.encode(np.zeros((1, form.n_features)))
        except Exception as error:  # noqa: BLE001 - the runtime raises classes of its own
            raise ArtefactRefused(f"{told} must encode rows", one_line(error), AGAIN) from None
        if codes.ndim != 2:
            raise ArtefactRefused(f"{told} must encode a row as one list of numbers", codes.shape, AGAIN)
        self.code_width = int(codes.shape[1])
        self._decider = GraphSession(decider, form.output, told)

    @property
    def single(self) -> bool:
        """Whether it reads float32."""
        return self._decider.single

    def encode(self, rows: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Return the encodings (n, H) of scaled rows (n, F)."""
        return self._encoder.run(rows)

    def decide(self, codes: NDArray[Any]) -> Floats:
        """Return probabilities (n, 3) of windows of encodings (n, T, H)."""
        return self.form.probabilities(self._decider.run(codes))

    def predict_proba(self, X: NDArray[np.floating[Any]]) -> Floats:
        """Return probabilities (n, 3) of scaled windows (n, T, F), all rows encoded anew.

        Raises
        ------
        InvalidValue
            Another shape, NaN or inf.
        """
        require_rows(X, self.form, self.told)
        codes = self.encode(X.reshape(-1, X.shape[-1]))
        return self.decide(codes.reshape(len(X), self.form.window, -1))


def open_graphs(graphs: Sequence[bytes], form: GraphForm, told: str) -> GraphForecaster | SplitForecaster:
    """Open one graph, or two that share the work.

    Raises
    ------
    ArtefactRefused
        They are not what they should be.
    """
    if len(graphs) == 1:
        return GraphForecaster(graphs[0], form, told)
    encoder, decider = graphs
    return SplitForecaster(encoder, decider, form, told)
