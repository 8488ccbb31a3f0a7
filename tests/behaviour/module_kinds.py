"""Kinds of modules, and what becomes of them: the table of a page of the documents."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import hand_written as own
import torch
import torch.nn.functional as F
from hand_written import headed, mlp, of
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

AS_PYTORCH, REFUSED = "as PyTorch", "refused"


@dataclass(frozen=True)
class ModuleKind:
    """A kind of module that people have.

    Attributes:
        name: what it is, in a few words.
        kind: what it belongs to.
        make: makes one, from torch's global generator.
        sample: makes inputs for it, n of them.
        outcome: `as PyTorch`, the same answers, gradients and state; or `refused` before training.
        says: a part of the refusal.
        holds: what is true of a new task's network before much is learned.
        settings: of the learner.
    """

    name: str
    kind: str
    make: Callable[[], nn.Module]
    sample: Callable[[], Tensor]
    outcome: Literal["as PyTorch", "refused"] = AS_PYTORCH
    says: str = ""
    holds: Callable[[nn.Module], Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def rows() -> Tensor:
    return torch.randn(8, 6)


def positive() -> Tensor:
    return torch.rand(8, 6) + 0.1


def signals() -> Tensor:
    return torch.randn(8, 2, 12)


def images() -> Tensor:
    return torch.randn(8, 2, 6, 6)


def volumes() -> Tensor:
    return torch.randn(8, 1, 4, 4, 4)


def sequences() -> Tensor:
    return torch.randn(8, 5, 6)


def ids() -> Tensor:
    return torch.randint(0, 12, (8, 5))


def bits() -> Tensor:
    return torch.randint(0, 2, (8, 5))


def quiet(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Make a module of which torch warns that it is of an old kind."""

    def made() -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make()

    return made


def near(value: float, by: float, *names: str) -> Callable[[nn.Module], bool]:
    """Whether all entries of these parameters are near a value."""

    def holds(module: nn.Module) -> bool:
        found = [module.get_parameter(name) for name in names]
        return all(bool(((p - value).abs() < by).all()) for p in found)

    return holds


def frozen(module: nn.Module, *parts: str) -> nn.Module:
    """The module, of which these parts are not learned."""
    for part in parts:
        module.get_submodule(part).requires_grad_(False)
    return module


def hooked(register: str, hook: Callable[..., Any], **options: Any) -> nn.Module:
    """A network with a hook on its first layer."""
    module = mlp()
    getattr(module[0], register)(hook, **options)
    return module


# Below, a row is (name, make, sample) and `more`, as `_kind` says.

# --- Layers of torch.nn -------------------------------------------------------------------------


def over_images(name: str, layer: Callable[[], nn.Module], features: int) -> tuple[Any, ...]:
    return name, lambda: headed(layer(), features), images


def between(name: str, layer: Callable[[], nn.Module]) -> tuple[Any, ...]:
    return name, lambda: mlp(layer()), rows


def recurrent(name: str, layer: Callable[..., nn.RNNBase], n: int, **more: Any) -> tuple[Any, ...]:
    return name, lambda: own.Last(layer(6, 8, batch_first=True, **more), n), sequences


def encoder_layer(**more: Any) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, **more)


def attention() -> nn.Module:
    return of(
        lambda self, x: self.out(self.attend(x, x, x)[0].mean(1)),
        attend=nn.MultiheadAttention(6, 2, batch_first=True),
        out=nn.Linear(6, 2),
    )


def decoder() -> nn.Module:
    layer = nn.TransformerDecoderLayer(6, 2, 12, batch_first=True)
    return of(
        lambda self, x: self.out(self.decode(x[:, :2], x)[:, 0]),
        decode=nn.TransformerDecoder(layer, 1),
        out=nn.Linear(6, 2),
    )


def whole_transformer() -> nn.Module:
    return of(
        lambda self, x: self.out(self.both(x, x[:, :2])[:, 0]),
        both=nn.Transformer(6, 2, 1, 1, 12, batch_first=True),
        out=nn.Linear(6, 2),
    )


def bilinear() -> nn.Module:
    return of(
        lambda self, x: self.out(self.pair(x[:, :3], x[:, 3:]).tanh()),
        pair=nn.Bilinear(3, 3, 8),
        out=nn.Linear(8, 2),
    )


def bag() -> nn.Module:
    return nn.Sequential(nn.EmbeddingBag(12, 8, mode="mean"), nn.Linear(8, 2))


def unpooled() -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        pooled, at = self.down(self.conv(x))
        return self.out(self.up(pooled, at).flatten(1))

    parts = {"down": nn.MaxPool2d(2, return_indices=True), "up": nn.MaxUnpool2d(2)}
    return of(forward, conv=nn.Conv2d(2, 2, 1), **parts, out=nn.Linear(72, 2))


def folded() -> nn.Module:
    parts = [nn.Unfold(3, padding=1), nn.Conv1d(18, 18, 1), nn.Fold((6, 6), 3, padding=1)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(72, 2))


