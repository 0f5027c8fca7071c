"""The process that trains a model for the service: ``consilium train`` with its progress as lines of JSON.

It reads one request from its standard input and ends, at once, when that is closed: however its parent ends,
no training outlives it. The states of its networks are on the disk; the same training goes on from there.
"""

import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

if TYPE_CHECKING:
    from consilium.app.observe import Observed

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


class Line:
    """Where lines go: a descriptor of its own, so that no library can write between them."""

    def __init__(self) -> None:
        self._out: BinaryIO = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def __call__(self, kind: str, **more: Any) -> None:
        """Write one line."""
        plain = {
            name: None if isinstance(value, float) and not isfinite(value) else value
            for name, value in more.items()
        }
        with self._lock:
            self._out.write(orjson.dumps({"kind": kind, **plain}, default=str) + b"\n")


def _end_with_parent() -> None:
    """Wait for the end of the standard input, which the parent keeps open for as long as it lives."""
    while os.read(0, 4_096):
        pass
    os._exit(1)


def run(asked: Mapping[str, Any], line: Line) -> None:
    """Train what was asked for, as the command does."""
    from consilium.app import deploy
    from consilium.app.backtest.request import BacktestRequest
    from consilium.app.observe import fitting_features
    from consilium.app.settings import Ensemble, Settings
    from consilium.market.features import feature_names

    model = str(asked["architecture"])
    settings = Settings.model_validate(asked["settings"])
    training = settings.training
    parameters = {**training.parameters.get(model, {}), **_batch_size(model, asked["batch_size"])}
    training = training.model_copy(
        update={
            "epochs": asked["epochs"],
            "parameters": {**training.parameters, model: parameters},
            "tune": asked.get("trials") or training.tune,
        }
    )
    # Shares of models that are not trained here would be refused; no training reads them.
    settings = settings.model_copy(update={"training": training, "ensemble": Ensemble()})
    request = BacktestRequest.checked(
        settings=settings,
        data=asked["data"],
        bar=asked["bar"],
        symbols=(asked["symbol"],),
        models=(model,),
        features=training.features,
        horizon=training.horizon,
    )
    line("plan", parts=training.folds + 1)
    observed = played(request.observed(), asked.get("until"))
    chosen = request.features or fitting_features(observed)
    observed = observed.with_books(feature_names(chosen))
    result = deploy.train(
        settings,
        observed,
        request.models,
        features=chosen,
        horizon=request.horizon,
        folder=settings.data_dir / "models",
        progress=lambda stage, done, total, text="": line(
            "stage", stage=stage, done=done, total=total, text=text
        ),
        tell=lambda lap: line(
            "lap", part=lap.part, over=lap.over, share=lap.share, loss=lap.loss, validation=lap.validation
        ),
    )
    reason = next(iter({**result.skipped, **result.failures}.values()), "")
    version = str(result.models[model].get("version", "")) if model in result.models else ""
    line("end", reason=reason, version=version)


def played(observed: "Observed", until: int | None) -> "Observed":
    """Return the bars that have closed by an instant, None for all: a replay's later ones are its future.

    Raises
    ------
    DataProblem
        No bar has.
    """
    from consilium.domain import DataProblem

    if until is None:
        return observed
    panel = {
        symbol: series.slice(0, int(series.ts_close.searchsorted(until, side="right")))
        for symbol, series in observed.panel.items()
    }
    if not any(len(series) for series in panel.values()):
        raise DataProblem("a training needs bars that were played", "none", "start it later")
    return replace(observed, panel=panel)


def _batch_size(model: str, batch_size: int) -> dict[str, int]:
    """Return the batch size where the model knows one: trees do not."""
    from consilium.app.bootstrap import factories

    known = factories([model], ())[model]().get_params(deep=False)
    return {"batch_size": batch_size} if "batch_size" in known else {}


def main() -> int:
    """Carry out one request."""
    import signal

    from consilium.domain import ConsiliumError

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")
    line = Line()
    with os.fdopen(os.dup(0), "rb", buffering=0) as given:
        asked = orjson.loads(_first_line(given))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        run(asked, line)
    except KeyboardInterrupt:
        line("end", reason="interrupted", version="")
    except ConsiliumError as error:
        line("end", reason=str(error), version="")
    except MemoryError:
        line("end", reason="out of memory: ask for a smaller batch_size", version="")
    except Exception as error:  # noqa: BLE001 - whatever it is, who asked is told in one line
        text = " ".join(str(error).split())[:300]
        line("end", reason=f"unexpected {type(error).__name__}: {text}", version="")
    return 0


def _first_line(given: BinaryIO) -> bytes:
    read = bytearray()
    while not read.endswith(b"\n"):
        piece = given.read(1)
        if not piece:
            break
        read += piece
    return bytes(read)


if __name__ == "__main__":
    sys.exit(main())
