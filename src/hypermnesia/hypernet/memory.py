"""A hypernetwork, the conditions of all tasks and the target network that it makes weights for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.compute import Precision, autocast
from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.conditions import CONDITIONS
from hypermnesia.hypernet.layout import Layout
from hypermnesia.hypernet.network import ChunkPlan, HypernetSettings, Hypernetwork, make_plan
from hypermnesia.hypernet.target import Buffers, Target
from hypermnesia.seeding import Generators
from hypermnesia.tree import Tree

_FULL, _CPU = HypernetSettings(plan="full"), torch.device("cpu")


class WeightMemory:
    """The weights of a target network for every task, held in one hypernetwork.

    Each task has a condition, a layout (its head's width) and buffers of its own. θ is
    `hypernet.parameters()`. The `module`, template of the target networks, is copied; `generated`,
    `head`, `outputs` and `compile` are as in `Target`. Answers are in float32 whatever training's
    `precision`. Raises `ConfigError` for `condition_options` that the condition does not take.
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

    @property
    def tasks(self) -> int:
        """The number of tasks added so far."""
        return len(self.layouts)

    def add_task(self, outputs: int, generators: Generators) -> None:
        """Make room for a task; raises `TargetError` where the head cannot be resized."""
        self._add_network(outputs, generators["hypernet"])
        self.condition.add_task(generators)

    def _add_network(self, outputs: int, generator: torch.Generator) -> None:
        layout = self.target.layout(outputs)
        plan, variances = self._wanted(layout)
        start = plan, variances, generator
        if self.tasks == 0:
            self.hypernet = Hypernetwork(self.settings, *start, self.condition.size).to(self.device)
        else:
            self.hypernet.grow(*start)
        self.layouts.append(layout)
        self.plans.append(plan)
        self.buffers.append(self.target.new_buffers())

    def _wanted(self, layout: Layout) -> tuple[ChunkPlan, Tensor]:
        """Return the plan for a layout, and the variance wanted of each value."""
        plan = make_plan(self.settings.plan, layout.layers, self.settings.chunk)
        return plan, layout.variances()

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
            self.hypernet.shrink(max(self.plans, key=lambda plan: plan.total))

    def weights(self, task: int) -> Tensor:
        """Make the (N,) flat weights of a task's target network; differentiable."""
        return cast(Tensor, self.hypernet(self.condition([task]), self.plans[task])[0])

    def networks(self, tasks: Sequence[int]) -> Tensor:
        """Make (tasks x draws, N) weights of the networks of tasks that share a layout."""
        return cast(Tensor, self.hypernet(self.condition(tasks), self.plans[tasks[0]]))

    def run(self, task: int, x: Tree, *, training: bool) -> Any:
        """Run a task's target network on `x`, passed as `tree.arguments` says."""
        layout, buffers = self.layouts[task], self.buffers[task]
        with autocast(self.precision if training else "float32", self.device):
            weights = self.weights(task)
            return self.target(weights, x, layout=layout, buffers=buffers, training=training)

    def export(self, task: int) -> nn.Module:
        """Make a plain module of a task's weights and buffers, on the CPU, ready to evaluate."""
        layout, buffers = self.layouts[task], self.buffers[task]
        return self.target.plain(self.weights(task), layout=layout, buffers=buffers).cpu()

    @property
    def kept(self) -> int:
        """The number of learned values: |θ| + conditions + shared parameters."""
        learned = (*self.hypernet.parameters(), *self.target.shared.values())
        return sum(p.numel() for p in learned) + self.condition.kept

    @property
    def largest(self) -> int:
        """The number |W| of parameters of the largest target network."""
        shared = sum(p.numel() for p in self.target.shared.values())
        return max(layout.total for layout in self.layouts) + shared

    def compression(self) -> float:
        """Return (|θ| + conditions + shared parameters) / |W| of the largest target network."""
        return self.kept / self.largest

    def state_dict(self) -> dict[str, Any]:
        """Return parameters, conditions and buffers, with the heads to rebuild their shapes."""
        starts = {n: vars(s) for n, s in self.target.starts.items() if not s.of_a_norm}
        return {
            "outputs": [layout.outputs for layout in self.layouts],
            "hypernet": dict(self.hypernet.state_dict()) if self.tasks else {},
            "condition": self.condition.state_dict(),
            "buffers": self.buffers,
            "shared": {name: p.detach() for name, p in self.target.shared.items()},
            **({"starts": starts} if starts else {}),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Rebuild every task of `state`; raises `ValueError` if its parts do not fit each other."""
        self.layouts, self.plans = [], []
        self.target.load(state["shared"], state.get("starts", {}))
        anything = torch.Generator()  # drawn values are overwritten below
        for outputs in state["outputs"]:
            self._check_size(outputs, state["hypernet"])
            self._add_network(outputs, anything)
        if self.tasks:
            self.hypernet.load_state_dict(state["hypernet"])
        self.condition.load_state_dict(state["condition"])
        if self.condition.tasks != self.tasks:
            raise ValueError(f"conditions of {self.condition.tasks} tasks for {self.tasks}")
        self.buffers = [tree.to(saved, self.device) for saved in state["buffers"]]

    def _check_size(self, outputs: int, hypernet: dict[str, Tensor]) -> None:
        """Refuse a state that claims larger networks than its tensors make, before making any."""
        tables = [len(each) for name, each in hypernet.items() if name.endswith("_embeddings")]
        plan, _ = self._wanted(self.target.layout(outputs))
        made, wanted = math.prod(tables) * len(hypernet["head.weight"]), plan.total
        if wanted > made:
            raise ValueError(f"{wanted} weights of a network where {made} can be made")
