"""`entropy`: the network that is most certain of a sample answers it.

task = argmin_t H(softmax(f(x; h(e_t; θ)) / τ)), von Oswald et al. 2020 (arXiv 1906.00695), section
2, "task inference through predictive uncertainty"; or the largest -dH/dα_t of a mixture Σ α_t W_t
of all weights, Wortsman et al. 2020, "Supermasks in superposition" (arXiv 2006.14769), section 3.2,
there on masks, here on generated weights.

An entropy of k classes is at most log k. Where tasks have different numbers of them, its share of
that is compared: H log K / log k, with the largest number K. One class has no entropy.

A network may be sure of what it never saw. With outliers it also learns, of a part of each
mini-batch made into something that no task before or after has given, to hold all K classes for
equally likely: outlier exposure (Hendrycks et al. 2019, arXiv 1812.04606),

    L + w a mean_x̃ (log K + KL(1/K || softmax f(x̃))),   a = max(0, 1 - L / log K)

on inputs x̃ whose entries or pixels are shuffled, each in an order of its own; a, which takes no
gradient, is how far the task is learned, as with a = 1 networks are long unsure of everything. Such
inputs are what permuted tasks have to each other: there this is knowledge of the benchmark, though
of no other task's data.

With a screen all networks answer in a cheaper number format first, and those that may be the most
certain once more. How far first answers are off is measured in every call, on a few of its samples.
An answer changes only where the errors of two networks, or of two logits, are several times as
large, and against each other. `python -m benchmarks.inference --screen bf16` prints the errors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import jvp, vmap

from hypermnesia import tree
from hypermnesia.compute import Screen
from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.evidence import Evidence
from hypermnesia.hypernet.ensemble import AllTasks, TaskGroup
from hypermnesia.hypernet.target import Buffers
from hypermnesia.seeding import Generators
from hypermnesia.settings import Flag, Positive
from hypermnesia.state_files import State
from hypermnesia.tree import Tree, logits_of

_WEIGHT = 0.5


@dataclass(frozen=True)
class EntropySettings:
    """How the surest network is found; raises `ConfigError` for settings that do not fit.

    Attributes:
        criterion: `entropy`, that of each task's network; or `entropy-gradient`, how fast that of
            their mixture falls as a task's share in it grows: without calibration and screen.
        temperature: divides the logits; above 1 it distinguishes networks that are all but certain.
            With two outputs it changes no choice but between networks so certain that both have an
            entropy of 0 in float32.
        calibrated: measure each network's logits in terms of the `spread` that they have on
            training samples of the class that it would answer.
        screen: number format in which all networks answer first; the few that may be the most
            certain answer once more in float32. Faster; `in_doubt` says why task and class are
            those of float32, other logits stay the first ones. None: float32 at once.
        outliers: what networks learn to be unsure of: `shuffled`, the task's own inputs with pixels
            (entries, of flat ones) in random orders; None for nothing. They switch units off for
            what they do not know: start new embeddings at `normal`, as units of the network that
            the `mean` of the others makes may all be off, and stay so.
        outlier_weight: w, of their loss.
    """

    criterion: Literal["entropy", "entropy-gradient"] = "entropy"
    temperature: Positive = 1.0
    calibrated: Flag = False
    screen: Screen | None = None
    outliers: Literal["shuffled"] | None = None
    outlier_weight: Positive = _WEIGHT

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError("inference.temperature must be above zero", got=self.temperature)
        for name, unset in (("calibrated", False), ("screen", None)):
            if getattr(self, name) != unset and self.criterion != "entropy":
                rule = f"inference.{name} is for inference.criterion=entropy"
                hint = f"set inference.{name}={json.dumps(unset)}"
                raise ConfigError(rule, got=self.criterion, hint=hint)
        if self.outliers is None and self.outlier_weight != _WEIGHT:
            rule = "inference.outlier_weight has no use without inference.outliers"
            raise ConfigError(rule, got=self.outlier_weight, hint="leave it out")


_DEFAULT = EntropySettings()


def check_outputs(spec: TaskSpec) -> None:
    """Raise `ConfigError` for a task of a single class."""
    if spec.outputs < 2:
        rule = "an entropy tells tasks apart by their classes, of which each needs two or more"
        hint = "infer tasks by likelihood (hnet-lik), or name the task (hnet)"
        raise ConfigError(rule, got="a task with one class", hint=hint)


def check_targets(batch: Batch) -> None:
    """Raise `ConfigError` for targets that are not classes."""
    if batch.y.is_floating_point():
        hint = "use hnet-lik, or hnet and name the task"
        raise ConfigError("an entropy needs classes", got="other targets", hint=hint)


class Entropy(Evidence):
    """The network that is most certain of a sample answers it: `hnet-ent`."""

    from_samples = True

    def __init__(self, networks: AllTasks, *, inference: EntropySettings = _DEFAULT) -> None:
        self.networks, self.memory, self.settings = networks, networks.memory, inference
        self.makes_outliers = inference.outliers is not None
        self.spreads: list[Tensor] = []
        self.task = 0

    def begin_task(self, spec: TaskSpec) -> None:
        """Note the task; raises `ConfigError` for a single class, or where networks mix widths."""
        check_outputs(spec)
        mixed, layouts = self.settings.criterion == "entropy-gradient", self.memory.layouts
        if mixed and layouts and spec.outputs != layouts[0].outputs:
            rule = "inference.criterion=entropy-gradient mixes networks with heads of one width"
            got = f"{layouts[0].outputs} and {spec.outputs} outputs"
            raise ConfigError(rule, got=got, hint="use inference.criterion=entropy")
        self.task = len(layouts)

    def continue_task(self, task: int, spec: TaskSpec) -> None:  # noqa: ARG002
        """Note the task."""
        self.task = task

    def extend_task(self, task: int, spec: TaskSpec) -> None:
        """Note the task; raises `ConfigError` where networks of several widths cannot be mixed."""
        if self.settings.criterion == "entropy-gradient":
            rule = "inference.criterion=entropy-gradient mixes networks with heads of one width"
            raise ConfigError(rule, got="further classes", hint="use inference.criterion=entropy")
        self.continue_task(task, spec)

    def update(self, batch: Batch) -> Mapping[str, Tensor]:
        """Nothing is learned; raises `ConfigError` for targets that are not classes."""
        check_targets(batch)
        return {}

    def outliers(self, x: Tree, generators: Generators) -> tuple[Tensor, float] | None:
        """Half as many inputs as `x` has, shuffled, and the weight of their loss; None for none.

        Drawn from the stream `outliers`. Raises `ConfigError` for inputs that cannot be shuffled.
        """
        if self.settings.outliers is None:
            return None
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2:
            rule, hint = "inputs to shuffle must be one tensor of real numbers", "leave it out"
            raise ConfigError(rule, got=f"inference.outliers={self.settings.outliers}", hint=hint)
        half = x[: max(1, len(x) // 2)]
        return shuffled(half, generators["outliers"]), self.settings.outlier_weight

    @torch.no_grad()
    def end_task(self, batches: Iterable[Batch]) -> None:
        """Keep the spread of the logits on each class, where they are calibrated by it."""
        if self.settings.calibrated:
            run = partial(self.memory.run, self.task, training=False)
            seen = [(logits_of(run(b.x)), b.y) for b in batches]
            logits, labels = (torch.cat(each) for each in zip(*seen, strict=True))
            before = self.spreads[self.task] if self.task < len(self.spreads) else None
            if before is not None:  # a class that the task has gained is new
                later = before.mean().expand(logits.shape[1] - len(before))
                before = torch.cat([before, later])
            self.spreads[self.task : self.task + 1] = [mean_spreads(logits, labels, before)]

    def remove_task(self, task: int) -> None:
        """Drop the task's spreads, if any."""
        del self.spreads[task : task + 1]

    def merge(self, other: Any) -> None:
        """Take over the spreads of another's tasks."""
        self.spreads += [own.to(self.memory.device) for own in other.spreads]

    def logits(self, x: Tree) -> Tensor | None:
        """(tasks, batch, widest head): a first answer, exact where a screen leaves a doubt."""
        if self.settings.screen is None:
            return None
        logits = self.networks.screened(x)
        some = probes(logits.shape[1], logits.device)
        error = rough_error(logits[:, some], self.networks(tree.index(x, some)))
        best, other_units = logits.argmax(dim=2, keepdim=True), None
        if self.spreads:
            second = logits.scatter(2, best, -torch.inf).argmax(dim=2, keepdim=True)
            other_units = self._units(second, logits)
        units = self._units(best, logits)
        doubtful = in_doubt(logits, error, units, other_units, self._scales(logits))
        self.networks.settle(x, logits, doubtful)
        return logits

    def log_evidence(self, x: Tree, logits: Tensor) -> Tensor:
        """(tasks, batch): the negative entropy, or how steeply the mixture's falls."""
        if self.settings.criterion == "entropy-gradient":
            return -self.slopes(x)
        units = self._units(logits.argmax(dim=2, keepdim=True), logits)
        return -entropy(logits / units) * self._scales(logits)

    def _scales(self, logits: Tensor) -> Tensor:
        """(tasks, 1) of an entropy that is compared: 1 for tasks with as many classes as any."""
        classes = logits.new_tensor([max(2, each.outputs) for each in self.memory.layouts])
        return (classes.max().log() / classes.log())[:, None]

    def _units(self, classes: Tensor, logits: Tensor) -> Tensor:
        """What is compared is logits over these, for networks that answer `classes`."""
        temperature = logits.new_full((1, 1, 1), self.settings.temperature)
        if not self.spreads:
            return temperature
        return temperature * spreads_of(classes, self.spreads, logits.shape[2])

    def slopes(self, x: Tree) -> Float[Tensor, "tasks batch"]:
        """dH/dα_t of (batch, *sample) inputs, where every task has the same share α_t."""
        target, groups = self.memory.target, self.networks.groups
        mixture = torch.stack([g.weights.sum(dim=0) for g in groups]).sum(dim=0)
        mixture /= self.memory.tasks
        buffers = _mean(self.memory.buffers)

        def slopes(group: TaskGroup, some: Tree) -> Tensor:
            own: dict[str, Any] = {"layout": group.layout, "buffers": buffers, "training": False}

            def logits(weights: Tensor) -> Tensor:
                return logits_of(target(weights, some, **own))

            return entropy_slopes(logits, mixture, group.weights, self.settings.temperature)

        return self.networks.ask(x, slopes)

    def module(self) -> nn.Module:
        """The same as a module; raises `ConfigError` for slopes, which need the weights."""
        return super().module() if self.settings.criterion == "entropy-gradient" else _Module(self)

    @property
    def kept(self) -> int:
        """A spread for each class, if any."""
        return sum(map(len, self.spreads))

    def state_dict(self) -> State:
        """The spreads, and which task is in training."""
        return {"spreads": self.spreads, "task": self.task}

    def load_state_dict(self, state: State) -> None:
        """Put an evidence where `state_dict` found the other."""
        self.spreads = [spreads.to(self.memory.device) for spreads in state["spreads"]]
        self.task = state["task"]


