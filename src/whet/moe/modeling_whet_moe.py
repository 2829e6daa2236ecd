"""Encoders with a Mixture of Experts in place of some dense layers. This file travels with every model saved from it.

It needs torch and transformers, nothing else: `AutoModel.from_pretrained(folder, trust_remote_code=True)`, and with it
`SentenceTransformer(folder, trust_remote_code=True)`, load such a model where whet is not installed.

Paper: arXiv 2412.17364 (CLP), section 3: each dense layer becomes several experts and a gate without bias.
"""

import shutil
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel


class Routed(NamedTuple):
    """Where one layer sent the tokens of one forward pass."""

    layer: "ExpertLinear"
    logits: Tensor  # (token, expert) gate scores, fp32
    chosen: Tensor  # (token, top_k) experts, best first
    real: Tensor | None  # (token,) False for padding; None where every token is real


class Routing:
    """What the expert layers of a model share: which tokens are real, and who wants to know where they went."""

    def __init__(self) -> None:
        self.mask: Tensor | None = None
        self.listener: Callable[[Routed], None] | None = None

    def __getstate__(self) -> dict[str, None]:
        return {
            "mask": None,
            "listener": None,
        }  # a copied model has batches of its own; this one's may be a graph's

    def real(self, shape: torch.Size) -> Tensor | None:
        """(token,) True for the tokens of a layer's input of this shape that are not padding; None for all."""
        mask = self.mask  # of another shape where the input is flattened: then there is no padding
        return mask.flatten() > 0 if mask is not None and mask.shape == shape else None