C, U = nn.Conv2d, nn.Upsample
LAYERS: dict[str, list[tuple[Any, ...]]] = {
    "linear layers": [
        ("Linear", mlp, rows),
        ("Linear without bias", lambda: mlp(nn.Linear(8, 8, bias=False)), rows),
        ("Bilinear", bilinear, rows),
        ("Identity", lambda: mlp(nn.Identity()), rows),
    ],
    "convolutions": [
        ("Conv1d", lambda: headed(nn.Conv1d(2, 3, 3), 30), signals),
        over_images("Conv2d", lambda: C(2, 3, 3), 48),
        over_images("Conv2d, grouped, dilated, padded by circles", lambda: C(
            2, 4, 3, padding=2, dilation=2, groups=2, padding_mode="circular"), 144),
        ("Conv3d", lambda: headed(nn.Conv3d(1, 2, 3), 16), volumes),
        ("ConvTranspose1d", lambda: headed(nn.ConvTranspose1d(2, 2, 3), 28), signals),
        over_images("ConvTranspose2d", lambda: nn.ConvTranspose2d(2, 2, 2, 2), 288),
        ("ConvTranspose3d", lambda: headed(nn.ConvTranspose3d(1, 1, 2), 125), volumes),
        ("Unfold and Fold", folded, images),
        over_images("PixelShuffle", lambda: nn.Sequential(C(2, 4, 1), nn.PixelShuffle(2)), 144),
        over_images(
            "PixelUnshuffle", lambda: nn.Sequential(C(2, 2, 1), nn.PixelUnshuffle(2)), 72),
        over_images("ChannelShuffle", lambda: nn.Sequential(C(2, 4, 1), nn.ChannelShuffle(2)), 144),
        over_images("Upsample, bilinear", lambda: nn.Sequential(
            C(2, 2, 3), U(scale_factor=2, mode="bilinear")), 128),
        ("a head that is a 1 x 1 convolution", lambda: nn.Sequential(
            C(2, 4, 3), nn.ReLU(), C(4, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), images),
        ("a U-Net", own.UNet, images),
        over_images("Conv2d, channels last", lambda: C(2, 3, 3).to(
            memory_format=torch.channels_last), 48),
    ],
    "normalisation": [
        between("BatchNorm1d", lambda: nn.BatchNorm1d(8)),
        over_images("BatchNorm2d", lambda: nn.Sequential(C(2, 3, 3), nn.BatchNorm2d(3)), 48),
        ("BatchNorm3d", lambda: headed(nn.BatchNorm3d(1), 64), volumes),
        between("BatchNorm1d, cumulative average", lambda: nn.BatchNorm1d(8, momentum=None)),
        between("BatchNorm1d without statistics",
                lambda: nn.BatchNorm1d(8, track_running_stats=False)),
        between("BatchNorm1d without scale", lambda: nn.BatchNorm1d(8, affine=False)),
        over_images("InstanceNorm2d", lambda: nn.InstanceNorm2d(2), 72),
        over_images("InstanceNorm2d with scale and statistics", lambda: nn.InstanceNorm2d(
            2, affine=True, track_running_stats=True), 72),
        over_images("GroupNorm", lambda: nn.GroupNorm(2, 2), 72),
        between("LayerNorm", lambda: nn.LayerNorm(8)),
        between("RMSNorm", lambda: nn.RMSNorm(8)),
        over_images("LocalResponseNorm", lambda: nn.Sequential(
            C(2, 4, 1), nn.LocalResponseNorm(2)), 144),
    ],
    "recurrent layers": [
        recurrent("RNN", nn.RNN, 8),
        recurrent("LSTM", nn.LSTM, 8),
        recurrent("GRU", nn.GRU, 8),
        recurrent("LSTM, both ways, two layers, with dropout", nn.LSTM, 16,
                  bidirectional=True, num_layers=2, dropout=0.3),
        recurrent("LSTM with a projection", nn.LSTM, 4, proj_size=4),
        ("RNNCell", lambda: own.OverCell(nn.RNNCell(6, 8)), sequences),
        ("LSTMCell", lambda: own.OverCell(nn.LSTMCell(6, 8)), sequences),
        ("GRUCell", lambda: own.OverCell(nn.GRUCell(6, 8)), sequences),
    ],
    "attention": [
        ("MultiheadAttention", attention, sequences),
        ("TransformerEncoderLayer", lambda: headed(encoder_layer(dropout=0.1), 30), sequences),
        ("TransformerEncoder", lambda: headed(nn.TransformerEncoder(
            encoder_layer(norm_first=True), 2, enable_nested_tensor=False), 30), sequences),
        ("TransformerDecoder", decoder, sequences),
        ("Transformer", quiet(whole_transformer), sequences),
        ("scaled_dot_product_attention", lambda: of(
            lambda self, x: self.out(F.scaled_dot_product_attention(
                self.q(x), self.k(x), self.k(x), is_causal=True).mean(1)),
            q=nn.Linear(6, 8), k=nn.Linear(6, 8), out=nn.Linear(8, 2)), sequences),
        ("attention by hand, in einsums", own.EinsumAttention, sequences),
        ("a vision transformer", own.Vit, images),
    ],
    "embeddings": [
        ("Embedding", own.ByLength, ids),
        ("EmbeddingBag", bag, ids),
        ("Embedding with sparse gradients", partial(own.ByLength, sparse=True), ids),
        ("Embedding, its gradient by frequency",
         partial(own.ByLength, scale_grad_by_freq=True), ids),
    ],
    "activations, dropout and pooling": [
        between("PReLU", nn.PReLU),
        between("GLU", lambda: nn.Sequential(nn.Linear(8, 16), nn.GLU())),
        between("in-place activations", lambda: nn.Sequential(
            nn.LeakyReLU(0.1, inplace=True), nn.Linear(8, 8), nn.SiLU(inplace=True))),
        between("RReLU, random in training", nn.RReLU),
        between("Softmax between layers", lambda: nn.Softmax(dim=1)),
        between("Dropout", lambda: nn.Dropout(0.4)),
        between("AlphaDropout", lambda: nn.Sequential(nn.SELU(), nn.AlphaDropout(0.4))),
        over_images("Dropout2d", lambda: nn.Sequential(C(2, 4, 1), nn.Dropout2d(0.4)), 144),
        over_images("MaxPool2d", lambda: nn.Sequential(C(2, 2, 1), nn.MaxPool2d(2)), 18),
        over_images("AvgPool2d", lambda: nn.Sequential(C(2, 2, 1), nn.AvgPool2d(2)), 18),
        over_images(
            "AdaptiveMaxPool2d", lambda: nn.Sequential(C(2, 2, 1), nn.AdaptiveMaxPool2d(2)), 8),
        over_images("LPPool2d", lambda: nn.Sequential(C(2, 2, 1), nn.LPPool2d(2, 2)), 18),
        over_images("FractionalMaxPool2d, random", lambda: nn.Sequential(C(2, 2, 1), of(
            lambda self, x: self.pool(x) if self.training else F.adaptive_max_pool2d(x, 3),
            pool=nn.FractionalMaxPool2d(2, output_size=3))), 18),
        ("MaxUnpool2d", unpooled, images),
        over_images(
            "ReflectionPad2d", lambda: nn.Sequential(nn.ReflectionPad2d(1), C(2, 2, 3)), 72),
        ("Flatten and Unflatten", lambda: nn.Sequential(
            nn.Flatten(), nn.Unflatten(1, (2, 36)), nn.Flatten(), nn.Linear(72, 2)), images),
        ("CosineSimilarity to prototypes", lambda: of(
            lambda self, x: 5 * self.alike(self.a(x)[:, None], self.prototypes),
            a=nn.Linear(6, 8), alike=nn.CosineSimilarity(-1),
            prototypes=nn.Parameter(torch.randn(2, 8))), rows),
    ],
}  # fmt: skip

# --- Containers, sharing, names -----------------------------------------------------------------


def parameter_list() -> nn.Module:
    matrices = nn.ParameterList([nn.Parameter(torch.randn(8, 6)), nn.Parameter(torch.randn(2, 8))])
    return of(lambda self, x: (x @ self.p[0].T).relu() @ self.p[1].T, p=matrices)


def parameter_dict() -> nn.Module:
    matrices = nn.ParameterDict({"a": torch.randn(6, 8), "out": torch.randn(8, 2)})
    return of(lambda self, x: (x @ self.p["a"]).relu() @ self.p["out"], p=matrices)


def module_list() -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)

    return of(forward, layers=nn.ModuleList([nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 2)]))


