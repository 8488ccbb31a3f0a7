"""How far the gradients of a regulariser that draws tasks or rows are from the exact ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from benchmarks.ours import add_untrained, build_method, regularizer_of
from benchmarks.spec import Spec
from hypermnesia.regularization.output import REGULARIZERS, Parameters, Snapshot
from hypermnesia.seeding import Generators

DRAWING = ("rows", "sampled")
"""The variants that draw."""

STEP = 3e-4
"""How far each parameter lies from the snapshot, in a random direction: a few steps of Adam."""


class Errors:
    """The exact gradient at a random point, with old tasks that were never trained."""

    def __init__(self, spec: Spec) -> None:
        method = build_method(spec, "closed")
        add_untrained(method, spec.old_tasks, spec.outputs)
        memory, made = method.memory, torch.Generator().manual_seed(0)
        then = {name: p.detach() for name, p in memory.hypernet.named_parameters()}
        old = list(range(spec.old_tasks))
        snapshot = Snapshot(then, memory.condition(old).detach(), memory.plans)
        self.point = {
            n: p + STEP * torch.randn(p.shape, generator=made).sign().to(p) for n, p in then.items()
        }
        self._made_of = memory.hypernet, snapshot
        self._base = method.trainer.regularizer
        self.exact = self._gradient(spec, "closed", 1)[0]

    def _gradient(self, spec: Spec, kind: str, count: int) -> list[Parameters]:
        settings, found = regularizer_of(spec, kind, self._base), []
        regularizer = REGULARIZERS[settings.kind](*self._made_of, settings, Generators(0))
        for _ in range(count):
            found.append({name: torch.zeros_like(p) for name, p in self.point.items()})
            regularizer(self.point, found[-1], 1.0)
        return found

    def of(self, spec: Spec, count: int) -> tuple[float, float]:
        """Root mean square, over draws, of the relative error: the head's, other parameters'."""
        drawn = self._gradient(spec, spec.variant, count)
        return self._relative(drawn, head=True), self._relative(drawn, head=False)

    def _relative(self, drawn: Sequence[Parameters], *, head: bool) -> float:
        names = [name for name in self.exact if name.startswith("head.") == head]

        def squares(gradient: Parameters) -> Tensor:
            return torch.stack([gradient[name].square().sum() for name in names]).sum()

        errors = [squares({n: g[n] - self.exact[n] for n in names}) for g in drawn]
        return float((torch.stack(errors).mean() / squares(self.exact)).sqrt())


def error_lines(specs: Sequence[Spec], count: int) -> Iterator[str]:
    """A line for each variant that draws, at each number of old tasks."""
    drawing = [spec for spec in specs if spec.variant in DRAWING and spec.old_tasks]
    for old_tasks, some in groupby(drawing, lambda spec: spec.old_tasks):
        errors = None
        for spec in some:
            errors = errors or Errors(spec)
            head, others = errors.of(spec, count)
            yield (
                f"{spec.variant}, {old_tasks} old tasks: error of the gradient {100 * head:.2f} % "
                f"in the head, {100 * others:.2f} % in other parameters ({count} draws)"
            )
