"""Any `nn.Module` as a target network, run with weights from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from hypermnesia import tree
from hypermnesia.errors import TargetError
from hypermnesia.hypernet import trial
from hypermnesia.hypernet.layout import (
    Layout,
    Start,
    drawn_head,
    layout_of,
    own_values,
    starts_of,
    starts_of_norms,
)
from hypermnesia.hypernet.trial import Buffers as Buffers
from hypermnesia.modules import (
    Slots,
    check_supported,
    copied,
    dense,
    parts_in_eval,
    statistics,
    train,
)
from hypermnesia.nets import find_head, with_outputs
from hypermnesia.tree import Tree

_CPU = torch.device("cpu")


def chosen(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """List the names that patterns as of shells mean; brackets of a name's own mean themselves."""

    def means(pattern: str, name: str) -> bool:
        literal = pattern.replace("[", "[[]")
        return fnmatchcase(name, pattern) or fnmatchcase(name, literal)

    exact = set(names) & set(patterns)
    wide = [pattern for pattern in patterns if pattern not in exact]
    return [n for n in names if n in exact or any(means(pattern, n) for pattern in wide)]


class Target:
    """A module whose parameters, or some of them, come from outside.

    The module is copied, never changed. Tied parameters stay tied, and what the user holds in eval
    mode (a pretrained batch normalisation) stays in it.

    Args:
        module: any `nn.Module`; what it takes and returns is the caller's.
        generated: patterns (as of shells) of the names of the parameters to generate.
        head: name of the output layer, whose width follows each task; None: the last `nn.Linear`.
        outputs: how many the module has, if known: a task with as many keeps its layers.
        device: where to run.
        compile: train through `torch.compile`.

    Raises `TargetError`: no parameter matches, the module is of a kind that cannot be run with
    weights from outside, or the head has to be resized but cannot be.
    """

    def __init__(
        self,
        module: nn.Module,
        generated: Sequence[str] = ("*",),
        head: str | None = None,
        *,
        outputs: int | None = None,
        device: torch.device = _CPU,
        compile: bool = False,
    ) -> None:
        check_supported(module)
        every = dict(module.named_parameters())
        self.generated = chosen(list(every), generated)
        # A template, which is never run: the values of what is generated are not used once it is
        # known where they start, so that they need no memory of their own.
        here = [every[name] for name in self.generated if every[name].device == torch.device("cpu")]
        shared = here if device.type == "cpu" else []
        self.module = dense(copied(module, shared)).to(device)
        train(self.module, parts_in_eval(module))
        self._statistics = [] if module.training else statistics(module)
        self.head, self.outputs, self.device, self.compiled = head, outputs, device, compile
        every = dict(self.module.named_parameters())
        if not self.generated:
            rule = "at least one parameter of the target network must be generated"
            got = f"patterns {list(generated)} that match none of {[*every][:8]}"
            hint = "name parameters as module.named_parameters() does"
            raise TargetError(rule, got=got, hint=hint)
        self.shared = {n: p for n, p in every.items() if n not in self.generated}
        starts = starts_of(self.module)
        self.starts = {n: starts[n].to(device) for n in self.generated if n in starts}
        self.pretrained, self.scale = False, 1.0
        self.way: trial.Way | None = None  # in which it can be evaluated, once that is known
        self.in_rows: bool | None = None  # whether each row can have weights of its own
        self.changes_input = self._tried = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave the copies that run to be made anew: they may hold parts of a graph."""
        made = ("_trained", "_evaluated", "_compiled")
        return {name: value for name, value in vars(self).items() if name not in made}

    def keep_values(self, scale: float) -> None:
        """Start every generated parameter at the module's own value, moved by `scale` times h.

        The statistics of norms in a module that is in eval mode as a whole are its values, too.
        """
        self.pretrained, self.scale = True, scale
        for name in self._statistics:
            self.module.get_submodule(name).eval()
        self.starts = own_values(self.module, self.generated, scale)

    @property
    def kept(self) -> dict[str, nn.Parameter]:
        """What is shared and to be kept: not what is frozen of a pretrained module."""
        shared = self.shared.items()
        return {n: p for n, p in shared if p.requires_grad or not self.pretrained}

    @cached_property
    def _trained(self) -> Slots:
        """The copy that is run in training; its parameters are those of the newest call."""
        return Slots(copied(self.module, shared=list(self.module.parameters())))

    @cached_property
    def _evaluated(self) -> Slots:
        return Slots(copied(self.module, shared=list(self.module.parameters())).eval())

    @property
    def evaluated(self) -> nn.Module:
        """The copy that is run to evaluate."""
        return self._evaluated.module

    def holding(self, tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Put parameters and buffers by name into the copy that is run to evaluate, for a while."""
        return self._evaluated.holding(tensors)

    @cached_property
    def _compiled(self) -> Callable[..., Any]:
        return torch.compile(partial(functional_call, self._trained.module))

    @torch.no_grad()
    def load(self, shared: Mapping[str, Tensor], starts: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over shared parameters, and where generated ones start, by name.

        Raises `ValueError` if they are not those of this module.
        """
        own = self.kept
        if [n.replace("/", ".") for n in shared] != [n.replace("/", ".") for n in own]:
            raise ValueError(f"shared parameters {[*shared][:4]} for {[*own][:4]}")
        for parameter, saved in zip(own.values(), shared.values(), strict=True):
            parameter.copy_(saved)
        if self.pretrained:
            return
        usual = starts_of_norms(self.module)
        self.starts = {name: usual[name] for name in self.generated if name in usual}
        self.starts |= {name: Start(**kept).to(self.device) for name, kept in starts.items()}
        for name, start in self.starts.items():
            shape = self.module.get_parameter(name).shape
            if start.of(torch.zeros(shape, device=self.device)).shape != shape:
                raise ValueError(f"another shape of '{name}'")

    def layout(self, outputs: int, grown: tuple[int, ...] = ()) -> Layout:
        """List the weights that a task with `outputs` outputs needs, those of the head last.

        The last of the outputs are what the head has `grown` by, each time.
        """
        shapes = {n: p.shape for n, p in self.module.named_parameters() if n in self.generated}
        head, starts = find_head(self.module, self.head), self.starts
        if grown and (head is None or self.outputs not in (None, head.layer.out_features)):
            rule = "the network must end in a linear layer with a row an output to be extended"
            raise TargetError(rule, got=head and head.name, hint="name the output layer")
        own = self.outputs, head and head.layer.out_features
        if head is not None and (grown or outputs not in own):
            if missing := [name for name in head.names if name not in self.generated]:
                rule = "tasks of different widths need an output layer that is generated, not tied"
                got = f"'{missing[0]}', which is shared"
                hint = "add it to the generated patterns, untie it, or name the output layer"
                raise TargetError(rule, got=got, hint=hint)
            shapes |= {name: torch.Size((outputs, *shapes[name][1:])) for name in head.names}
            if self.pretrained:
                inputs = head.layer.in_features
                new = {n: drawn_head(shapes[n], inputs, starts[n], grown) for n in head.names}
                starts = starts | new
        if head is not None:
            shapes |= {name: shapes.pop(name) for name in head.names if name in shapes}
        return layout_of(shapes, outputs, starts, grown)

    def new_buffers(self) -> Buffers:
        """Copy the module's buffers (batch-norm statistics), as at the start, for a task."""
        return {name: buffer.clone() for name, buffer in self.module.named_buffers()}

    def parameters(self, layout: Layout, weights: Tensor) -> dict[str, Tensor]:
        """Return every parameter by name, of (N,) flat weights and of what is shared."""
        return self.shared | layout.split(weights)

    def __call__(
        self,
        weights: Float[Tensor, " N"],
        x: Tree,
        *,
        layout: Layout,
        buffers: Buffers,
        training: bool,
    ) -> Any:
        """Run the module on `x`, passed as `tree.arguments` says, with the given weights.

        Of an output with the attribute `logits`, these are returned. In training, `buffers`
        (batch-norm statistics) are brought to what the module leaves; and the gradient is to be
        taken before the next call in training, as a module that computes activations again in the
        backward pass (`torch.utils.checkpoint`) does so with the weights of the newest call.
        """
        if training:
            self.try_once(weights.detach, x, layout, buffers)
            return self.trained(self.parameters(layout, weights), x, buffers)
        self._settle(weights[None], x, layout, [buffers])
        return self._alone(weights, x, layout, buffers)

    def try_once(
        self, weights: Callable[[], Tensor], x: Tree, layout: Layout, buffers: Buffers
    ) -> None:
        """Refuse, before its first update, a module that would not train or evaluate as it is."""
        if not self._tried:
            made, some = weights(), trial.some(x)
            trial.check(self, made, some, layout, buffers)
            self._settle(made[None], some, layout, [buffers])
            self._tried = True

    def trained(self, parameters: Mapping[str, Tensor], x: Tree, buffers: Buffers) -> Any:
        """Run the module in training with parameters by name, which stay until the next call."""
        if self.compiled:
            everything = {**parameters, **buffers}
            output = self._compiled(everything, *tree.arguments(self.given(x)))
            buffers.update({name: everything[name].detach() for name in buffers})
            return tree.output_of(output)
        self._trained.put({**parameters, **buffers})
        output = tree.output_of(tree.forward(self._trained.module, self.given(x)))
        buffers.update({n: b.detach() for n, b in self._trained.module.named_buffers()})
        return output

    def take_over(self, other: Target) -> None:
        """Believe what another target of the same module has found out; hold frozen values once."""
        self.way, self.changes_input, self._tried = other.way, other.changes_input, other._tried
        self.in_rows = other.in_rows
        frozen = {name: p for name, p in other.shared.items() if not p.requires_grad}
        Slots(self.module).put(frozen)
        self.shared.update(frozen)

    def release(self) -> None:
        """Let go of the newest weights in training."""
        if "_trained" in vars(self):
            self._trained.restore()

    def given(self, x: Tree) -> Tree:
        """Inputs that the module may change."""
        return tree.map(torch.clone, x) if self.changes_input else x

    def each(
        self, weights: Float[Tensor, "tasks N"], x: Tree, layout: Layout, buffers: Sequence[Buffers]
    ) -> Any:
        """Run every task's network on the same inputs, in one batched call.

        A module that torch cannot run so (LSTM, GRU, a transformer's layers) goes task by task.
        The tasks share `layout`; each tensor in the output has the tasks in front.
        """
        self._settle(weights, x, layout, buffers)
        if self.way == "batched":
            return self.batched(weights, x, layout, buffers)
        networks = zip(weights, buffers, strict=True)
        return tree.stack([self._alone(w, x, layout, b) for w, b in networks])

    def _settle(self, weights: Tensor, x: Tree, layout: Layout, buffers: Sequence[Buffers]) -> None:
        """Find out, the first time, in which way the module can be run to evaluate."""
        if self.way is None:
            self.way = trial.way_to_evaluate(self, weights.detach(), x, layout, buffers)

    def _alone(self, weights: Tensor, x: Tree, layout: Layout, buffers: Buffers) -> Any:
        if self.way == "copied":
            network = self.plain(weights, layout=layout, buffers=buffers)
            return tree.output_of(tree.forward(network, self.given(x)))
        return self.swapped(weights, x, layout, buffers)

    def batched(self, weights: Tensor, x: Tree, layout: Layout, buffers: Sequence[Buffers]) -> Any:
        """Run the copy that evaluates under `vmap` over (tasks, N) weights."""
        stacked = {name: torch.stack([b[name] for b in buffers]) for name in buffers[0]}
        return vmap(partial(self._with, x=x, layout=layout))(weights, stacked)

    def swapped(self, weights: Tensor, x: Tree, layout: Layout, buffers: Buffers) -> Any:
        """Run the copy that evaluates, with (N,) weights and (copied) buffers in it."""
        own = {name: buffer.clone() for name, buffer in buffers.items()}
        return self._with(weights, own, x, layout)

    def _with(self, weights: Tensor, buffers: Buffers, x: Tree, layout: Layout) -> Any:
        with self.holding(self.parameters(layout, weights) | buffers):
            return tree.output_of(tree.forward(self.evaluated, self.given(x)))

    @torch.no_grad()
    def plain(
        self,
        weights: Float[Tensor, " N"],
        *,
        layout: Layout,
        buffers: Buffers,
        training: bool = False,
        share: bool = False,
    ) -> nn.Module:
        """Make an independent module with the given weights, as a rule to evaluate.

        With `share` what all tasks share is not copied: the module is one that only answers.
        """
        shared = [*self.shared.values()] if share else []
        if find_head(self.module, self.head) is None or layout.outputs == self.outputs:
            module = copied(self.module, shared)
        else:
            own_head = layout.outputs, torch.Generator(), self.head
            module = with_outputs(self.module, *own_head, shared)
        values = self.parameters(layout, weights)
        for name, own in module.named_parameters():
            if own is not values[name]:
                own.copy_(values[name])
        Slots(module).put({name: buffer.clone() for name, buffer in buffers.items()})
        return module if training else module.eval()