def module_dict(*names: str) -> nn.Module:
    """Two named layers in a row, then the output layer."""
    layers = nn.ModuleDict({names[0]: nn.Linear(6, 8), names[1]: nn.Linear(8, 8)})
    module = of(
        lambda self, x: self.out(self.layers[self.names[1]](self.layers[self.names[0]](x).relu())),
        layers=layers,
        out=nn.Linear(8, 2),
    )
    module.names = names
    return module


def tied() -> nn.Module:
    module = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Linear(6, 2))
    module[2].weight = module[0].weight
    return module


def tied_output() -> nn.Module:
    embed, out = nn.Embedding(2, 8), nn.Linear(8, 2, bias=False)
    out.weight = embed.weight
    return of(lambda self, x: self.out(self.embed(x).mean(1).tanh()), embed=embed, out=out)


def transposed() -> nn.Module:
    return of(
        lambda self, x: self.out(F.linear(self.a(x).tanh(), self.a.weight.T)),
        a=nn.Linear(6, 8),
        out=nn.Linear(6, 2),
    )


def twice() -> nn.Module:
    layer = nn.Linear(8, 8)
    return of(
        lambda self, x: self.out(self.again(self.once(self.a(x)).relu()).relu()),
        a=nn.Linear(6, 8),
        once=layer,
        again=layer,
        out=nn.Linear(8, 2),
    )


