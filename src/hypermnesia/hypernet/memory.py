"""A hypernetwork, the conditions of all tasks and the target network that it makes weights for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.compute import Precision, autocast
from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.conditions import CONDITIONS
from hypermnesia.hypernet.layout import Layout, speed_of
from hypermnesia.hypernet.network import ChunkPlan, HypernetSettings, Hypernetwork, make_plan
from hypermnesia.hypernet.target import Buffers, Target
from hypermnesia.nets import find_head
from hypermnesia.seeding import Generators
from hypermnesia.tree import Tree

if TYPE_CHECKING:
    from hypermnesia.hypernet.generation import Generation

StartName = Literal["scratch", "pretrained"]
"""Where generated weights start: drawn anew, or at the module's own values."""

_FULL, _CPU = HypernetSettings(plan="full"), torch.device("cpu")


class WeightMemory:
    """The weights of a target network for every task, held in one hypernetwork.

    Each task has a condition, a layout (its head's width) and buffers of its own. θ is
    `hypernet.parameters()`. The `module`, template of the target networks, is copied; `generated`,
    `head`, `outputs` and `compile` are as in `Target`. Answers are in float32 whatever training's
    `precision`. Where weights `start` at the module's own, those of a `pretrained` one, every
    task's network is the module at first, but for a head of another width; what is frozen is not
    kept.
    Raises `ConfigError` for `condition_options` that the condition does not take.
    """

    hypernet: Hypernetwork
    draws = 1  #: networks of a task that answer together

    def __init__(
        self,
        module: nn.Module,
        settings: HypernetSettings = _FULL,
        *,
        generated: Sequence[str] = ("*",),
        head: str | None = None,
        outputs: int | None = None,
        device: torch.device = _CPU,
        precision: Precision = "float32",
        compile: bool = False,
        start: StartName = "scratch",
    ) -> None:
        self.target = Target(
            module, generated, head, outputs=outputs, device=device, compile=compile
        )
        self.settings, self.device, self.precision = settings, device, precision
        try:
            make = CONDITIONS[settings.condition]
            self.condition = make(settings, device, **settings.condition_options)
        except TypeError as error:
            rule = "hypernet.condition_options must be arguments of the condition"
            raise ConfigError(rule, got=error, hint=f"those of {settings.condition}") from None
        self.layouts: list[Layout] = []
        self.plans: list[ChunkPlan] = []
        self.buffers: list[Buffers] = []
        self.generation: Generation | None = None  # what makes weights in training, for a while
        if start == "pretrained":
            self._start_at_own_values()

    def _start_at_own_values(self) -> None:
        if self.settings.condition != "embedding":  # others may have no row that means nothing
            rule = "weights that start at a model's own are made from a task embedding"
            got, hint = self.settings.condition, "set hypernet.condition=embedding"
            raise ConfigError(rule, got=got, hint=hint)
        settings, target = self.settings, self.target
        own = find_head(target.module, target.head)
        layers = target.layout(own.layer.out_features if own else 0).layers
        plan = make_plan(settings.plan, layers, settings.chunk)
        embedded = 0 if settings.plan == "full" else settings.chunk_embedding
        features = settings.hidden[-1] if settings.hidden else self.condition.size + embedded
        target.keep_values(speed_of(features, plan.count))

    @property
    def tasks(self) -> int:
        """The number of tasks added so far."""
        return len(self.layouts)

    def add_task(self, outputs: int, generators: Generators) -> None:
        """Make room for a task; raises `TargetError` where the head cannot be resized."""
        self._add_network(self.target.layout(outputs), generators["hypernet"])
        self.condition.add_task(generators)
        if self.target.pretrained and self.hypernet.head.weight.any():
            with torch.no_grad():  # of which h makes 0
                for parameter in self.condition.parameters(self.tasks - 1):
                    parameter.zero_()

    def _add_network(self, layout: Layout, generator: torch.Generator) -> None:
        plan = self._plan(layout)
        if self.tasks == 0:
            start = plan, self._variances(layout), generator
            own = self.settings, *start, self.condition.size
            self.hypernet = Hypernetwork(*own, from_zero=self.target.pretrained).to(self.device)
        elif not self.hypernet.has_room(plan):
            self.hypernet.grow(plan, self._variances(layout), generator)
        self.layouts.append(layout)
        self.plans.append(plan)
        self.buffers.append(self.target.new_buffers())

    def _plan(self, layout: Layout) -> ChunkPlan:
        """Return how the values that stand for a layout's weights are cut into chunks."""
        return make_plan(self.settings.plan, layout.layers, self.settings.chunk)

    def _variances(self, layout: Layout) -> Tensor:
        """Return the variance wanted of each of these values."""
        return layout.variances()

    def extend_task(self, task: int, outputs: int, generators: Generators) -> None:
        """Append so many outputs to a task's head; the weights that it has stay where they are.

        Raises `TargetError` where the head cannot be resized.
        """
        old = self.layouts[task]
        layout = self.target.layout(old.outputs + outputs, (*old.grown, outputs))
        plan = self._plan(layout)
        if plan.places:
            rule = "a network whose layers have embeddings keeps its number of outputs"
            raise ConfigError(rule, got="further ones", hint="set hypernet.plan=even")
        self.hypernet.grow(plan, self._variances(layout), generators["hypernet"])
        self.layouts[task], self.plans[task] = layout, plan

    def copy_task(self, task: int) -> None:
        """Add a task with the network of another; θ stays as it is.

        Raises `ConfigError` if the condition cannot copy.
        """
        if not hasattr(self.condition, "copy_task"):
            rule = "a condition must have copy_task for a network to be adapted"
            raise ConfigError(rule, got=type(self.condition).__name__, hint="define it")
        self.condition.copy_task(task)
        self.layouts.append(self.layouts[task])
        self.plans.append(self.plans[task])
        self.buffers.append({name: each.clone() for name, each in self.buffers[task].items()})

    def before_extension(self, task: int) -> Layout:
        """Return the layout that a task had before it was last extended."""
        *grown, last = self.layouts[task].grown
        return self.target.layout(self.layouts[task].outputs - last, tuple(grown))

    def remove_task(self, task: int) -> None:
        """Forget a task: condition, head and buffers, and chunks and rows of θ that it alone used.

        The weights of the others stay as they are, bit for bit, and are protected as before; later
        ones count one less. Raises `ConfigError` if the condition cannot forget.
        """
        if not hasattr(self.condition, "remove_task"):
            rule = "a condition must have remove_task for a task to be removed"
            raise ConfigError(rule, got=type(self.condition).__name__, hint="define it")
        self.condition.remove_task(task)
        for kept in (self.layouts, self.plans, self.buffers):
            del kept[task]
        if self.plans:
            self.hypernet.shrink(self.plans)

    def weights(self, task: int) -> Tensor:
        """Make the (N,) flat weights of a task's target network; differentiable."""
        return cast(Tensor, self.hypernet(self.condition([task]), self.plans[task])[0])

    def networks(self, tasks: Sequence[int]) -> Tensor:
        """Make (tasks x draws, N) weights of the networks of tasks that share a layout."""
        return cast(Tensor, self.hypernet(self.condition(tasks), self.plans[tasks[0]]))

    @torch.no_grad()
    def size(self, task: int) -> float:
        """Return the sum of the squares of a task's weights, against which a change is measured.

        Of changes of a pretrained module's weights these are the squares, and no less than those of
        a twentieth of its own weights: what has hardly changed can still stand as much.
        """
        squares = float(self.weights(task).square().sum())
        return max(squares, self._least) if self.target.pretrained else squares

    @cached_property
    def _least(self) -> float:
        """The squares of a twentieth of the module's generated weights, in the unit of h."""
        own = [(s.value, s.scale) for s in self.target.starts.values() if s.scale is not None]
        return sum(float((0.05 * value / scale).square().sum()) for value, scale in own)

    def run(self, task: int, x: Tree, *, training: bool) -> Any:
        """Run a task's target network on `x`, passed as `tree.arguments` says."""
        layout, buffers = self.layouts[task], self.buffers[task]
        with autocast(self.precision if training else "float32", self.device):
            if training and self.generation is not None:
                return self._run_generated(self.generation, task, x)
            weights = self.weights(task)
            return self.target(weights, x, layout=layout, buffers=buffers, training=training)

    def _run_generated(self, generation: Generation, task: int, x: Tree) -> Any:
        layout, buffers, plan = self.layouts[task], self.buffers[task], self.plans[task]
        self.target.try_once(lambda: self.weights(task).detach(), x, layout, buffers)
        parts = generation.parts(self.condition([task]), plan, layout.sizes)
        named = self.target.shared | layout.named(parts)
        return self.target.trained(named, x, buffers)

    def export(self, task: int) -> nn.Module:
        """Make a plain module of a task's weights and buffers, on the CPU, ready to evaluate."""
        layout, buffers = self.layouts[task], self.buffers[task]
        return self.target.plain(self.weights(task), layout=layout, buffers=buffers).cpu()

    def serving(self, task: int) -> nn.Module:
        """Make a task's network to ask, where the memory is; what all tasks share is not copied."""
        layout, buffers = self.layouts[task], self.buffers[task]
        return self.target.plain(self.weights(task), layout=layout, buffers=buffers, share=True)

    @property
    def kept(self) -> int:
        """The number of learned values: |θ| + conditions + shared parameters."""
        learned = (*self.hypernet.parameters(), *self.target.kept.values())
        return sum(p.numel() for p in learned) + self.condition.kept

    @property
    def largest(self) -> int:
        """The number |W| of parameters of the largest target network."""
        shared = sum(p.numel() for p in self.target.kept.values())
        return max(layout.total for layout in self.layouts) + shared

    def compression(self) -> float:
        """Return (|θ| + conditions + shared parameters) / |W| of the largest target network."""
        return self.kept / self.largest

    def state_dict(self) -> dict[str, Any]:
        """Return parameters, conditions and buffers, with the heads to rebuild their shapes."""
        own = {} if self.target.pretrained else self.target.starts
        starts = {n: vars(s) for n, s in own.items() if not s.of_a_norm}
        return {
            "outputs": [_widths(layout) for layout in self.layouts],
            "hypernet": dict(self.hypernet.state_dict()) if self.tasks else {},
            "condition": self.condition.state_dict(),
            "buffers": self.buffers,
            "shared": {name: p.detach() for name, p in self.target.kept.items()},
            **({"starts": starts} if starts else {}),
        }

    def share(self, other: WeightMemory) -> None:
        """Take over θ of another memory of the same tasks, the tensors themselves.

        Training leaves them to the other: `HypernetTrainer` moves copies.
        """
        self.hypernet.load_state_dict(other.hypernet.state_dict(), assign=True)
        self.target.take_over(other.target)

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Rebuild every task of `state`; raises `ValueError` if its parts do not fit each other."""
        self.layouts, self.plans = [], []
        self.target.load(state["shared"], state.get("starts", {}))
        anything = torch.Generator()  # drawn values are overwritten below
        for widths in state["outputs"]:
            first, *grown = widths if isinstance(widths, list) else [widths]
            if grown and min(first, *grown) < 1:
                raise ValueError(f"a head of widths {widths}")
            layout = self.target.layout(first + sum(grown), tuple(grown))
            self._check_size(layout, state["hypernet"])
            self._add_network(layout, anything)
        if self.tasks:
            self.hypernet.load_state_dict(state["hypernet"])
        self.condition.load_state_dict(state["condition"])
        if self.condition.tasks != self.tasks:
            raise ValueError(f"conditions of {self.condition.tasks} tasks for {self.tasks}")
        self.buffers = [tree.to(saved, self.device) for saved in state["buffers"]]

    def _check_size(self, layout: Layout, hypernet: dict[str, Tensor]) -> None:
        """Refuse a state that claims larger networks than its tensors make, before making any."""
        tables = [len(each) for name, each in hypernet.items() if name.endswith("_embeddings")]
        made = math.prod(tables) * len(hypernet["head.weight"])
        wanted = self._plan(layout).total
        if wanted > made:
            raise ValueError(f"{wanted} weights of a network where {made} can be made")


def _widths(layout: Layout) -> int | list[int]:
    """Return a head's width; of one that has grown, the first and all that was added.

    Versions that know of no growth refuse the second.
    """
    return [layout.outputs - sum(layout.grown), *layout.grown] if layout.grown else layout.outputs
