"""How the models of a run are taught: which rows, where, with which checkpoints, and who is told."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from consilium.domain import InvalidValue

AUTO = "auto"
PRECISIONS = (AUTO, "fp32", "bf16", "fp16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lap:
    """How far one network is.

    Parameters
    ----------
    model, part
        Which one; ``fold 2`` or ``final``.
    over, epochs
        Epochs that are over, and the most there can be.
    share
        Of all batches of all epochs, done, in [0, 1].
    loss
        Mean loss of this epoch so far.
    validation
        Log-loss on the early-stop slice after the last epoch; NaN before it.
    seconds_left
        If it runs to the last epoch; NaN before the first batch. Early stopping may end it sooner.
    """

    model: str
    part: str
    over: int
    epochs: int
    share: float
    loss: float
    validation: float
    seconds_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """How models are taught.

    Parameters
    ----------
    stride
        Learn from every so many-th bar of each symbol, >= 1. It thins fit and early stop; scaler and class
        means read all of fit, and calibration and test stay whole.
    device
        ``auto`` (CUDA where it is there, else the processor), ``cpu``, ``cuda`` or ``cuda:1``.
    precision
        ``auto``, ``fp32``, ``bf16`` or ``fp16``.
    recompute
        Whether inner results are computed again on the way back instead of kept: slower, in less memory.
    checkpoints
        Folder of the states from which a killed training goes on; None for none.
    every_seconds
        How often a state is written, >= 0; 30.
    tell
        Called as a network advances, in the process that teaches it.
    """

    stride: int = 1
    device: str = AUTO
    precision: str = AUTO
    recompute: bool = False
    checkpoints: Path | None = None
    every_seconds: float = 30.0
    tell: Callable[[Lap], None] | None = None

    def require(self) -> None:
        """Refuse values outside their bounds."""
        if self.stride < 1:
            raise InvalidValue("stride must be >= 1", self.stride, "use 1 for every row")