def on_the_root() -> nn.Module:
    return of(lambda self, x: x @ self.w + self.b, w=nn.Parameter(torch.randn(6, 2)),
              b=nn.Parameter(torch.zeros(2)))  # fmt: skip


def headless() -> nn.Module:
    """With a layer registered after the output layer."""
    return of(
        lambda self, x: self.out(self.a(x).relu()) * self.gate(x).sigmoid().mean(1, keepdim=True),
        a=nn.Linear(6, 8),
        out=nn.Linear(8, 2),
        gate=nn.Linear(6, 5),
    )


def unused() -> nn.Module:
    return of(lambda self, x: self.out(self.a(x).relu()), a=nn.Linear(6, 8),
              aside=nn.Linear(8, 5), out=nn.Linear(8, 2))  # fmt: skip


def only_in_training() -> nn.Module:
    def forward(self: Any, x: Tensor) -> Tensor:
        h = self.a(x).relu()
        return self.out(h) + self.aside(h) if self.training else self.out(h)

    return of(forward, a=nn.Linear(6, 8), aside=nn.Linear(8, 2), out=nn.Linear(8, 2))


def odd_parameters() -> nn.Module:
    """`w*` is learned, `w_frozen`, which the pattern `w*` means too, is not."""
    module = of(
        lambda self, x: self.out((x @ getattr(self, "w*") + self.w_frozen).relu()),
        out=nn.Linear(8, 2),
    )
    module.register_parameter("w*", nn.Parameter(torch.randn(6, 8)))
    module.w_frozen = nn.Parameter(torch.full((8,), 0.25), requires_grad=False)
    return module


def odd_buffers() -> nn.Module:
    module = of(
        lambda self, x: self.out((self.a(x) * getattr(self, "a/b [0]")).relu()),
        a=nn.Linear(6, 8),
        out=nn.Linear(8, 2),
    )
    module.register_buffer("a/b [0]", torch.full((8,), 1.5))
    return module


def many_buffers() -> nn.Module:
    module = of(
        lambda self, x: self.out((self.a(x).double() * self.wide).float() * self.mask)[:, self.at],
        a=nn.Linear(6, 8),
        out=nn.Linear(8, 2),
    )
    module.register_buffer("wide", torch.full((8,), 1.5, dtype=torch.float64))
    module.register_buffer("mask", torch.arange(8) % 3 > 0)
    module.register_buffer("at", torch.tensor([1, 0]), persistent=False)
    return module


def empty() -> nn.Module:
    return of(
        lambda self, x: self.out(torch.cat([self.a(x), self.none.expand(len(x), -1)], 1)),
        a=nn.Linear(6, 8),
        none=nn.Parameter(torch.zeros(1, 0)),
        out=nn.Linear(8, 2),
    )


STRUCTURE: dict[str, list[tuple[Any, ...]]] = {
    "containers and sharing": [
        ("Sequential in Sequential", lambda: nn.Sequential(
            nn.Sequential(nn.Linear(6, 8), nn.Sequential(nn.ReLU())), nn.Linear(8, 2)), rows),
        ("ModuleList", module_list, rows),
        ("ModuleDict", lambda: module_dict("first", "second"), rows),
        ("ParameterList", parameter_list, rows),
        ("ParameterDict", parameter_dict, rows),
        ("two layers with one weight", tied, rows),
        ("an embedding and an output layer with one weight", tied_output, bits),
        ("a weight used again transposed", transposed, rows),
        ("one layer under two names, used twice", twice, rows),
        ("parameters on the module itself", on_the_root, rows),
        ("a layer that is not used", unused, rows),
        ("a layer that is used in training only", only_in_training, rows),
        ("a parameter without entries", empty, rows),
        ("a wrapper that hands attributes on (`__getattr__`)",
         lambda: own.Delegating(mlp()), rows),
        ("a way of its own to be copied (`__deepcopy__`)", own.CopiesItself, rows),
        ("a frozen parameter of integers", lambda: of(
            lambda self, x: self.out(self.a(x) * self.steps),
            a=nn.Linear(6, 8), out=nn.Linear(8, 2),
            steps=nn.Parameter(torch.arange(1, 9), requires_grad=False)), rows),
        ("buffers of truth values, integers and float64, and one that is not stored",
         many_buffers, rows),
    ],
    "names": [
        ("a layer called `conv[3x3]`", lambda: module_dict("conv[3x3]", "conv[1x1]"), rows),
        ("a layer called `a/b`", lambda: module_dict("a/b", "a/c"), rows),
        ("a frozen layer called `a/b`",
         lambda: frozen(module_dict("a/b", "a/c"), "layers.a/b"), rows),
        ("a frozen layer called `conv[3x3]`",
         lambda: frozen(module_dict("conv[3x3]", "conv3"), "layers.conv[3x3]"), rows),
        ("a parameter called `w*` beside a frozen `w_frozen`", odd_parameters, rows),
        ("a buffer called `a/b [0]`", odd_buffers, rows),
    ],
}  # fmt: skip