class ExpertLinear(nn.Module):
    """Several linear layers and a gate: every token goes through its `top_k` best experts.

    `reference` is the paper's code: the softmax over the chosen scores weighs the experts. At top_k 1 that weight is
    always 1 and the gate's gradient exactly 0: it never learns. `learned` (default) multiplies the result by p/sg(p),
    p being the first choice's probability among all experts and sg() keeping gradients out: 1 forwards, so that a fresh
    copy equals its parent, and a gradient for the gate backwards. With `level="text"` whole texts are routed. A layer
    with a `leader`, as an up projection beside a gate projection, uses the leader's gate and has none of its own.

    Input (..., in_features), output (..., out_features). Padding is sent to no expert, and its output is 0.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        experts: int = 2,
        top_k: int = 1,
        router: str = "learned",
        level: str = "token",
        routing: Routing | None = None,
        leader: "ExpertLinear | None" = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.experts, self.top_k, self.router, self.level = experts, top_k, router, level
        self.routing = routing or Routing()
        self.leader = (leader or self,)  # in a tuple, so that its weights are not this layer's too
        self.weight = nn.Parameter(
            torch.empty(experts, out_features, in_features).normal_(std=0.02)
        )
        self.bias = nn.Parameter(torch.zeros(experts, out_features)) if bias else None
        if leader is None:
            self.gate = nn.Parameter(torch.empty(experts, in_features).normal_(std=0.02))

    def extra_repr(self) -> str:
        """Its settings, as `print(model)` shows them."""
        names = ("in_features", "out_features", "experts", "top_k", "router", "level")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)

    def forward(self, hidden: Tensor) -> Tensor:
        """Route every token and run it through its experts."""
        shape, tokens = hidden.shape[:-1], hidden.reshape(-1, self.in_features)
        real = self.routing.real(shape)
        logits = self._logits(hidden, real)
        chosen = logits.topk(self.top_k).indices
        exporting = torch.compiler.is_exporting()
        found = (
            self._every_expert(tokens, chosen) if exporting else self._grouped(tokens, chosen, real)
        )
        if self.top_k > 1 or self.router == "reference":
            weights = logits.gather(1, chosen).softmax(dim=1).unsqueeze(2)
            found = (weights.to(found.dtype) * found).sum(dim=1, keepdim=True)
        if self.router == "learned" and torch.is_grad_enabled():
            found = _Credit.apply(found.squeeze(1), logits.softmax(dim=1).gather(1, chosen[:, :1]))
        if self.routing.listener is not None:
            self.routing.listener(Routed(self, logits, chosen, real))
        return found.view(*shape, self.out_features)

    def _logits(self, hidden: Tensor, real: Tensor | None) -> Tensor:
        """(token, expert) gate scores, in fp32 also under autocast: a choice must not hang on rounding."""
        with torch.autocast(hidden.device.type, enabled=False):
            tokens, gate = hidden.float(), self.leader[0].gate.float()
            if self.level == "text":
                if hidden.ndim != 3 or (hidden.shape[0] == 1 and self.routing.mask is None):
                    raise ValueError(
                        "routing by text needs padded input (text, token, dim) and its attention mask"
                    )
                weight = (
                    real.view(*tokens.shape[:2], 1)
                    if real is not None
                    else torch.ones_like(tokens[:, :, :1])
                )
                mean = (tokens * weight).sum(dim=1, keepdim=True) / weight.sum(
                    dim=1, keepdim=True
                ).clamp(min=1)
                tokens = mean.expand_as(tokens)
            return functional.linear(tokens.reshape(-1, self.in_features), gate)

    def _grouped(self, tokens: Tensor, chosen: Tensor, real: Tensor | None) -> Tensor:
        """(token, top_k, out_features): one product for each expert that has tokens."""
        operands: Any = tokens, self.weight, self.bias
        if torch.is_autocast_enabled(tokens.device.type):
            dtype = torch.get_autocast_dtype(tokens.device.type)
            operands = [None if each is None else each.to(dtype) for each in operands]
        if real is not None:
            chosen = chosen.masked_fill(~real.unsqueeze(1), self.experts)
        order = chosen.flatten().argsort(stable=True)
        products: Any = _one_kernel if tokens.is_cuda else _OneByOne.apply
        counts = torch.bincount(chosen.flatten(), minlength=self.experts + 1)
        return products(*operands, order, order // self.top_k, counts).view(
            len(tokens), self.top_k, self.out_features
        )

    def _every_expert(self, tokens: Tensor, chosen: Tensor) -> Tensor:
        """(token, top_k, out_features) by running all experts on all tokens, padding too: for graphs of fixed shape."""
        bias = 0 if self.bias is None else self.bias.to(tokens.dtype)
        found = torch.einsum("ni,eoi->neo", tokens, self.weight.to(tokens.dtype)) + bias
        return found.gather(1, chosen.unsqueeze(2).expand(-1, -1, self.out_features))


class _OneByOne(torch.autograd.Function):
    """(choice, out) from (token, in): each expert's product, written straight to the choices that it is for.

    `order` lists the choices by expert, `rows` the tokens that made them, and `counts` (expert + 1,) how many each
    expert got and, last, how many are padding, whose result and gradient are 0.
    """

    @staticmethod
    def forward(
        ctx: Any,
        tokens: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        order: Tensor,
        rows: Tensor,
        counts: Tensor,
    ) -> Tensor:
        ctx.sizes = counts.tolist()
        ctx.save_for_backward(tokens, weight, order, rows)
        *places, padding = order.split(ctx.sizes)
        found = tokens.new_empty(len(order), weight.shape[1])
        found[padding] = 0
        biases = [None] * len(weight) if bias is None else bias
        for place, row, *part in zip(places, rows.split(ctx.sizes), weight, biases, strict=False):
            if len(place):
                found[place] = functional.linear(tokens.index_select(0, row), *part)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tokens, weight, order, rows = ctx.saved_tensors
        to_tokens = tokens.new_zeros(len(order), tokens.shape[1])
        to_weight, to_bias = torch.empty_like(weight), weight.new_empty(weight.shape[:2])
        parts = zip(order.split(ctx.sizes)[:-1], rows.split(ctx.sizes)[:-1], strict=True)
        for number, (place, row) in enumerate(parts):
            back = gradients[0].index_select(0, place)
            to_tokens[place] = back @ weight[number]
            torch.mm(back.t(), tokens.index_select(0, row), out=to_weight[number])
            torch.sum(back, dim=0, out=to_bias[number])
        to_tokens = to_tokens.view(len(tokens), -1, tokens.shape[1]).sum(dim=1)
        return to_tokens, to_weight, to_bias if ctx.needs_input_grad[2] else None, None, None, None


def _one_kernel(
    tokens: Tensor, weight: Tensor, bias: Tensor | None, order: Tensor, rows: Tensor, counts: Tensor
) -> Tensor:
    """The same as one product on a GPU. Padding goes with the last expert and is blanked: the product skips no row."""
    ends, place = counts[:-1].cumsum(0), torch.arange(len(order), device=order.device)
    offsets = torch.cat([ends[:-1], ends.new_tensor([len(order)])]).int()
    found = functional.grouped_mm(tokens[rows], weight.transpose(1, 2), offs=offsets)
    if bias is not None:
        mine = functional.one_hot(torch.bucketize(place, ends[:-1], right=True), len(weight)).to(
            found.dtype
        )
        found = torch.addmm(found, mine, bias)
    return found.masked_fill((place >= ends[-1]).unsqueeze(1), 0)[order.argsort()]


class _Credit(torch.autograd.Function):
    """`found · p/sg(p)`: forwards `found` as it is, backwards also a gradient for p (token, 1)."""

    @staticmethod
    def forward(ctx: Any, found: Tensor, probability: Tensor) -> Tensor:
        ctx.save_for_backward(found, probability)
        return found.view_as(found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        found, probability = ctx.saved_tensors
        dot = (gradients[0] * found).sum(dim=1, keepdim=True, dtype=probability.dtype)
        return gradients[0], dot / probability


def put_experts(model: Any, moe: dict[str, Any]) -> None:
    """Replace the linear layers that `moe["layers"]` names by experts with new weights, to be loaded or copied in."""
    routing = Routing()
    settings = {name: moe[name] for name in ("experts", "top_k", "router", "level")}
    leaders: dict[str, ExpertLinear] = {}
    for name in moe["layers"]:
        dense, above = model.get_submodule(name), name.rpartition(".")[0]
        sizes = dense.in_features, dense.out_features, dense.bias is not None
        with torch.device(
            "meta"
        ):  # neither memory nor random numbers for weights that are about to be replaced
            made = ExpertLinear(*sizes, **settings, routing=routing, leader=leaders.get(above))
        model.set_submodule(name, made.to(dense.weight.dtype).to_empty(device=dense.weight.device))
        leaders.setdefault(above, made)
    model.routing = routing


class WhetMoEConfig(PreTrainedConfig):
    """The entry of config.json; reading one gives the parent's own config class with `moe` beside its fields."""

    model_type = "whet_moe"

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Read a saved config, whatever its parent's type."""
        if cls is not WhetMoEConfig:
            return super().from_dict(config_dict, **kwargs)
        parent = CONFIG_MAPPING[config_dict["parent_model_type"]]
        return family(AutoModel._model_mapping[parent]).config_class.from_dict(
            config_dict, **kwargs
        )

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = "AutoConfig") -> None:
        """Nothing to do: what the saved config names is always this class, and `to_dict` says so."""


