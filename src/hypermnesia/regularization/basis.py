"""The best linear hypernetwork for given weights, in closed form.

h(e) = V tanh(e) makes all N weights at once. Of all V and e with k entries, those of a truncated
singular value decomposition of the (tasks, N) weights have the least squared error (Eckart and
Young 1936): a basis that all tasks share, as that of Compress-then-Serve (arXiv 2407.00066).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.memory import WeightMemory

_FARTHEST = 0.9  # what tanh(e) of an entry reaches


@torch.no_grad()
def fit_basis(
    memory: WeightMemory,
    wanted: Sequence[Float[Tensor, " N"]],
    importance: Mapping[str, Tensor] | None = None,
) -> None:
    """Set θ and the embeddings of all tasks of a linear hypernetwork to make weights best.

    The squared error of a parameter, by name, may count as much as its `importance` says, of its
    shape or one that broadcasts to it. Weights that not all tasks have, as of wider heads, are
    solved for behind the others.

    Raises:
        ConfigError: the hypernetwork has hidden layers or chunks.
    """
    hypernet, common = memory.hypernet, min(map(len, wanted))
    if hypernet.hidden or not hypernet.from_zero or hypernet.chunk_inputs() is not None:
        rule = "a basis is of a linear hypernetwork that makes all weights at once"
        raise ConfigError(rule, got="hidden layers, or chunks", hint="set plan=full, hidden=()")
    rows = torch.stack([each[:common] for each in wanted]).double()
    if importance:
        layout = min(memory.layouts, key=lambda each: each.total)
        shapes = [(importance.get(name), shape) for name, shape in layout.shapes.items()]
        ones = rows.new_ones(())
        counts = [(ones if own is None else own).to(rows).expand(shape) for own, shape in shapes]
        rows = rows * torch.cat([each.flatten() for each in counts]).sqrt()
    values, left = torch.linalg.eigh(rows @ rows.T)  # (tasks, tasks): fewer than weights
    rank = min(hypernet.head.in_features, len(wanted))
    best = left[:, -rank:] * values[-rank:].clamp(min=0).sqrt()
    shares = best / best.abs().amax(dim=0).clamp(min=1e-30) * _FARTHEST  # (tasks, rank)
    head = hypernet.head.weight.new_zeros(hypernet.head.weight.shape).double()
    ends = [common, *sorted({len(each) for each in wanted} - {common})]
    for start, end in zip([0, *ends], ends, strict=False):
        own = [task for task, each in enumerate(wanted) if len(each) >= end]
        to = torch.stack([wanted[task][start:end] for task in own]).double()
        head[start:end, :rank] = torch.linalg.lstsq(shares[own], to, driver="gelsd").solution.T
    hypernet.head.weight.copy_(head)
    for task, share in enumerate(shares):
        (embedding,) = memory.condition.parameters(task)
        embedding.zero_()
        embedding.view(-1)[:rank] = share.atanh()