# --- Parametrisations and what parameters mean --------------------------------------------------


def pruned(method: Callable[..., Any], *, final: bool = False, **options: Any) -> nn.Module:
    module = mlp()
    method(module[0], "weight", **options)
    if final:
        prune.remove(module[0], "weight")
    return module


def orthogonal(kind: str) -> tuple[Any, ...]:
    def made() -> nn.Module:
        return mlp(parametrizations.orthogonal(nn.Linear(8, 8), orthogonal_map=kind))

    def holds(module: nn.Module) -> bool:
        w = module[1].weight
        return torch.allclose(w.T @ w, torch.eye(8), atol=1e-4)

    return f"orthogonal, by {kind}", made, rows, holds


def padded(module: nn.Module) -> bool:
    return bool((module.embed.weight[0] == 0).all())


def padded_bag(module: nn.Module) -> bool:
    return bool((module[0].weight[3] == 0).all())


def scales_near_1(module: nn.Module) -> bool:
    return near(1, 0.3, *(f"{n}.gain" for n in (1, 2)))(module)


def tempered(module: nn.Module) -> bool:
    return bool(abs(module.temperature - 0.5) < 0.25)


def signs(module: nn.Module) -> bool:
    return bool((module[0].weight > 0).all())


def half_zero(module: nn.Module) -> bool:
    return bool((module[0].weight == 0).float().mean() >= 0.5)


def gates_open(module: nn.Module) -> bool:
    return bool((module.layer.bias_ih_l0[8:16] > 2).all())


def turns_little(module: nn.Module) -> bool:
    return bool((module.turn.bias - torch.tensor([1.0, 0, 0, 0, 1, 0])).abs().max() < 0.3)


def with_temperature() -> nn.Module:
    return of(
        lambda self, x: self.inner(x) / self.temperature,
        inner=mlp(),
        temperature=nn.Parameter(torch.tensor(0.5)),
    )


def gated_by_bias() -> nn.Module:
    """An LSTM whose forget gates start open."""
    module = own.Last(nn.LSTM(6, 8, batch_first=True), 8)
    with torch.no_grad():
        module.layer.bias_ih_l0[8:16] = 3.0
    return module


old = nn.utils
MEANING: dict[str, list[tuple[Any, ...]]] = {
    "parametrisations": [
        ("weight_norm", lambda: mlp(first=parametrizations.weight_norm(nn.Linear(6, 8))), rows),
        ("weight_norm, the old one", quiet(lambda: mlp(first=old.weight_norm(nn.Linear(6, 8)))),
         rows),
        ("spectral_norm", lambda: mlp(first=parametrizations.spectral_norm(nn.Linear(6, 8))), rows),
        ("spectral_norm, the old one",
         quiet(lambda: mlp(first=old.spectral_norm(nn.Linear(6, 8)))), rows),
        orthogonal("matrix_exp"),
        orthogonal("cayley"),
        orthogonal("householder"),
        ("one of your own: positive weights",
         lambda: mlp(first=own.parametrised(nn.Linear(6, 8), own.Positive())), rows,
         signs),
        ("one of your own: skew-symmetric weights",
         lambda: mlp(own.parametrised(nn.Linear(8, 8), own.Skew())), rows),
        ("pruning", lambda: pruned(prune.l1_unstructured, amount=0.5), rows, half_zero),
        ("pruning, made final",
         lambda: pruned(prune.l1_unstructured, amount=0.5, final=True), rows),
    ],
    "what a parameter means": [
        ("a hand-written norm layer, its scale 1",
         lambda: mlp(own.OwnNorm(8), own.OwnNorm(8)), rows, scales_near_1),
        ("a norm layer of torch's, its scale 0", lambda: nn.Sequential(
            nn.Linear(6, 8), frozen_scale(nn.BatchNorm1d(8)), nn.Linear(8, 2)), rows,
         near(0, 0.2, "1.weight")),
        ("a layer scale of 1e-5", lambda: mlp(own.Branch(torch.full((8,), 1e-5))), rows,
         near(0, 0.05, "1.gate")),
        ("ReZero's gate, 0", lambda: mlp(own.Branch(torch.zeros(1))), rows,
         near(0, 0.05, "1.gate")),
        ("LoRA on a frozen layer, B = 0",
         lambda: nn.Sequential(own.LowRank(), nn.ReLU(), nn.Linear(8, 2)), rows,
         near(0, 0.2, "0.up")),
        ("an embedding with a padding row", partial(own.ByLength, padding_idx=0), ids,
         padded),
        ("an embedding bag with a padding row", lambda: nn.Sequential(
            nn.EmbeddingBag(12, 8, padding_idx=3, mode="sum"), nn.Linear(8, 2)), ids,
         padded_bag),
        ("a temperature, one number", with_temperature, rows, tempered),
        ("a class token and positions", own.Vit, images, near(0, 0.15, "token", "position")),
        ("an output layer that starts at 0", lambda: mlp(nn.Linear(8, 8), zero_linear()), rows,
         near(0, 0.2, "2.weight")),
        ("an LSTM whose forget gates start open", gated_by_bias, sequences, gates_open),
        ("a transformation that starts as the identity", own.Spatial, images, turns_little),
    ],
}  # fmt: skip