def shuffled(x: Float[Tensor, "n ..."], generator: torch.Generator) -> Tensor:
    """Put the pixels of (n, channels, ...) inputs, or entries of flat ones, in random orders."""
    flat = x.flatten(2) if x.ndim > 2 else x[:, None]
    orders = torch.rand(len(x), 1, flat.shape[2], generator=generator).argsort(dim=2)
    return flat.gather(2, orders.to(x.device).expand_as(flat)).view_as(x)


def unsureness(logits: Float[Tensor, "n outputs"]) -> Tensor:
    """Mean cross-entropy of equally likely classes and the softmax, a scalar; log K at least."""
    return -logits.log_softmax(dim=1).mean()


@torch.no_grad()
def learned_share(logits: Float[Tensor, "n outputs"], y: Int[Tensor, " n"]) -> Tensor:
    """How far the cross-entropy is below log K, as a share of it; a scalar, 0 where it is not."""
    return (1 - F.cross_entropy(logits, y) / math.log(logits.shape[1])).clamp(min=0)


class _Module(nn.Module):
    """Entropies, as long as nothing of `evidence` changes."""

    def __init__(self, evidence: Entropy) -> None:
        super().__init__()
        self._log_evidence = evidence.log_evidence

    def forward(self, x: Tensor, logits: Tensor) -> Tensor:
        return self._log_evidence(x, logits)


