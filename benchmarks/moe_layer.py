"""One expert layer on a CPU: its time against that of the dense layer, and of the paper's loop.

    python benchmarks/moe_layer.py --tokens 2048 8192 --rounds 15

The layers have the sizes of the up projections of MiniLM and BGE-M3. Every token goes to one of 2,
4 or 8 experts, by the learned router. The loop computes as the paper's code does: for each expert,
the tokens that chose it go through its linear layer, and the weighted result is added into zeros.
All three run by turns in one process, in float32. The order changes from round to round, because
each side leaves the processor's caches in another state. A ratio is the median over rounds of the
expert layer's seconds divided by the other's: below 1 is faster. `forward` is without gradients.
`step` is forward and backward, with the gradient of the input.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from ladder import machine
from torch import Tensor, nn

from whet.files import write_json
from whet.moe.modeling_whet_moe import ExpertLinear

RESULT = Path(__file__).parent / "results" / "moe_layer.json"
SIZES = ((384, 1536), (1024, 4096))
EXPERTS = (2, 4, 8)


class Looped(nn.Module):
    """The paper's loop over experts, with the weights of an expert layer."""

    def __init__(self, layer: ExpertLinear) -> None:
        super().__init__()
        assert layer.bias is not None
        self.top_k = layer.top_k
        self.gate = nn.Parameter(layer.gate.detach().clone())
        self.out_features = layer.out_features
        self.experts = nn.ModuleList()
        for weight, bias in zip(layer.weight, layer.bias, strict=True):
            expert = nn.Linear(layer.in_features, layer.out_features)
            expert.weight.data = weight.detach().clone()
            expert.bias.data = bias.detach().clone()
            self.experts.append(expert)

    def forward(self, hidden: Tensor) -> Tensor:
        """(token, out) from (token, in)."""
        best = (hidden @ self.gate.T).topk(self.top_k)
        weights = best.values.softmax(dim=1)
        output = torch.zeros(len(hidden), self.out_features)
        for number, expert in enumerate(self.experts):
            chose_it = best.indices == number  # (token, top_k)
            rows = chose_it.any(dim=1)
            weight = (weights * chose_it).sum(dim=1)[rows]
            output[rows] += weight.unsqueeze(1) * expert(hidden[rows])
        return output


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    rows = []
    for size, experts, tokens in itertools.product(SIZES, EXPERTS, options.tokens):
        rows.append(race(*size, experts, tokens, options.rounds))
    write_json(RESULT, {"about": __doc__, "machine": machine(), "layers": rows})
    for row in rows:
        print(line(row))


def line(row: dict[str, Any]) -> str:
    parts = [f"{row['from']} to {row['to']}, {row['experts']} experts, {row['tokens']} tokens"]
    for pass_name in ("forward", "step"):
        ratios = row[pass_name]
        of_dense = f"{ratios['to_dense']:.2f} of dense"
        parts.append(f"{pass_name} {of_dense}, {ratios['to_loop']:.2f} of the loop")
    return "; ".join(parts)


def race(wide: int, out: int, experts: int, tokens: int, rounds: int) -> dict[str, Any]:
    """Seconds of each side and round, forward alone and with backward, and their ratios."""
    torch.manual_seed(0)
    layer = ExpertLinear(wide, out, experts=experts)
    sides = {"experts": layer, "dense": nn.Linear(wide, out), "loop": Looped(layer)}
    hidden = torch.randn(tokens, wide)
    gradient = torch.randn(tokens, out)
    torch.testing.assert_close(layer(hidden), sides["loop"](hidden), rtol=1e-4, atol=1e-4)
    return {
        "from": wide,
        "to": out,
        "experts": experts,
        "tokens": tokens,
        "forward": timed(sides, lambda side: forward(side, hidden), rounds),
        "step": timed(sides, lambda side: step(side, hidden, gradient), rounds),
    }


def timed(
    sides: dict[str, nn.Module], run: Callable[[nn.Module], None], rounds: int
) -> dict[str, Any]:
    """Time every side once a round, in random order. A first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    order = np.random.default_rng(0)
    for turn in range(-1, rounds):
        for name in order.permutation(list(sides)):
            started = time.perf_counter()
            run(sides[name])
            if turn >= 0:
                seconds[name].append(round(time.perf_counter() - started, 5))
    return {
        "seconds": seconds,
        "to_dense": median_ratio(seconds["experts"], seconds["dense"]),
        "to_loop": median_ratio(seconds["experts"], seconds["loop"]),
    }


def median_ratio(seconds: list[float], of_other: list[float]) -> float:
    return median(first / second for first, second in zip(seconds, of_other, strict=True))


def forward(side: nn.Module, hidden: Tensor) -> None:
    with torch.no_grad():
        side(hidden)


def step(side: nn.Module, hidden: Tensor, gradient: Tensor) -> None:
    side.zero_grad(set_to_none=True)
    output = side(hidden.detach().requires_grad_())
    output.backward(gradient)


if __name__ == "__main__":
    main()