def frozen_scale(norm: nn.Module) -> nn.Module:
    """The norm layer, with scale 0, as the last one of a residual block."""
    nn.init.zeros_(norm.weight)
    return norm


def zero_linear() -> nn.Module:
    layer = nn.Linear(8, 8)
    nn.init.zeros_(layer.weight)
    return layer


# --- State, modes, hooks ------------------------------------------------------------------------


def held_in_eval(*parts: int, layers: Callable[[], list[nn.Module]]) -> nn.Module:
    module = mlp(*layers())
    for part in parts:
        module[part].eval()
    return module


def pretrained_norm() -> nn.Module:
    module = held_in_eval(1, layers=lambda: [nn.BatchNorm1d(8)])
    module[1].running_mean.fill_(2.0)
    return module.requires_grad_(True)


def masked_gradient() -> nn.Module:
    module = mlp()
    module[0].weight.register_hook(lambda gradient: gradient * (torch.arange(6) % 2))
    return module


def scaled_by_mode() -> nn.Module:
    return of(
        lambda self, x: self.out(self.a(x).relu() * (2.0 if self.training else 0.5)),
        a=nn.Linear(6, 8),
        out=nn.Linear(8, 2),
    )


def keyword_hook(module: nn.Module, args: Any, kwargs: Any, out: Tensor) -> Tensor:
    return out * (2 + len(kwargs))


def before_first(module: nn.Module) -> nn.Module:
    return nn.Sequential(module, nn.ReLU(), nn.Linear(8, 2))


STATE: dict[str, list[tuple[Any, ...]]] = {
    "modes": [
        ("a pretrained batch-norm kept in eval", pretrained_norm, rows),
        ("a dropout kept in eval",
         lambda: held_in_eval(1, layers=lambda: [nn.Dropout(0.5)]), rows),
        ("a frozen part kept in eval", lambda: frozen(held_in_eval(
            1, layers=lambda: [nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))]), "1"), rows),
        ("a `train()` that keeps a batch-norm in eval", own.KeepsEval, rows),
        ("a low-rank update merged by `eval()`", lambda: before_first(own.Merging()), rows),
        ("`self.training` asked in forward", scaled_by_mode, rows),
        ("a model that is wholly in eval when it is given", lambda: mlp(
            nn.BatchNorm1d(8), nn.Dropout(0.4)).eval(), rows),
    ],
    "randomness": [
        ("noise from torch", lambda: own.Noisy("torch"), rows),
        ("noise from NumPy", lambda: own.Noisy("numpy"), rows),
        ("noise from Python", lambda: own.Noisy("python"), rows),
        ("stochastic depth", own.StochasticDepth, rows),
    ],
    "state": [
        ("activations kept on the module", own.KeepsActivations, rows),
        ("a buffer set anew", lambda: own.MovingBuffer("anew"), rows),
        ("a buffer changed in place", lambda: own.MovingBuffer("in place"), rows),
        ("a buffer that grows", lambda: own.MovingBuffer("grows"), rows),
        ("a buffer that is expanded", own.ExpandedBuffer, rows),
        ("a buffer made in forward", lambda: own.MadeBuffer(declared=False), rows),
        ("a buffer that is None at first", lambda: own.MadeBuffer(declared=True), rows),
        ("batch normalisation as a function, with buffers of its own",
         lambda: mlp(own.OwnBatchNorm(8)), rows, near(1, 0.3, "1.scale")),
        ("a count of calls in a buffer",
         lambda: own.Counter("buffer", used=False, only_training=False), rows),
        ("a count of updates in a buffer, which scales",
         lambda: own.Counter("buffer", used=True, only_training=True), rows),
        ("a count of calls in an attribute",
         lambda: own.Counter("attribute", used=False, only_training=False), rows),
        ("a table of positions kept by length", own.CachedPositions, sequences),
        ("a count of calls in an attribute, which scales",
         lambda: own.Counter("attribute", used=True, only_training=False), rows,
         "its own weights give"),
        ("a count of updates in an attribute, which scales",
         lambda: own.Counter("attribute", used=True, only_training=True), rows,
         "its own weights give"),
        ("a running mean that is no buffer", own.HiddenMean, rows, "its own weights give"),
        ("something made of a weight, and kept", own.CachedWeight, rows, "weights"),
        ("a weight clamped in forward", own.Clamped, rows, "in place"),
        ("Embedding with `max_norm`", partial(own.ByLength, max_norm=0.5), ids,
         "in place"),
        ("an input changed in place", lambda: own.ChangesInput(learned=False), rows),
        ("an input changed in place, and a parameter added",
         lambda: own.ChangesInput(learned=True), rows),
        ("an input to which a parameter is added in place", own.AddsToInput, rows),
    ],
    "hooks, closures and copies": [
        ("a forward hook", lambda: hooked(
            "register_forward_hook", lambda module, given, out: out * 2), rows),
        ("a forward hook that takes keywords", lambda: hooked(
            "register_forward_hook", keyword_hook, with_kwargs=True), rows),
        ("a forward pre-hook", lambda: hooked(
            "register_forward_pre_hook", lambda module, given: (given[0] + 1,)), rows),
        ("a full backward hook", lambda: nn.Sequential(nn.Linear(6, 6), hooked(
            "register_full_backward_hook", lambda module, ins, outs: (3 * ins[0],))), rows),
        ("a full backward pre-hook", lambda: hooked(
            "register_full_backward_pre_hook", lambda module, outs: (3 * outs[0],)), rows),
        ("a partial function of a layer, and a bound method", own.PartialOfLayer, rows),
        ("a hook on a parameter", masked_gradient, rows, "hook"),
        ("a hook that uses the module it was made in", own.ClosingHook, rows,
         "its own parameters"),
        ("a lambda that uses the module it was made in", own.Lambda, rows,
         "its own parameters"),
        ("a partial function that holds a parameter", own.BoundParameter, rows,
         "its own parameters"),
        ("parameters in a list of one's own", own.Listed, rows, "its own parameters"),
        ("layers in a plain list", own.Unregistered, rows, "its own parameters"),
        ("a `__deepcopy__` that copies nothing", own.NeverCopied, rows, "cop"),
    ],
}  # fmt: skip

