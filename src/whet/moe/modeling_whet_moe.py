"""Encoders with a Mixture of Experts in place of some dense layers.

This file travels with every model saved from it. It needs torch and transformers, nothing else:
`AutoModel.from_pretrained(folder, trust_remote_code=True)`, and with it
`SentenceTransformer(folder, trust_remote_code=True)`, load such a model where whet is not
installed.

Paper: arXiv 2412.17364 (CLP), section 3: each dense layer becomes several experts and a gate
without bias.
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
from transformers import (
    CONFIG_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    PreTrainedConfig,
    PreTrainedModel,
)


class Routed(NamedTuple):
    """Where one layer sent the tokens of one forward pass."""

    layer: "ExpertLinear"
    logits: Tensor  # (token, expert) gate scores, fp32
    chosen: Tensor  # (token, top_k) experts, best first
    real: Tensor | None  # (token,) False for padding; None where every token is real


class Routing:
    """What the expert layers of a model share: the attention mask, and who gets their `Routed`."""

    def __init__(self) -> None:
        self.mask: Tensor | None = None
        self.listener: Callable[[Routed], None] | None = None

    def __getstate__(self) -> dict[str, None]:
        # A copied model has batches of its own, and this one's mask may belong to a graph.
        return {"mask": None, "listener": None}

    def real(self, shape: torch.Size) -> Tensor | None:
        """(token,) False for padding, for an input of this shape; None where all are real."""
        mask = self.mask  # of another shape where the input is flattened, without padding
        if mask is None or mask.shape != shape:
            return None
        return mask.flatten() > 0


class ExpertLinear(nn.Module):
    """Several linear layers and a gate: every token goes through its `top_k` best experts.

    `reference` is the paper's code: the softmax over the chosen scores weighs the experts. At
    top_k 1 that weight is always 1 and the gate's gradient exactly 0, so the gate never learns.

    `learned` (default) multiplies the result by p/sg(p). p is the first choice's probability among
    all experts, and sg() stops gradients. The factor is 1, so a fresh copy equals its parent, and
    the gate gets a gradient.

    A layer with a `leader`, such as an up projection beside a gate projection, uses the leader's
    gate and has none of its own.

    Input (..., in_features), output (..., out_features). Padding is sent to no expert, and its
    output is 0.
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
        routing: Routing | None = None,
        leader: "ExpertLinear | None" = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.experts = experts
        self.top_k = top_k
        self.router = router
        self.routing = routing or Routing()
        # In a tuple, so that its weights are not parameters of this layer too.
        self.leader = (leader or self,)
        weight = torch.empty(experts, out_features, in_features).normal_(std=0.02)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(experts, out_features)) if bias else None
        if leader is None:
            self.gate = nn.Parameter(torch.empty(experts, in_features).normal_(std=0.02))

    def extra_repr(self) -> str:
        """Its settings, as `print(model)` shows them."""
        names = ("in_features", "out_features", "experts", "top_k", "router")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)

    def forward(self, hidden: Tensor) -> Tensor:
        """Route every token and run it through its experts."""
        shape = hidden.shape[:-1]
        tokens = hidden.reshape(-1, self.in_features)
        real = self.routing.real(shape)
        logits = self._logits(hidden)
        chosen = logits.topk(self.top_k).indices
        if torch.compiler.is_exporting():
            output = self._every_expert(tokens, chosen)
        else:
            output = self._grouped(tokens, chosen, real)
        # (token, top_k, out) becomes (token, 1, out); at top_k 1 it has that shape already.
        if self.top_k > 1 or self.router == "reference":
            weights = logits.gather(1, chosen).softmax(dim=1).unsqueeze(2)
            output = (weights.to(output.dtype) * output).sum(dim=1, keepdim=True)
        if self.router == "learned" and torch.is_grad_enabled():
            first_choice = chosen[:, :1]
            probability = logits.softmax(dim=1).gather(1, first_choice)
            output = _Credit.apply(output.squeeze(1), probability)
        if self.routing.listener is not None:
            self.routing.listener(Routed(self, logits, chosen, real))
        return output.view(*shape, self.out_features)

    def _logits(self, hidden: Tensor) -> Tensor:
        """(token, expert) gate scores, in fp32: no choice is to depend on rounding."""
        with torch.autocast(hidden.device.type, enabled=False):
            tokens = hidden.float().reshape(-1, self.in_features)
            return functional.linear(tokens, self.leader[0].gate.float())

    def _grouped(self, tokens: Tensor, chosen: Tensor, real: Tensor | None) -> Tensor:
        """(token, top_k, out) by one product for each expert that has tokens."""
        weight: Tensor = self.weight
        bias: Tensor | None = self.bias
        device = tokens.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            tokens = tokens.to(dtype)
            weight = weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        if real is not None:  # padding goes to a last expert, which does not exist
            chosen = chosen.masked_fill(~real.unsqueeze(1), self.experts)
        # A choice is a place in the flattened `chosen`. Two experts, top_k 1, the third token is
        # padding:
        #   choices 1 0 2 1   ->   order 1 0 3 2 (by expert),   counts 1 2 1 (the last: padding)
        choices = chosen.flatten()
        order = choices.argsort(stable=True)
        rows = order // self.top_k
        counts = torch.bincount(choices, minlength=self.experts + 1)
        product: Any = _one_kernel if tokens.is_cuda else _OneByOne.apply
        output = product(tokens, weight, bias, order, rows, counts)
        return output.view(len(tokens), self.top_k, self.out_features)

    def _every_expert(self, tokens: Tensor, chosen: Tensor) -> Tensor:
        """(token, top_k, out) by all experts on all tokens: for graphs of one shape."""
        weight = self.weight.to(tokens.dtype)
        bias = 0 if self.bias is None else self.bias.to(tokens.dtype)
        outputs = torch.einsum("ni,eoi->neo", tokens, weight) + bias
        index = chosen.unsqueeze(2).expand(-1, -1, self.out_features)
        return outputs.gather(1, index)


