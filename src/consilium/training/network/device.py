"""Where a network learns, and in which precision."""

import torch

from consilium.domain import UsageError
from consilium.training.teaching import AUTO, PRECISIONS

NATIVE = ("avx512_bf16", "amx_bf16")

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(asked: str) -> torch.device:
    """Return the device of a name; ``auto`` is CUDA where it is there, else the processor.

    Raises
    ------
    UsageError
        No such device here.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    >>> choose_device("cpux")
    Traceback (most recent call last):
    ...
    consilium.domain.errors.UsageError: device must be auto, cpu, cuda or cuda:<number>; got 'cpux': use auto
    """
    if asked == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UsageError("device must be auto, cpu, cuda or cuda:<number>", f"'{asked}'", "use auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {asked} must be there", f"{torch.cuda.device_count()} CUDA devices", "use cpu or auto"
        )
    return device


def multiplies_bf16() -> bool:
    """Tell whether this processor has instructions for products of bf16, which then take half the time."""
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in NATIVE)


def choose_precision(asked: str, device: torch.device) -> torch.dtype | None:
    """Return the type of products, None for plain single precision.

    ``auto`` is bf16 on a CUDA device or a processor that multiplies it itself, fp16 with a scaled loss on an
    older device, and plain single precision on any other processor. Sums, weights and gradients stay in
    single precision.

    Raises
    ------
    UsageError
        No such precision, or fp16 on a processor, whose loss cannot be scaled.

    Examples
    --------
    >>> choose_precision("fp32", torch.device("cpu")) is None
    True
    >>> choose_precision("bf16", torch.device("cpu"))
    torch.bfloat16
    """
    if asked not in PRECISIONS:
        raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}", f"'{asked}'", "use auto")
    if asked == "fp16" and device.type == "cpu":
        raise UsageError("precision fp16 needs a CUDA device", "cpu", "use bf16 or fp32")
    if asked != AUTO:
        return _TYPES.get(asked)
    if device.type == "cpu":
        return torch.bfloat16 if multiplies_bf16() else None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