# --- Functions, formats, wrappers ---------------------------------------------------------------


def function(forward: Callable[[Any, Tensor], Tensor], features: int = 8) -> nn.Module:
    """Linear layers around what torch's functions do."""
    return of(forward, a=nn.Linear(6, 8), out=nn.Linear(features, 2))


def branching(self: Any, x: Tensor) -> Tensor:
    h = self.a(x)
    return self.out(h.relu() if h.sum() > 0 else h.tanh())


def scattered(self: Any, x: Tensor) -> Tensor:
    h = self.a(x)
    at = torch.arange(8).flip(0).expand(len(x), 8)
    return self.out(torch.zeros_like(h).scatter(1, at, h).cumsum(1))


def chosen(self: Any, x: Tensor) -> Tensor:
    h = self.a(x)
    h = h.index_put(h.relu().nonzero(as_tuple=True), torch.zeros(()))
    return self.out(h)


def cast_ids() -> nn.Module:
    return of(
        lambda self, x: self.out(torch.cat([self.embed(x).mean(1), x.float() / 12], 1)),
        embed=nn.Embedding(12, 8),
        out=nn.Linear(13, 2),
    )


def in_doubles(self: Any, x: Tensor) -> Tensor:
    return self.out(self.a(x).double().logsumexp(1, keepdim=True).float() * self.a(x))


