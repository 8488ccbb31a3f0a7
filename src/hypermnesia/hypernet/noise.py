"""Noise as an input: any number of networks a task from one hypernetwork.

Two forms. Gaussian: h(e_t; θ) makes a mean μ and a log-variance ρ of every weight, and a network is

    W = μ + exp(ρ / 2) ε,   ε ~ N(0, I)

(Blundell et al. 2015, "Weight uncertainty in neural networks", arXiv 1505.05424; by a hypernetwork:
Henning et al. 2021, "Posterior meta-replay", arXiv 2103.01133). Implicit: W = h(e_t, z; θ) with
z ~ N(0, I) beside the embedding.

Training minimises the loss of drawn networks plus `kl` KL(q(W) || p(W)), summed over weights, with

    KL = 1/2 Σ (exp(ρ) + (μ - m)²) / v - 1 - ρ + ln v,   p = N(m, v).

m is 0 and v the variance that keeps a signal's size through a layer, or both are those of the task
before. Of the implicit form, μ and ρ are the moments of a few drawn networks.

A task answers with the mean prediction of `draws` networks, always the same: answers repeat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hypermnesia.compute import autocast
from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.conditions import TaskEmbedding
from hypermnesia.hypernet.ensemble import AllTasks, TaskGroup
from hypermnesia.hypernet.layout import Layout
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import ChunkPlan, HypernetSettings, make_plan
from hypermnesia.seeding import Generators
from hypermnesia.settings import NonNegative, Number, Positive, Width
from hypermnesia.tree import Tree, logits_of

_LOG_VARIANCE, _SIZE = -5.0, 8
_MATCHED = 8  # drawn networks whose moments stand for an implicit distribution
_SPREAD = 1e-2  # variance at the start of log-variances about theirs


@dataclass(frozen=True)
class NoiseSettings:
    """Which networks are drawn, and how far from a prior; raises `ConfigError` for misfits.

    Attributes:
        form: `gaussian`, a mean and a variance of every weight; or `implicit`, an input z.
        draws: K, networks of a task that answer together.
        kl: weight of KL(q || prior), the sum over weights, against a sample's mean loss; 1 / n for
            Bayes' rule with n samples.
        prior: `standard`, N(0, v) with the layers' usual variances v; or `before`, the distribution
            of the task before, where weights have the same shape.
        prior_scale: factor of the deviations of the standard prior.
        log_variance: of the Gaussian form, ρ - ln v at the start.
        gain: of the Gaussian form, how far ρ moves for a unit of the hypernetwork's output.
        size: of the implicit form, entries of z.
        evidence: what tells the task: `entropy` of the mean prediction, `agreement` of the drawn
            networks, or `mutual-information`.
    """

    form: Literal["gaussian", "implicit"] = "gaussian"
    draws: Width = 10
    kl: NonNegative = 1e-6
    prior: Literal["standard", "before"] = "standard"
    prior_scale: Positive = 1.0
    log_variance: Number = _LOG_VARIANCE
    gain: Positive = 1.0
    size: Width = _SIZE
    evidence: Literal["entropy", "agreement", "mutual-information"] = "entropy"

    def __post_init__(self) -> None:
        unused = ("size",) if self.form == "gaussian" else ("log_variance", "gain")
        for name in unused:
            if (given := getattr(self, name)) != getattr(NoiseSettings, name):
                rule = f"noise.{name} has no use in the {self.form} form"
                raise ConfigError(rule, got=given, hint="leave it out")


class NoisyEmbedding(TaskEmbedding):
    """A learned vector for each task, and z ~ N(0, I) beside it.

    The `context` of a call is z, (n, noise); without one it is 0, its mean.
    """

    def __init__(
        self, settings: HypernetSettings, device: torch.device, *, noise: int = _SIZE
    ) -> None:
        super().__init__(settings, device)
        self.noise, self.size = noise, self.entries + noise

    def add_task(self, generators: Generators) -> None:
        """Add an embedding, and make the stream `protected`, so that it is saved from now on."""
        super().add_task(generators)
        generators["protected"]

    def __call__(self, tasks: Sequence[int], context: Any = None) -> Float[Tensor, "n E"]:
        """Join each task's embedding and its row of z."""
        rows = super().__call__(tasks)
        z = rows.new_zeros(len(rows), self.noise) if context is None else context
        return torch.cat([rows, z], dim=1)

    def redrawn(self, rows: Float[Tensor, "n E"], generator: torch.Generator) -> Tensor:
        """Put another z, drawn for each of them, into rows of embeddings and z."""
        z = torch.randn(len(rows), self.noise, generator=generator).to(rows)
        return torch.cat([rows[:, : self.entries], z], dim=1)


Moments = tuple[Float[Tensor, " N"], Float[Tensor, " N"]]
"""Mean and log-variance of every weight."""


def divergence(posterior: Moments, prior: Moments) -> Tensor:
    """Return KL(q || p) of normal distributions, a scalar: the sum over weights, in nats."""
    (mean, log_variance), (centre, wanted) = posterior, prior
    ratio = log_variance - wanted
    squares = (mean - centre).square() / wanted.exp()
    return (ratio.exp() + squares - 1 - ratio).sum() / 2


