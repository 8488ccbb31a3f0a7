"""Random hypernetworks that have grown over a few tasks, and points to judge them at."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from hypermnesia.hypernet.network import ACTIVATIONS, HypernetSettings, Hypernetwork, make_plan
from hypermnesia.regularization.output import (
    ClosedFormRegularizer,
    DirectRegularizer,
    OutputRegularizer,
    Parameters,
    Snapshot,
)

World = tuple[Hypernetwork, Snapshot, Parameters]
"""What a regulariser is built with, and a point to call it with."""


@dataclass(frozen=True)
class Case:
    """Sizes of a hypernetwork and the history it has.

    Attributes:
        outputs: of each task's head; the last is the task being learned.
        body: weights of the layers before the head.
        distance: how far each parameter of the point lies from the snapshot.
    """

    hidden: tuple[int, ...]
    activation: str
    plan: str
    chunk: int
    task_embedding: int
    chunk_embedding: int
    body: tuple[int, ...]
    outputs: tuple[int, ...]
    distance: float
    seed: int
    from_zero: bool = False

    def world(self, dtype: torch.dtype) -> World:
        settings = HypernetSettings(
            self.hidden, self.task_embedding, self.chunk_embedding, self.activation,
            plan=self.plan, chunk=None if self.plan == "full" else self.chunk,
        )  # fmt: skip
        plans = [make_plan(self.plan, (*self.body, 3 * o), self.chunk) for o in self.outputs]
        generator = torch.Generator().manual_seed(self.seed)
        made_of = settings, plans[0], torch.ones(plans[0].total), generator
        hypernet = Hypernetwork(*made_of, from_zero=self.from_zero)
        for plan in plans[1:]:
            hypernet.grow(plan, torch.ones(plan.total), generator)
        conditions = torch.randn(len(plans) - 1, self.task_embedding, generator=generator)
        hypernet.to(dtype)
        then, point = {}, {}
        for name, p in hypernet.named_parameters():
            noise = torch.randn(2, *p.shape, generator=generator).to(dtype)
            then[name] = p.detach() + 0.1 * noise[0]
            # Of one size and random sign, as a step of Adam is, or nearly.
            point[name] = then[name] + self.distance * (noise[1].sign() + 0.1 * noise[1])
        return hypernet, Snapshot(then, conditions.to(dtype), plans[:-1]), point


cases = st.builds(
    Case,
    hidden=st.lists(st.integers(1, 9), max_size=3).map(tuple),
    activation=st.sampled_from(list(ACTIVATIONS)),
    plan=st.sampled_from(["full", "even", "even", "layer"]),
    chunk=st.integers(1, 30),
    task_embedding=st.integers(1, 5),
    chunk_embedding=st.integers(1, 5),
    body=st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple),
    outputs=st.one_of(
        st.integers(2, 8).map(lambda tasks: (2,) * tasks),
        st.lists(st.integers(1, 9), min_size=2, max_size=8).map(tuple),
    ),
    distance=st.sampled_from([1.0, 0.1, 1e-3, 1e-4]),
    seed=st.integers(0, 10**6),
    from_zero=st.booleans(),
)


def doubled(world: World) -> World:
    """The same numbers in float64."""
    hypernet, snapshot, point = world
    then = {name: value.double() for name, value in snapshot.parameters.items()}
    return (
        copy.deepcopy(hypernet).double(),
        Snapshot(then, snapshot.conditions.double(), snapshot.plans),
        {name: value.double() for name, value in point.items()},
    )


def judge(regularizer: OutputRegularizer, point: Parameters, *rest) -> tuple[Tensor, Parameters]:
    """R and ∇R at `point`, from gradients of zero and β = 1."""
    pull = {name: torch.zeros_like(value) for name, value in point.items()}
    return regularizer(point, pull, 1.0, *rest), pull


def direct(world: World) -> tuple[Tensor, Parameters]:
    hypernet, snapshot, point = world
    return judge(DirectRegularizer(hypernet, snapshot), point)


def closed(world: World) -> tuple[Tensor, Parameters]:
    hypernet, snapshot, point = world
    return judge(ClosedFormRegularizer(hypernet, snapshot), point)


def assert_close(
    got: tuple[Tensor, Parameters], wanted: tuple[Tensor, Parameters], relative: float
) -> None:
    """Value, and each parameter's gradient by the norm of its error.

    A gradient's own norm is the measure, but at least 1 % of the whole gradient's: below that,
    what is left where units saturate or rows cancel is rounding of the rest. (The direct sum in
    float32 is then up to a thousand times further off.)
    """
    value, pull = got
    assert abs(value.double() - wanted[0]) <= relative * wanted[0]
    assert pull.keys() == wanted[1].keys()
    whole = torch.stack([g.norm() for g in wanted[1].values()]).norm()
    for name, gradient in wanted[1].items():
        error = (pull[name].double() - gradient).norm()
        measure = torch.maximum(gradient.norm(), 1e-2 * whole)
        assert error <= relative * measure, f"{name}: {error / measure:.1e}"
