"""The precision that a forward pass runs in: device and dtype in, a context out, with attention where it is fast."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode


def reduced(device: str, dtype: torch.dtype | None) -> ExitStack:
    """Autocast to `dtype`, None for what is in force; on a CPU attention then stays in float32, which is faster."""
    stack = ExitStack()
    if dtype is not None:
        stack.enter_context(torch.autocast(device, dtype=dtype))
    if device == "cpu" and torch.is_autocast_enabled("cpu"):
        stack.enter_context(_FloatAttention())
    return stack


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """What a precision (`auto`, `bf16`, `fp32`) means: bf16, by itself where the hardware multiplies it fast, or None.

    On a CPU without avx512_bf16 or AMX bf16 products are ten times slower than fp32 ones; with them a training step of
    MiniLM took 0.6 of the time (docs/LOG.md).
    """
    if precision == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bf16()
    else:
        fast = precision == "bf16"
    return torch.bfloat16 if fast else None


def _cpu_has_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class _FloatAttention(TorchFunctionMode):
    """Attention in float32 whatever its inputs; a CPU's bfloat16 kernel takes 2 to 5 times as long (docs/LOG.md)."""

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
        with torch.autocast("cpu", enabled=False):
            found = func(
                *map(_float, args), **{name: _float(value) for name, value in kwargs.items()}
            )
        return found.to(args[0].dtype)


def _float(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