def _mean(buffers: list[Buffers]) -> Buffers:
    """The mean of all tasks' buffers, which the mixed network uses; each keeps its type."""
    stacked = {name: torch.stack([each[name] for each in buffers]) for name in buffers[0]}
    return {name: s.double().mean(dim=0).to(s.dtype) for name, s in stacked.items()}


def entropy(logits: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch"]:
    """Entropy, in nats, of the softmax of `logits`; a column of -inf counts for nothing.

    From the log-softmax, so that certainty (p = 0 elsewhere) gives 0 and finite gradients.
    """
    log_p = logits.movedim(-1, 0).log_softmax(dim=0)  # torch is slow along a short last axis
    p = log_p.exp()
    return -(p * log_p.masked_fill(p == 0, 0.0)).sum(dim=0)


def spread(logits: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch"]:
    """How far the largest logit is above the mean of all; a column of -inf counts for nothing."""
    known = logits.masked_fill(logits == -torch.inf, torch.nan)
    return logits.amax(dim=-1) - known.nanmean(dim=-1)


def mean_spreads(
    logits: Float[Tensor, "batch outputs"],
    labels: Int[Tensor, " batch"],
    before: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, " outputs"]:
    """The mean `spread` of each class's samples; without any, that of `before`, or of all."""
    spreads = spread(logits)
    of_class = torch.zeros_like(logits[0]).index_add(0, labels, spreads)
    counts = torch.bincount(labels, minlength=logits.shape[1])
    other = spreads.mean() if before is None else before
    means = torch.where(counts > 0, of_class / counts.clamp(min=1), other)
    return means.clamp(min=torch.finfo(means.dtype).tiny)  # who divides by it may


def spreads_of(
    classes: Int[Tensor, "tasks batch 1"], spreads: Sequence[Float[Tensor, " own"]], outputs: int
) -> Float[Tensor, "tasks batch 1"]:
    """The mean spread of the classes that the networks answer; 1 for a task that has none yet."""
    table = spreads[0].new_ones(len(classes), outputs)
    for task, own in enumerate(spreads):
        table[task, : len(own)] = own
    return table.gather(1, classes.squeeze(2)).unsqueeze(2)


def entropy_slopes(
    network: Callable[[Tensor], Tensor],
    mixture: Float[Tensor, " N"],
    weights: Float[Tensor, "tasks N"],
    temperature: float = 1.0,
) -> Float[Tensor, "tasks batch"]:
    """dH/dα_t of every sample, for the network whose weights are Σ α_t W_t.

    `network` maps (N,) weights to (batch, outputs) logits. The derivative along W_t is a
    forward-mode product: a row of them gives it for all samples and tasks at once, where a gradient
    would have to be taken for each sample. The lowest belongs to the task whose greater share would
    make the network surest.
    """

    def uncertainty(mixed: Tensor) -> Tensor:
        return entropy(network(mixed) / temperature)

    def slope(direction: Tensor) -> Tensor:
        return cast(Tensor, jvp(uncertainty, (mixture,), (direction,))[1])

    return vmap(slope)(weights)


PROBES = 16  #: samples of a call that are also answered exactly; 160 logits of ten outputs
_MARGIN = 5.0  # root mean square errors that a logit may be off


def probes(samples: int, device: torch.device) -> Int[Tensor, " probes"]:
    """Numbers of the samples to answer exactly, from the first to the last; all, where few."""
    return torch.linspace(0, samples - 1, min(PROBES, samples), device=device).long()


def rough_error(
    rough: Float[Tensor, "tasks batch outputs"], exact: Float[Tensor, "tasks batch outputs"]
) -> Float[Tensor, ""]:
    """Root mean square error of `rough` logits, as a share of the sample's widest `spread`."""
    errors = (rough - exact) / _widest(exact)[:, None]
    return errors.square().nanmean().sqrt()  # no number beyond a network's outputs


def in_doubt(
    logits: Float[Tensor, "tasks batch outputs"],
    error: Float[Tensor, ""],
    units: Float[Tensor, "#tasks #batch 1"],
    other_units: Float[Tensor, "tasks batch 1"] | None = None,
    scales: Float[Tensor, "tasks 1"] | float = 1.0,
) -> Bool[Tensor, "tasks batch"]:
    """Which networks' answers must be exact for the surest, and its class, to be the right one.

    Logits are taken to be off by up to five times the `rough_error`. To first order, an
    entropy is then off by Σ |∂H/∂s_i| = Σ p_i |ln p_i + H| times as much. Doubtful are the networks
    that may have the lowest one; a single such network only if its two likeliest classes may change
    places. `units` divide the logits for the entropy, `other_units` if these two change places; it
    is compared times `scales`.
    """
    off = _MARGIN * error * _widest(logits)
    best, which = logits.max(dim=2)
    tied = best - logits.scatter(2, which[:, :, None], -torch.inf).amax(dim=2) <= 2 * off
    low, high = _entropy_range(logits, off, units)
    if other_units is not None:
        other_low, other_high = _entropy_range(logits, off, other_units)
        low = torch.where(tied, torch.minimum(low, other_low), low)
        high = torch.where(tied, torch.maximum(high, other_high), high)
    near = scales * low <= (scales * high).amin(dim=0)
    return near & ((near.sum(dim=0) > 1) | tied)


def _widest(logits: Tensor) -> Tensor:
    """(batch,) the largest spread that any network's logits have."""
    return spread(logits).amax(dim=0).clamp(min=torch.finfo(logits.dtype).tiny)


def _entropy_range(logits: Tensor, off: Tensor, units: Tensor) -> tuple[Tensor, Tensor]:
    """(tasks, batch) lowest and highest entropy of logits / units, each logit `off` by so much."""
    log_p = (logits / units).movedim(2, 0).log_softmax(dim=0)
    p, log_p = log_p.exp(), log_p.masked_fill(log_p == -torch.inf, 0.0)
    uncertain = -(p * log_p).sum(dim=0)
    moved = off / units.squeeze(2) * (p * (log_p + uncertain)).abs().sum(dim=0)
    return uncertain - moved, uncertain + moved