class _OneByOne(torch.autograd.Function):
    """(choice, out) from (token, in): each expert's product, written to its choices.

    `order` lists the choices by expert, and `rows` the tokens that made them. `counts`
    (expert + 1,) says how many each expert got and, last, how many are padding. The result and
    gradient of padding are 0.
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
        *places_of, padding = order.split(ctx.sizes)
        rows_of = rows.split(ctx.sizes)
        output = tokens.new_empty(len(order), weight.shape[1])
        output[padding] = 0
        for expert, places in enumerate(places_of):
            if len(places):
                expert_tokens = tokens.index_select(0, rows_of[expert])
                expert_bias = None if bias is None else bias[expert]
                output[places] = functional.linear(expert_tokens, weight[expert], expert_bias)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tokens, weight, order, rows = ctx.saved_tensors
        *places_of, _ = order.split(ctx.sizes)
        rows_of = rows.split(ctx.sizes)
        to_choices = tokens.new_zeros(len(order), tokens.shape[1])
        to_weight = torch.empty_like(weight)
        to_bias = weight.new_empty(weight.shape[:2])
        for expert, places in enumerate(places_of):
            gradient = gradients[0].index_select(0, places)
            expert_tokens = tokens.index_select(0, rows_of[expert])
            to_choices[places] = gradient @ weight[expert]
            torch.mm(gradient.t(), expert_tokens, out=to_weight[expert])
            torch.sum(gradient, dim=0, out=to_bias[expert])
        to_tokens = to_choices.view(len(tokens), -1, tokens.shape[1]).sum(dim=1)
        has_bias = ctx.needs_input_grad[2]
        return to_tokens, to_weight, to_bias if has_bias else None, None, None, None


def _one_kernel(
    tokens: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    order: Tensor,
    rows: Tensor,
    counts: Tensor,
) -> Tensor:
    """The same as one grouped product on a GPU.

    The product skips no row, so padding goes with the last expert, and its result is set to 0.
    """
    ends = counts[:-1].cumsum(0)  # where each expert's choices end in `order`
    place = torch.arange(len(order), device=order.device)
    total = ends.new_tensor([len(order)])
    offsets = torch.cat([ends[:-1], total]).int()
    output = functional.grouped_mm(tokens[rows], weight.transpose(1, 2), offs=offsets)
    if bias is not None:
        expert = torch.bucketize(place, ends[:-1], right=True)
        is_expert = functional.one_hot(expert, len(weight)).to(output.dtype)
        output = torch.addmm(output, is_expert, bias)
    is_padding = place >= ends[-1]
    return output.masked_fill(is_padding.unsqueeze(1), 0)[order.argsort()]


class _Credit(torch.autograd.Function):
    """`output · p/sg(p)`: `output` itself forwards, and a gradient for p (token, 1) backwards."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, probability: Tensor) -> Tensor:
        ctx.save_for_backward(output, probability)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        output, probability = ctx.saved_tensors
        product = gradients[0] * output
        dot = product.sum(dim=1, keepdim=True, dtype=probability.dtype)
        return gradients[0], dot / probability


