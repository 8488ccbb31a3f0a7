"""Weights brought to given values in a hypernetwork that keeps its other tasks: no data needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from hypermnesia import tree
from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.layout import Layout
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.target import Buffers
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.basis import fit_basis
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.regularization.step import HypernetTrainer
from hypermnesia.seeding import Generators

_SCHEDULE = {0.4: 0.3, 0.6: 0.1, 0.8: 0.03, 0.9: 0.01}
_ADAM = OptimizerSettings(lr=3e-3, schedule=_SCHEDULE)
_FASTER = 10.0  # steps of an embedding that starts at 0


def refit(
    memory: WeightMemory,
    tasks: Sequence[int],
    wanted: Sequence[Float[Tensor, " N"]],
    iterations: int,
    generators: Generators,
    *,
    conditions: Float[Tensor, "tasks E"] | None = None,
    beta: float = 1.0,
) -> None:
    """Fit θ, and the conditions of `tasks`, so that these make the `wanted` flat weights.

    All other tasks are held by the output regulariser, in the same unit: the loss is
    mean_t ‖h(e_t; θ) - W_t‖² + R(θ). Given `conditions` stay as they are.
    """
    settings, first_moves = RegularizerSettings(beta=beta), memory.target.pretrained
    trainer = HypernetTrainer(
        memory,
        regularizer=settings,
        optimizer=_ADAM,
        embedding_optimizer=replace(_ADAM, lr=_FASTER * _ADAM.lr) if first_moves else _ADAM,
        generators=generators,
    )
    trainer.begin_task(iterations, tasks)

    same: dict[int, list[int]] = {}  # places of tasks with networks of one size
    for place, task in enumerate(tasks):
        same.setdefault(memory.plans[task].total, []).append(place)
    groups = [(places, torch.stack([wanted[p] for p in places])) for places in same.values()]

    def loss() -> Tensor:
        rows = memory.condition(tasks) if conditions is None else conditions
        squares = []
        for places, to in groups:
            made = memory.hypernet(rows[places], memory.plans[tasks[places[0]]])
            squares.append((made - to).square().sum())
        return torch.stack(squares).sum() / len(tasks)

    for _ in range(iterations):
        trainer.step(loss)
    trainer.end_task()


def erase(memory: WeightMemory, task: int, iterations: int, generators: Generators) -> None:
    """Bring the weights that a task's condition makes to those of the task that is nearest to it.

    So θ need not tell the two apart, which asks less of it than to make other weights. Entries that
    only the task itself has go to where they start.
    """
    own, kept = memory.condition([task]).detach(), memory.layouts[task]
    with torch.no_grad():
        weights = memory.weights(task)
        others = [_fitted(memory, t, kept) for t in range(memory.tasks) if t != task]
    wanted = min(others, key=lambda other: float((other - weights).square().sum()))
    refit(memory, [task], [wanted], iterations, generators, conditions=own, beta=10.0)


def _fitted(memory: WeightMemory, task: int, layout: Layout) -> Tensor:
    """The (N,) weights of a task in another layout: rows of a head that it lacks are 0."""
    found = memory.layouts[task].split(memory.weights(task))
    named = {}
    for name, shape in layout.shapes.items():
        same = found[name].shape[1:] == shape[1:]
        named[name] = found[name].new_zeros(shape)
        rows = min(len(found[name]), shape[0]) if same and shape else 0
        named[name] = torch.cat([found[name][:rows], named[name][rows:]]) if shape else found[name]
    return layout.join(named)


def merge(
    memory: WeightMemory, other: WeightMemory, iterations: int, generators: Generators
) -> list[float]:
    """Add the tasks of another memory of the same module, fitted to its weights.

    Returns ‖W - W*‖ / ‖W*‖ of each, for the parameters W that are made in the place of W*. Raises
    `ConfigError` where shared parameters differ.
    """
    for name, shared in memory.target.shared.items():
        if not torch.equal(shared, other.target.shared[name].to(shared.device)):
            rule = "to merge, parameters that tasks share must be the same in both"
            hint = "start both from the same model, with these frozen (requires_grad)"
            raise ConfigError(rule, got=f"other values of '{name}'", hint=hint)
    wanted = []
    for task, layout in enumerate(other.layouts):
        with torch.no_grad():
            wanted.append((layout.outputs, layout.split(other.weights(task))))
    return take_in(memory, wanted, iterations, generators, other.buffers)


def take_in(
    memory: WeightMemory,
    wanted: Sequence[tuple[int, Mapping[str, Tensor]]],
    iterations: int,
    generators: Generators,
    buffers: Sequence[Buffers] = (),
    importance: Mapping[str, Tensor] | None = None,
) -> list[float]:
    """Add tasks, fitted to given parameters, of so many outputs each; returns errors as `merge`.

    The first ones of a linear hypernetwork are fitted in closed form, where `importance` says how
    much the squared error of a parameter counts; others by gradient.
    """
    pairs = []
    for number, (outputs, named) in enumerate(wanted):
        memory.add_task(outputs, generators)
        if buffers:
            memory.buffers[-1] = tree.to(buffers[number], memory.device)
        pairs.append((memory.tasks - 1, {n: p.to(memory.device) for n, p in named.items()}))
    flat = [memory.layouts[t].join(n) for t, n in pairs]
    if memory.settings.plan == "full" and not memory.settings.hidden and len(pairs) == memory.tasks:
        fit_basis(memory, flat, importance)
        return [_error(memory, task, named) for task, named in pairs]
    refit(memory, [t for t, _ in pairs], flat, iterations, generators)
    return [_error(memory, task, named) for task, named in pairs]


@torch.no_grad()
def _error(memory: WeightMemory, task: int, wanted: Mapping[str, Tensor]) -> float:
    layout, flat = memory.layouts[task], memory.weights(task)
    if memory.target.pretrained:  # of what a task changes of the weights, which h makes
        changes = layout.join(wanted)
        return float((flat - changes).norm() / changes.norm().clamp(min=1e-30))
    made = layout.split(flat)
    off = sum(float((made[name] - value).square().sum()) for name, value in wanted.items())
    return float((off / sum(float(value.square().sum()) for value in wanted.values())) ** 0.5)
