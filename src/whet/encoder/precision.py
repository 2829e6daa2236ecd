"""The precision that a forward pass runs in: device and dtype in, a context out."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode


def reduced(device: str, dtype: torch.dtype | None) -> ExitStack:
    """Autocast to `dtype`; None leaves autocast as it is.

    Under autocast on a CPU, attention stays in float32, which is faster there.
    """
    stack = ExitStack()
    if dtype is not None:
        stack.enter_context(torch.autocast(device, dtype=dtype))
    if device == "cpu" and torch.is_autocast_enabled("cpu"):
        stack.enter_context(_FloatAttention())
    return stack


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The dtype to autocast to at a precision (`auto`, `bf16`, `fp32`); None for no autocast.

    `auto` takes bfloat16 where the hardware multiplies it fast. On a CPU without avx512_bf16 or
    AMX, bfloat16 products take ten times as long as float32 ones. With them, a training step of
    MiniLM took 0.6 of the time (docs/LOG.md).
    """
    wants_bf16 = precision == "bf16"
    if precision == "auto":
        wants_bf16 = _has_fast_bf16(device)
    return torch.bfloat16 if wants_bf16 else None


def _has_fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # The public torch.cpu.get_capabilities() is younger than torch 2.9, which whet supports.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class _FloatAttention(TorchFunctionMode):
    """Attention in float32 whatever its inputs.

    A CPU's bfloat16 kernel takes 2 to 5 times as long (docs/LOG.md).
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is not scaled_dot_product_attention:
            return func(*args, **kwargs)
        float_args = [_as_float(value) for value in args]
        float_kwargs = {name: _as_float(value) for name, value in kwargs.items()}
        with torch.autocast("cpu", enabled=False):
            output = func(*float_args, **float_kwargs)
        return output.to(args[0].dtype)


def _as_float(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.float()
    return value