def put_experts(model: Any, moe: dict[str, Any]) -> None:
    """Replace the linear layers that `moe["layers"]` names by experts, whose weights are unset.

    Raises ValueError for a model that routes whole texts, as an earlier version could.
    """
    if moe.get("level", "token") != "token":
        raise ValueError(
            "its experts take whole texts ('level' is 'text' in its config.json), and this version "
            "of whet routes tokens only. Train the model again without moe.level, or load it "
            "where whet is not imported, with the code in its folder"
        )
    routing = Routing()
    settings = {name: moe[name] for name in ("experts", "top_k", "router")}
    leaders: dict[str, ExpertLinear] = {}
    for name in moe["layers"]:
        dense = model.get_submodule(name)
        parent = name.rpartition(".")[0]
        # Neither memory nor random numbers for weights that are about to be replaced.
        with torch.device("meta"):
            layer = ExpertLinear(
                dense.in_features,
                dense.out_features,
                dense.bias is not None,
                **settings,
                routing=routing,
                leader=leaders.get(parent),
            )
        layer = layer.to(dense.weight.dtype).to_empty(device=dense.weight.device)
        model.set_submodule(name, layer)
        leaders.setdefault(parent, layer)
    model.routing = routing


class WhetMoEConfig(PreTrainedConfig):
    """The entry of config.json; reading it gives the parent's config class, with `moe` added."""

    model_type = "whet_moe"

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Read a saved config, whatever its parent's type."""
        if cls is not WhetMoEConfig:
            return super().from_dict(config_dict, **kwargs)
        parent_config = CONFIG_MAPPING[config_dict["parent_model_type"]]
        with_experts = family(MODEL_MAPPING[parent_config]).config_class
        return with_experts.from_dict(config_dict, **kwargs)

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = "AutoConfig") -> None:
        """Nothing to do: a saved config always names this class (`_ExpertConfig.to_dict`)."""


class _ExpertConfig:
    """Goes before a parent's config class."""

    parent_model_type: str

    def to_dict(self) -> dict[str, Any]:
        entries: dict[str, Any] = super().to_dict()  # type: ignore[misc]
        entries["model_type"] = WhetMoEConfig.model_type
        entries["parent_model_type"] = self.parent_model_type
        module = Path(__file__).stem
        entries["auto_map"] = {"AutoConfig": f"{module}.{WhetMoEConfig.__name__}"}
        return entries


class _ExpertModel:
    """Goes before a parent's model class."""

    routing: Routing

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)  # type: ignore[call-arg]
        put_experts(self, config.moe)

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Save as the parent does, with this file beside."""
        super().save_pretrained(save_directory, *args, **kwargs)  # type: ignore[misc]
        shutil.copyfile(__file__, Path(save_directory) / Path(__file__).name)

    def _set_gradient_checkpointing(self, enable: bool = True, **settings: Any) -> None:
        """Let a layer that is computed again in the backward pass see the mask of its first time.

        By then the model may have been called with another batch.
        """
        checkpoint = settings.pop("gradient_checkpointing_func", torch.utils.checkpoint.checkpoint)
        routing = self.routing

        def checkpoint_with_mask(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            def with_mask(mask: Tensor | None, *inner_args: Any, **inner_kwargs: Any) -> Any:
                routing.mask = mask
                return function(*inner_args, **inner_kwargs)

            return checkpoint(with_mask, routing.mask, *args, **kwargs)

        settings["gradient_checkpointing_func"] = checkpoint_with_mask
        super()._set_gradient_checkpointing(enable, **settings)  # type: ignore[misc]


@cache
def family(parent: type[PreTrainedModel]) -> Any:
    """The class of a parent's models with experts, registered with transformers."""
    parent_config = parent.config_class
    config_fields = {
        "model_type": WhetMoEConfig.model_type,
        "parent_model_type": parent_config.model_type,
        "__module__": __name__,
    }
    config_name = f"MoE{parent_config.__name__}"
    config_class = type(config_name, (_ExpertConfig, parent_config), config_fields)

    # A hook would miss callers of `forward`, sentence-transformers among them.
    @wraps(parent.forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        mask = kwargs.get("attention_mask", args[1] if len(args) > 1 else None)
        is_padding_mask = isinstance(mask, Tensor) and mask.ndim == 2
        self.routing.mask = mask if is_padding_mask else None
        return parent.forward(self, *args, **kwargs)

    model_fields = {"config_class": config_class, "forward": forward, "__module__": __name__}
    model_class = type(f"MoE{parent.__name__}", (_ExpertModel, parent), model_fields)
    AutoModel.register(config_class, model_class, exist_ok=True)
    return model_class


def __getattr__(name: str) -> Any:
    """Families by name, so that their models can be pickled to another process."""
    parent = None
    if name.startswith("MoE"):
        parent = getattr(transformers, name.removeprefix("MoE"), None)
    if parent is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if issubclass(parent, PreTrainedModel):
        return family(parent)
    return family(MODEL_MAPPING[parent]).config_class


AutoConfig.register(WhetMoEConfig.model_type, WhetMoEConfig, exist_ok=True)