def averaged(outputs: Tensor, dim: int, *, values: bool) -> Tensor:
    """Return the log of mean probabilities of (..., outputs) logits; of values, their mean."""
    if values:
        return outputs.mean(dim)
    return outputs.log_softmax(-1).logsumexp(dim) - math.log(outputs.shape[dim])


class RandomMemory(WeightMemory):
    """`WeightMemory` of distributions over the weights of each task; Gaussian.

    Training draws other weights at each iteration, from the stream `noise`; answers come from
    `draws` networks with noise that stays, drawn from the stream `draws` when the first task comes.
    `weights` are the means, and what the hypernetwork makes, and the output regulariser holds, is
    (μ, r) of each weight in turn, with ρ = ln v + log_variance + gain r. Raises `ConfigError` for
    a start at a model's own weights.
    """

    def __init__(
        self,
        module: nn.Module,
        settings: HypernetSettings,
        noise: NoiseSettings,
        generators: Generators,
        **own: Any,
    ) -> None:
        if own.get("start") == "pretrained":
            rule = "networks that are drawn start from scratch, not at a model's own weights"
            raise ConfigError(rule, got="start='pretrained'", hint="leave noise, or ensemble, out")
        super().__init__(module, settings, **own)
        self.noise, self.generators, self.draws = noise, generators, noise.draws
        self.seed = 0  # of the noise that stays
        self.values = False  # answers are numbers, no classes
        self.prior: Moments | None = None  # of the task in training
        self._drawn: Moments | None = None
        self._made: dict[int, Tensor] = {}

    def add_task(self, outputs: int, generators: Generators) -> None:
        """Make room for a task; the first one draws the noise that stays."""
        if not self.tasks:
            self.seed = int(torch.randint(2**62, (), generator=generators["draws"]))
        super().add_task(outputs, generators)

    def _plan(self, layout: Layout) -> ChunkPlan:
        return make_plan(self.settings.plan, [2 * n for n in layout.layers], self.settings.chunk)

    def _variances(self, layout: Layout) -> Tensor:
        of_means = layout.variances()
        return torch.stack([of_means, torch.full_like(of_means, _SPREAD)], 1).flatten()

    def moments(self, tasks: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Make (tasks, N) means and log-variances of tasks that share a layout; differentiable."""
        made = self.hypernet(self.condition(tasks), self.plans[tasks[0]])
        made = made.to(torch.promote_types(made.dtype, torch.float32))
        mean, moved = made.view(len(made), -1, 2).unbind(2)
        start = self._log_variances(self.layouts[tasks[0]]) + self.noise.log_variance
        return mean, start.to(mean) + self.noise.gain * moved

    def _log_variances(self, layout: Layout) -> Tensor:
        """(N,) ln v of the standard prior, made once for each width of a head."""
        if layout.outputs not in self._made:
            scaled = layout.variances() * self.noise.prior_scale**2
            self._made[layout.outputs] = scaled.log().to(self.device)
        return self._made[layout.outputs]

    def weights(self, task: int) -> Tensor:
        """Make the (N,) means of the weights of a task's network; differentiable."""
        return self.moments([task])[0][0]

    def networks(self, tasks: Sequence[int]) -> Tensor:
        """Make (tasks x draws, N) weights of the networks of tasks that share a layout."""
        mean, log_variance = self.moments(tasks)
        noise = self._fixed(mean.shape[1]).to(mean)
        return (mean[:, None] + (log_variance / 2).exp()[:, None] * noise).flatten(0, 1)

    def _fixed(self, size: int) -> Float[Tensor, "draws size"]:
        """Draw the noise of the networks that answer, for all tasks alike."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(self.draws, size, generator=generator)

    def _sample(self, task: int) -> tuple[Tensor, Moments]:
        """Draw (N,) weights for an iteration, and tell of which distribution."""
        (mean,), (log_variance,) = self.moments([task])
        noise = torch.randn(len(mean), generator=self.generators["noise"]).to(mean)
        return mean + (log_variance / 2).exp() * noise, (mean, log_variance)

    def run(self, task: int, x: Tree, *, training: bool) -> Any:
        """Run a task's network on `x` with newly drawn weights, or average those that answer."""
        layout, buffers = self.layouts[task], self.buffers[task]
        if not training:
            weights = self.networks([task])
            every = self.target.each(weights, x, layout, [buffers] * self.draws)
            return averaged(logits_of(every), 0, values=self.values)
        with autocast(self.precision, self.device):
            weights, self._drawn = self._sample(task)
            return self.target(weights, x, layout=layout, buffers=buffers, training=True)

    def divergence(self, task: int) -> Tensor:
        """Return KL(q || prior), a scalar, of the weights that were drawn last in training."""
        assert self._drawn is not None  # noqa: S101 - the caller's case
        posterior, self._drawn = self._drawn, None
        return divergence(posterior, self.prior or self.standard(task))

    def standard(self, task: int) -> Moments:
        """Return the standard prior of a task's weights."""
        wanted = self._log_variances(self.layouts[task])
        return torch.zeros_like(wanted), wanted

    @torch.no_grad()
    def take_prior(self, task: int) -> None:
        """Let the distribution of the task before be the prior of a task, where shapes agree."""
        if task == 0 or self.noise.prior == "standard":
            self.prior = None
            return
        before, own = self.layouts[task - 1], self.layouts[task]
        sizes = [shape.numel() for shape in before.shapes.values()]
        moments = zip(self._sample(task - 1)[1], self.standard(task), strict=True)
        joined = []
        for posterior, standard in moments:
            named = dict(zip(before.shapes, torch.split(posterior, sizes), strict=True))
            usual = torch.split(standard, [shape.numel() for shape in own.shapes.values()])
            each = zip(own.shapes.items(), usual, strict=True)
            parts = [named[n] if before.shapes.get(n) == shape else u for (n, shape), u in each]
            joined.append(torch.cat(parts))
        self.prior = joined[0], joined[1]

    def export(self, task: int) -> nn.Module:
        """Make a plain module of the networks of a task, which gives their mean prediction."""
        layout, buffers = self.layouts[task], self.buffers[task]
        with torch.no_grad():
            every = [
                self.target.plain(weights, layout=layout, buffers=buffers)
                for weights in self.networks([task])
            ]
        return MeanPrediction(every, values=self.values).cpu().eval()

    def serving(self, task: int) -> nn.Module:
        """Make the networks of a task to ask, where the memory is."""
        return self.export(task).to(self.device)

    def state_dict(self) -> dict[str, Any]:
        """Return that of `WeightMemory`, and what repeats the same draws."""
        own = {"seed": self.seed, "values": self.values, "prior": self.prior}
        return super().state_dict() | {"noise": own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Rebuild every task of `state`; raises `ValueError` if its parts do not fit each other."""
        self._made = {}
        super().load_state_dict(state)
        own = state["noise"]
        self.seed, self.values, self.prior = own["seed"], own["values"], None
        if own["prior"] is not None:
            mean, log_variance = own["prior"]
            self.prior = mean.to(self.device), log_variance.to(self.device)


class ImplicitMemory(RandomMemory):
    """`RandomMemory` with weights h(e_t, z; θ): of each task, and of z ~ N(0, I).

    `weights` are those at z = 0.
    """

    condition: NoisyEmbedding

    def _plan(self, layout: Layout) -> ChunkPlan:
        return WeightMemory._plan(self, layout)

    def _variances(self, layout: Layout) -> Tensor:
        return WeightMemory._variances(self, layout)

    def weights(self, task: int) -> Tensor:
        """Make the (N,) weights of a task's network at z = 0; differentiable."""
        return WeightMemory.weights(self, task)

    def networks(self, tasks: Sequence[int]) -> Tensor:
        """Make (tasks x draws, N) weights of the networks of tasks that share a layout."""
        noise = self._fixed(self.noise.size).to(self.device)
        return self._at([t for t in tasks for _ in noise], noise.repeat(len(tasks), 1))

    def _at(self, tasks: Sequence[int], z: Float[Tensor, "n z"]) -> Float[Tensor, "n N"]:
        rows = self.condition(tasks, z)
        return cast(Tensor, self.hypernet(rows, self.plans[tasks[0]]))

    def _sample(self, task: int) -> tuple[Tensor, Moments]:
        count = _MATCHED if self.noise.kl else 1
        z = torch.randn(count, self.noise.size, generator=self.generators["noise"])
        weights = self._at([task] * count, z.to(self.device))
        variance, mean = torch.var_mean(weights, dim=0, correction=int(count > 1))
        return weights[0], (mean, (variance + 1e-10).log())


class MeanPrediction(nn.Module):
    """Networks that answer together: the log of their mean probabilities, or their mean values."""

    def __init__(self, networks: Sequence[nn.Module], *, values: bool) -> None:
        super().__init__()
        self.networks, self.values = nn.ModuleList(networks), values

    def forward(self, *x: Any, **named: Any) -> Tensor:
        """Give (batch, outputs) for inputs as each network takes them."""
        every = [logits_of(network(*x, **named)) for network in self.networks]
        return averaged(torch.stack(every), 0, values=self.values)


class DrawnTasks(AllTasks):
    """Asks the drawn networks of every task of a `RandomMemory`, all in batched calls."""

    memory: RandomMemory

    @torch.no_grad()
    def each(self, x: Tree) -> Float[Tensor, "tasks batch draws outputs"]:
        """Run every drawn network on (batch, *sample) inputs; -inf where a task has no output."""
        return self.ask(x, self._each)

    def _each(self, group: TaskGroup, x: Tree) -> Tensor:
        every = super()._exact(group, x)
        return every.view(len(group.tasks), self.memory.draws, *every.shape[1:]).transpose(1, 2)

    def _exact(self, group: TaskGroup, x: Tree) -> Tensor:
        return averaged(self._each(group, x), 2, values=self.memory.values)
