"""A window forecaster in two graphs: each row is encoded once, and a decision reads the kept encodings."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import ArtefactRefused, InvalidValue
from consilium.models.serving.foreign import refuse_pickle
from consilium.models.serving.graph import AGAIN, TYPES, GraphForm, open_session

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
        for data in (encoder, decider):
            refuse_pickle(data, told)
        self.form = form
        self.told = told
        self._encoder = open_session(encoder, told)
        self._decider = open_session(decider, told)
        first, second = self._encoder.get_inputs(), self._decider.get_inputs()
        outputs = [found.name for found in self._decider.get_outputs()]
        fits = len(first) == len(second) == 1 and form.output in outputs
        if not fits or first[0].type not in TYPES or second[0].type not in TYPES:
            raise ArtefactRefused(
                f"{told} must encode rows and return {form.output}", f"outputs {outputs}", AGAIN
            )
        self._names = (str(first[0].name), str(second[0].name))
        self._kinds = (TYPES[first[0].type], TYPES[second[0].type])
        self.code_width = int(self.encode(np.zeros((1, form.n_features))).shape[1])

    def encode(self, rows: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Return the encodings (n, H) of scaled rows (n, F)."""
        given = np.ascontiguousarray(rows, dtype=self._kinds[0])
        codes: NDArray[Any] = self._encoder.run(None, {self._names[0]: given})[0]
        return codes

    def decide(self, codes: NDArray[Any]) -> Floats:
        """Return probabilities (n, 3) of windows of encodings (n, T, H)."""
        given = np.ascontiguousarray(codes, dtype=self._kinds[1])
        return self.form.probabilities(self._decider.run([self.form.output], {self._names[1]: given})[0])

    def predict_proba(self, X: NDArray[np.floating[Any]]) -> Floats:
        """Return probabilities (n, 3) of scaled windows (n, T, F), all rows encoded anew.

        Raises
        ------
        InvalidValue
            Another shape, NaN or inf.
        """
        if X.shape[1:] != self.form.shape:
            raise InvalidValue(
                f"{self.told} reads rows of shape {self.form.shape}",
                X.shape[1:],
                "give the features and the window it was trained on",
            )
        if not np.isfinite(X).all():
            raise InvalidValue(f"{self.told} reads finite numbers", "NaN or inf", "leave such rows out")
        codes = self.encode(X.reshape(-1, X.shape[-1]))
        return self.decide(codes.reshape(len(X), self.form.window, -1))
