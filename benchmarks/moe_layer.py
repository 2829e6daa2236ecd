"""One expert layer on a CPU: what it costs beside the dense layer that it replaces, and beside the paper's loop.

    python benchmarks/moe_layer.py --tokens 2048 8192 --rounds 15

The layers have the sizes of MiniLM's and BGE-M3's up-projections; every token goes to one of 2, 4 or 8 experts (learned
router). The loop is the reference's way, in our own words: for each expert, the tokens that chose it go through its
linear layer, and the weighted result is added into zeros. All three take turns in one process, in float32. A ratio is
the median over rounds of this layer's seconds by the other's: below 1 is faster. Each round has an order of its own,
for each side leaves the caches to the next as it likes. `forward` is without gradients, `step` is forward and backward,
the input's gradient included.
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

from whet.artifacts import write_json
from whet.moe.modeling_whet_moe import ExpertLinear

RESULT = Path(__file__).parent / "results" / "moe_layer.json"
SIZES = ((384, 1536), (1024, 4096))
EXPERTS = (2, 4, 8)


class Looped(nn.Module):
    """The reference's layer with an expert layer's weights, one expert after the other."""

    def __init__(self, layer: ExpertLinear) -> None:
        super().__init__()
        self.top_k, self.gate = layer.top_k, nn.Parameter(layer.gate.detach().clone())
        self.experts = nn.ModuleList(
            nn.Linear(layer.in_features, layer.out_features) for _ in range(layer.experts)
        )
        for expert, weight, bias in zip(self.experts, layer.weight, layer.bias, strict=True):
            expert.weight.data, expert.bias.data = weight.detach().clone(), bias.detach().clone()

    def forward(self, hidden: Tensor) -> Tensor:
        """(token, out) from (token, in)."""
        best = (hidden @ self.gate.T).topk(self.top_k)
        weights = best.values.softmax(dim=1)
        found = torch.zeros(len(hidden), self.experts[0].out_features)
        for number, expert in enumerate(self.experts):
            mine = best.indices == number
            rows = mine.any(dim=1)
            found[rows] += (weights * mine).sum(dim=1)[rows].unsqueeze(1) * expert(hidden[rows])
        return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--rounds", type=int, default=15)
    wanted = parser.parse_args()
    every = itertools.product(SIZES, EXPERTS, wanted.tokens)
    found = [race(*size, experts, tokens, wanted.rounds) for size, experts, tokens in every]
    write_json(RESULT, {"about": __doc__, "machine": machine(), "layers": found})
    for row in found:
        ratios = ", ".join(
            f"{what} {row[what]['to_dense']:.2f} of dense, {row[what]['to_loop']:.2f} of the loop"
            for what in ("forward", "step")
        )
        print(
            f"{row['from']} to {row['to']}, {row['experts']} experts, {row['tokens']} tokens: {ratios}"
        )


def race(wide: int, out: int, experts: int, tokens: int, rounds: int) -> dict[str, Any]:
    """Seconds of each side and round, forwards alone and with the way back, and their ratios."""
    torch.manual_seed(0)
    layer = ExpertLinear(wide, out, experts=experts)
    sides = {"experts": layer, "dense": nn.Linear(wide, out), "loop": Looped(layer)}
    hidden, back = torch.randn(tokens, wide), torch.randn(tokens, out)
    torch.testing.assert_close(layer(hidden), sides["loop"](hidden), rtol=1e-4, atol=1e-4)
    return {
        "from": wide,
        "to": out,
        "experts": experts,
        "tokens": tokens,
        "forward": timed(sides, lambda side: forward(side, hidden), rounds),
        "step": timed(sides, lambda side: step(side, hidden, back), rounds),
    }


def timed(
    sides: dict[str, nn.Module], run: Callable[[nn.Module], None], rounds: int
) -> dict[str, Any]:
    """Every side once a round, first to warm up, in any order."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    order = np.random.default_rng(0)
    for turn in range(-1, rounds):
        for name in order.permutation(list(sides)):
            began = time.perf_counter()
            run(sides[name])
            if turn >= 0:
                seconds[name].append(round(time.perf_counter() - began, 5))
    return {
        "seconds": seconds,
        "to_dense": median(
            a / b for a, b in zip(seconds["experts"], seconds["dense"], strict=True)
        ),
        "to_loop": median(a / b for a, b in zip(seconds["experts"], seconds["loop"], strict=True)),
    }


def forward(side: nn.Module, hidden: Tensor) -> None:
    with torch.no_grad():
        side(hidden)


def step(side: nn.Module, hidden: Tensor, back: Tensor) -> None:
    side.zero_grad(set_to_none=True)
    side(hidden.detach().requires_grad_()).backward(back)


if __name__ == "__main__":
    main()