class _ExpertConfig:
    """Goes before a parent's config class."""

    def to_dict(self) -> dict[str, Any]:
        saved = {
            "model_type": WhetMoEConfig.model_type,
            "parent_model_type": self.parent_model_type,
        }  # type: ignore[attr-defined]
        where = {"auto_map": {"AutoConfig": f"{Path(__file__).stem}.{WhetMoEConfig.__name__}"}}
        return super().to_dict() | saved | where  # type: ignore[misc]


class _ExpertModel:
    """Goes before a parent's model class."""

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)  # type: ignore[call-arg]
        put_experts(self, config.moe)

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Save as the parent does, with this file beside."""
        super().save_pretrained(save_directory, *args, **kwargs)  # type: ignore[misc]
        shutil.copyfile(__file__, Path(save_directory) / Path(__file__).name)

    def _set_gradient_checkpointing(self, enable: bool = True, **settings: Any) -> None:
        """Let a layer that is computed again on the way back see the mask that it saw first."""
        run = settings.pop("gradient_checkpointing_func", torch.utils.checkpoint.checkpoint)
        routing: Routing = self.routing  # type: ignore[attr-defined]

        def keeping(function: Callable[..., Any], *args: Any, **given: Any) -> Any:
            def again(mask: Tensor | None, *inner: Any, **named: Any) -> Any:
                routing.mask = mask
                return function(*inner, **named)

            return run(again, routing.mask, *args, **given)

        super()._set_gradient_checkpointing(enable, keeping, **settings)  # type: ignore[misc]


@cache
def family(parent: type[PreTrainedModel]) -> Any:
    """The class of a parent's models with experts, made and registered with transformers when first asked for."""
    config = parent.config_class
    names = {
        "model_type": WhetMoEConfig.model_type,
        "parent_model_type": config.model_type,
        "__module__": __name__,
    }
    with_moe = type(f"MoE{config.__name__}", (_ExpertConfig, config), names)

    @wraps(
        parent.forward
    )  # a hook would miss callers of `forward`, sentence-transformers among them
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        mask = kwargs.get("attention_mask", args[1] if len(args) > 1 else None)
        self.routing.mask = mask if isinstance(mask, Tensor) and mask.ndim == 2 else None
        return parent.forward(self, *args, **kwargs)

    own = {"config_class": with_moe, "forward": forward, "__module__": __name__}
    made = type(f"MoE{parent.__name__}", (_ExpertModel, parent), own)
    AutoModel.register(with_moe, made, exist_ok=True)
    return made


def __getattr__(name: str) -> Any:
    """Families by name, so that their models can be pickled to another process."""
    parent = (
        getattr(transformers, name.removeprefix("MoE"), None) if name.startswith("MoE") else None
    )
    if parent is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if issubclass(parent, PreTrainedModel):
        return family(parent)
    return family(AutoModel._model_mapping[parent]).config_class


AutoConfig.register(WhetMoEConfig.model_type, WhetMoEConfig, exist_ok=True)
