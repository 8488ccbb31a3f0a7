"""Weights made in a buffer that is used again, and the head's gradient when its rows are asked for.

`Hypernetwork.forward` under autograd is the definition. For a head as large as the target network
it makes, and frees, six vectors of that size an update: the weights, three copies of their gradient
on its way back through the cut, and that of the head. Here weights and their gradient dY share one,
and the head's gradient dV = dYᵀ φ is a product of which a caller takes some rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hypermnesia.hypernet.network import ChunkPlan, Hypernetwork


class Generation:
    """Makes one task's weights after another, all for the same loss, and notes their gradients."""

    def __init__(self, hypernet: Hypernetwork) -> None:
        self.weight, self._hypernet = hypernet.head.weight.detach(), hypernet
        self._buffers: list[Tensor] = []
        self._used = 0
        self.found: list[tuple[Tensor, Tensor]] = []

    def begin(self) -> None:
        """Forget the last loss; its buffers are overwritten by the next."""
        self._used, self.found = 0, []

    def parts(
        self, condition: Float[Tensor, "1 E"], plan: ChunkPlan, sizes: Sequence[int]
    ) -> tuple[Tensor, ...]:
        """Make a task's flat weights, cut into parts of these sizes; differentiable once."""
        features, bias = self._hypernet.features(condition, plan.count)[0], self._hypernet.head.bias
        apply: Callable[..., tuple[Tensor, ...]] = _Parts.apply
        return apply(features, bias, self, sizes)

    def buffer(self, rows: int) -> Float[Tensor, "C D"]:
        """Return the next buffer that this loss has not used."""
        if self._used == len(self._buffers):
            self._buffers.append(self.weight.new_empty(0))
        shape = rows, len(self.weight)
        if self._buffers[self._used].shape != shape:
            self._buffers[self._used] = self.weight.new_empty(shape)
        self._used += 1
        return self._buffers[self._used - 1]

    def gradient(self, rows: slice, out: Float[Tensor, "r k"]) -> None:
        """Write rows of the head's gradient, 0 before any weights have theirs."""
        if not self.found:
            out.zero_()
        for index, (made, features) in enumerate(self.found):
            if index:
                out += made[:, rows].t().mm(features)
            else:
                torch.mm(made[:, rows].t(), features, out=out)


class _Parts(torch.autograd.Function):
    """Weights [V φ_1 + b, ..., V φ_C + b] as parts of one buffer, which then holds dY."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, bias: Tensor, of: Generation, sizes: Sequence[int]
    ) -> Any:
        made = of.buffer(len(features))
        torch.addmm(bias, features, of.weight.t(), out=made)
        ctx.save_for_backward(features)
        ctx.of, ctx.made, ctx.sizes = of, made, sizes
        ctx.set_materialize_grads(False)
        return torch.split(made.view(-1)[: sum(sizes)], list(sizes))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        # Nobody needs the weights any more: autograd's engine takes nodes that wait in the reverse
        # order of their making, and this was made before any that used the weights.
        (features,), made, total = ctx.saved_tensors, ctx.made, sum(ctx.sizes)
        flat = made.view(-1)
        for part, gradient in zip(
            torch.split(flat[:total], list(ctx.sizes)), gradients, strict=True
        ):
            part.zero_() if gradient is None else part.copy_(gradient)
        flat[total:] = 0
        ctx.of.found.append((made, features))
        return made.mm(ctx.of.weight), made.sum(0), None, None