FUNCTIONS: dict[str, list[tuple[Any, ...]]] = {
    "functions and control flow": [
        ("`if` on inputs", lambda: function(
            lambda self, x: self.out(self.a(x) if x.sum() > 0 else self.a(-x))), rows),
        ("`if` on activations", lambda: function(branching), rows),
        ("`.item()`", lambda: function(
            lambda self, x: self.out(self.a(x) * self.a(x).std().item())), rows),
        ("masks by `nonzero`", lambda: function(chosen), rows),
        ("a mixture of experts", own.Experts, rows),
        ("ids as numbers too", cast_ids, ids),
        ("Fourier transforms", lambda: function(lambda self, x: self.out(
            torch.fft.rfft(self.a(x)).abs()), 5), rows),
        ("complex numbers between layers", lambda: function(lambda self, x: self.out(
            torch.view_as_real(torch.polar(self.a(x).exp(), self.a(x))).sum(-1))), rows),
        ("float64 between layers", lambda: function(in_doubles), rows),
        ("sort and topk", lambda: function(
            lambda self, x: self.out(self.a(x).sort(1)[0].topk(4, 1)[0]), 4), rows),
        ("scatter and cumsum", lambda: function(scattered), rows),
        ("cdist", lambda: of(lambda self, x: -torch.cdist(self.a(x), self.points),
            a=nn.Linear(6, 8), points=nn.Parameter(torch.randn(2, 8))), rows),
        ("einsum", lambda: function(lambda self, x: self.out(
            torch.einsum("ni,nj,ij->nj", self.a(x), self.a(x), torch.eye(8)))), rows),
        ("linear algebra", lambda: function(lambda self, x: self.out(torch.linalg.solve(
            torch.eye(8) + 0.1 * self.a.weight @ self.a.weight.T, self.a(x).T).T)), rows),
        ("grid_sample", own.Spatial, images),
        ("an autograd function", lambda: function(
            lambda self, x: self.out(own.Twice.apply(self.a(x)))), rows),
        ("an autograd function with `setup_context`", lambda: function(
            lambda self, x: self.out(own.TwiceSetUp.apply(self.a(x)))), rows),
        ("a straight-through gradient", lambda: function(
            lambda self, x: self.out(own.StraightThrough.apply(self.a(x)))), rows),
        ("a stopped gradient (`detach`)", lambda: function(
            lambda self, x: self.out(self.a(x) + self.a(x).detach().relu())), rows),
        ("a part under `no_grad`", lambda: of(
            torch_no_grad_part, a=nn.Linear(6, 8), out=nn.Linear(8, 2)), rows),
        ("a gradient taken in forward", lambda: of(
            inner_gradient, a=nn.Linear(6, 8), out=nn.Linear(8, 2)), rows),
        ("logarithms of inputs", lambda: function(
            lambda self, x: self.out(self.a(x.log()))), positive),
        ("checkpoint, not reentrant", lambda: own.Checkpointed(reentrant=False), rows),
        ("checkpoint, reentrant", lambda: own.Checkpointed(reentrant=True), rows,
         "use_reentrant"),
    ],
    "output layers": [
        ("another layer after the output layer, which is named", headless, rows,
          {"head": "out"}),
        ("another layer after the output layer, which has the right size", headless, rows),
        ("a softmax at the end", lambda: nn.Sequential(mlp(), nn.Softmax(dim=1)), rows,
         "leave the softmax at its end out"),
    ],
    "formats and devices": [
        ("float16", lambda: own.Casts(mlp(), torch.float16), rows, "torch.float16"),
        ("bfloat16", lambda: own.Casts(mlp(), torch.bfloat16), rows, "torch.bfloat16"),
        ("float64", lambda: own.Casts(mlp(), torch.float64), rows, "torch.float64"),
        ("complex parameters", own.ComplexWeight, rows, "torch.complex64"),
        ("a frozen part in float64", lambda: of(
            lambda self, x: self.out(self.base(x.double()).float().relu()),
            base=nn.Linear(6, 8).double().requires_grad_(False), out=nn.Linear(8, 2)), rows),
        ("the meta device", lambda: mlp().to("meta"), rows, "meta device"),
        ("a lazy layer", lambda: nn.Sequential(
            nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 2)), rows, "lazy"),
        ("a lazy layer that has been called", lambda: called(nn.Sequential(
            nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 2))), rows),
    ],
    "wrappers": [
        ("torch.compile", lambda: torch.compile(mlp(), backend="eager"), rows),
        ("torch.jit.script", quiet(lambda: torch.jit.script(mlp())), rows,
         "torch.jit"),
        ("a part under torch.jit.script", quiet(lambda: nn.Sequential(
            torch.jit.script(nn.Linear(6, 8)), nn.Linear(8, 2))), rows, "torch.jit"),
        ("torch.jit.trace", quiet(lambda: torch.jit.trace(mlp(), torch.zeros(2, 6))), rows,
         "torch.jit"),
        ("DataParallel", lambda: nn.DataParallel(mlp()), rows, "DataParallel"),
    ],
}  # fmt: skip


def torch_no_grad_part(self: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        gate = self.a(x).sigmoid()
    return self.out(self.a(x) * gate)


def inner_gradient(self: Any, x: Tensor) -> Tensor:
    """With the gradient of an energy with respect to the inputs."""
    with torch.enable_grad():
        given = x.detach().requires_grad_()
        energy = self.a(given).tanh().sum()
        (force,) = torch.autograd.grad(energy, given, create_graph=True)
    return self.out(self.a(force))


def called(module: nn.Module) -> nn.Module:
    module(torch.zeros(2, 6))
    return module


def _kind(
    group: str,
    name: str,
    make: Callable[[], nn.Module],
    sample: Callable[[], Tensor],
    more: Any = None,
) -> ModuleKind:
    """A row; `more` is a part of the refusal, what holds, or settings, if there is any of them."""
    if isinstance(more, str):
        return ModuleKind(name, group, make, sample, REFUSED, says=more)
    if isinstance(more, Mapping):
        return ModuleKind(name, group, make, sample, settings=more)
    return ModuleKind(name, group, make, sample, holds=more)


KINDS = [
    _kind(group, *row)
    for group, listed in (LAYERS | STRUCTURE | MEANING | STATE | FUNCTIONS).items()
    for row in listed
]
