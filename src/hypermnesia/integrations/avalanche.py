"""Avalanche: our methods on its benchmarks and metrics, and our benchmarks as its own.

Carta et al., "Avalanche: a PyTorch library for deep continual learning", JMLR 2023; package
`avalanche-lib` (extra `avalanche`), which needs a torchvision that fits the installed torch::

    strategy = avalanche_strategy(network, "hnet", train_mb_size=128, train_epochs=4)
    for experience in benchmark.train_stream:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.compute import device_of
from hypermnesia.data.benchmarks import BenchmarkSettings, make_tasks
from hypermnesia.data.scenarios import ScenarioName, scenario_name
from hypermnesia.data.types import Batch, Part, TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.methods import METHODS, Method, build_method
from hypermnesia.seeding import Generators

FLOOR = -1e4
"""How far below a sample's least logit those classes are that its network does not know."""


def avalanche_strategy(
    network: nn.Module,
    method: str = "hnet",
    scenario: str = "task",
    settings: Mapping[str, object] | None = None,
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
    **options: Any,
) -> Any:
    """Return a strategy of Avalanche that trains a method.

    Its plugins, metrics and loggers work as with any other; gradients are the method's own affair,
    so that plugins which change them, or the loss, do nothing. `strategy.taught.method` is the
    method, from the first experience on.

    Args:
        network: template of the target network, for (batch, *sample) inputs.
        method: name of the method; see `hypermnesia list methods`.
        scenario: `task` (the benchmark gives task labels), `class`, or `domain` where all
            experiences have the same classes.
        settings: sections of settings by name, such as `{"hypernet": HypernetSettings(...)}`;
            defaults otherwise.
        seed: of everything that the method draws; Avalanche shuffles with torch's own generator.
        device: where to train; a GPU if there is one.
        options: of Avalanche's `SupervisedTemplate`: train_mb_size, train_epochs, eval_mb_size,
            plugins, evaluator, eval_every.

    Raises:
        ConfigError: Avalanche cannot be imported, or the method cannot do the scenario.
    """
    taught = Taught(network, method, scenario, settings or {}, seed, device_of(device))
    return _strategy_class()(taught, **options)


def avalanche_benchmark(
    name: str, scenario: str = "task", *, seed: int = 0, settings: BenchmarkSettings | None = None
) -> Any:
    """Return a benchmark of ours as a scenario of Avalanche, with a train and a test stream.

    Samples are made as they are asked for: a permuted data set is stored once. Classes are counted
    over all tasks, in the domain scenario within each; in the task scenario samples carry the
    number of their task.

    Args:
        name: of the benchmark; see `hypermnesia list benchmarks`.
        scenario: `task`, `domain` or `class`.
        seed: of permutations and the like, as that of a run.
        settings: number of tasks, folder of data and others; defaults otherwise.

    Raises:
        ConfigError: Avalanche cannot be imported; an unknown name or a setting without use.
        DataError: data that are missing or damaged.
    """
    chosen = scenario_name(scenario)
    _check()
    tasks = make_tasks(name, settings or BenchmarkSettings(), seed)
    firsts = [
        0 if chosen == "domain" else sum(t.outputs for t in tasks[:n]) for n in range(len(tasks))
    ]
    return _scenario(
        [PartDataset(task.train, first) for task, first in zip(tasks, firsts, strict=True)],
        [PartDataset(task.test, first) for task, first in zip(tasks, firsts, strict=True)],
        labelled=chosen == "task",
    )


class PartDataset(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """The samples of a part one by one, as (input, class), classes counted from `first`."""

    def __init__(self, part: Part, first: int) -> None:
        self.part, self.targets = part, (part.y + first).tolist()

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One of them."""
        return self.part.batch(torch.tensor([index])).x[0], self.targets[index]


class Taught:
    """A method that learns experiences: Avalanche's classes and task labels in, and out again.

    Raises `ConfigError` for a method that cannot do the scenario.
    """

    def __init__(
        self,
        network: nn.Module,
        method: str,
        scenario: str,
        settings: Mapping[str, object],
        seed: int,
        device: torch.device,
    ) -> None:
        self.network, self.name, self.settings = network, method, settings
        self.scenario: ScenarioName = scenario_name(scenario)
        self.generators, self.device = Generators(seed), device
        entry = METHODS[method]
        if self.scenario not in entry.scenarios:
            rule = f"the method {method} works in the scenarios {', '.join(entry.scenarios)}"
            raise ConfigError(rule, got=f"'{self.scenario}'", hint="choose another method")
        self.method: Method | None = None
        self.classes: list[Tensor] = []  # of each task, ascending
        self.labels: list[int] = []  # Avalanche's label of each task

    def begin(
        self, label: int, classes: Iterable[int], iterations: int, sample_shape: Sequence[int]
    ) -> None:
        """Begin to learn a new task; raises `ConfigError` for classes that do not fit."""
        found = sorted(classes)
        known = {int(each) for own in self.classes for each in own}
        if self.scenario == "task" and label in self.labels:
            rule = "in the task scenario every experience must have a task label of its own"
            hint = "make the benchmark with task labels, or choose scenario='class' or 'domain'"
            raise ConfigError(rule, got=f"{label} again", hint=hint)
        if self.scenario == "class" and known & set(found):
            rule = "in the class scenario every class must belong to one experience"
            hint = "choose scenario='domain' where all have the same classes"
            raise ConfigError(rule, got=f"class {min(known & set(found))} again", hint=hint)
        if self.scenario == "domain" and self.classes and found != self.classes[0].tolist():
            rule = "in the domain scenario all experiences must have the same classes"
            raise ConfigError(rule, got=f"{found}", hint="choose scenario='class' or 'task'")
        if self.method is None:
            trained: ScenarioName = (
                "task" if METHODS[self.name].trained == "once" else self.scenario
            )
            self.method = build_method(
                self.name,
                self.network,
                trained,
                self.settings,
                generators=self.generators,
                device=self.device,
                sample_shape=tuple(sample_shape),
            )
            if self.method.trains_on == "all":
                rule = "the method must learn one experience after another"
                raise ConfigError(rule, got=f"'{self.name}', which learns all at once")
        self.classes.append(torch.tensor(found, device=self.device))
        self.labels.append(label)
        self.method.begin_task(TaskSpec(len(found), iterations))

    def batch(self, x: Tensor, y: Tensor) -> Batch:
        """(batch, *sample) inputs and (batch,) classes as a mini-batch of the newest task."""
        x, y = x.to(self.device), y.to(self.device)
        places = torch.searchsorted(self.classes[-1], y)
        return Batch(x, places, torch.full_like(places, len(self.classes) - 1))

    def update(self, x: Tensor, y: Tensor) -> Tensor:
        """Take one training step; the loss, a scalar."""
        assert self.method is not None  # noqa: S101 - a task has begun
        return self.method.update(self.batch(x, y))["loss"].detach()

    def end(self, batches: Iterable[Batch]) -> None:
        """End the newest task, of which these are all samples."""
        assert self.method is not None  # noqa: S101 - a task has begun
        self.method.end_task(batches)

    @torch.no_grad()
    def logits(self, x: Tensor, labels: Tensor | None, width: int) -> Tensor:
        """(batch, width or more) logits by class; `labels` are the (batch,) task labels.

        Classes that are not answered have a finite logit, by -`FLOOR` below all others. Raises
        `ConfigError` for samples without task labels in the task scenario.
        """
        x = x.to(self.device)
        highest = max((int(own[-1]) for own in self.classes), default=0)
        shape, nothing = (len(x), max(width, highest + 1)), -torch.inf
        placed = torch.full(shape, nothing, dtype=torch.float64, device=self.device)
        if self.method is None:
            return _finite(placed)
        if self.scenario != "task":
            found = self.method.predict(x, None, self.scenario).logits
            own = self.classes[:1] if self.scenario == "domain" else self.classes
            placed[:, torch.cat(own)] = found.to(placed.dtype)
            return _finite(placed)
        if labels is None:
            rule = "in the task scenario the benchmark must give task labels"
            raise ConfigError(rule, hint="make it with return_task_id=True")
        for label in set(labels.tolist()):
            if label in self.labels:
                task = self.labels.index(label)
                rows = (labels.to(self.device) == label).nonzero().squeeze(1)
                found = self.method.predict(x[rows], task, "task").logits
                placed[rows[:, None], self.classes[task]] = found.to(placed.dtype)
        return _finite(placed)


def _finite(logits: Tensor) -> Tensor:
    """(batch, classes) logits whose -inf, of what is not known, are finite and below the others."""
    known = logits.isfinite()
    least = logits.where(known, torch.inf).amin(dim=1, keepdim=True)
    floor = least.where(least.isfinite(), 0.0).clamp(max=0.0) + FLOOR
    return logits.where(known, floor).to(torch.get_default_dtype())


def _check() -> None:
    """Raise `ConfigError` unless Avalanche can be imported."""
    try:
        import avalanche.training.templates  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except (
        ImportError,
        RuntimeError,
    ) as error:  # torchvision raises the latter beside another torch
        rule = "this needs the package avalanche-lib, and a torchvision that fits torch"
        got = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(rule, got=got, hint="pip install 'hypermnesia[avalanche]'") from error


def _scenario(train: Sequence[PartDataset], test: Sequence[PartDataset], *, labelled: bool) -> Any:
    from avalanche.benchmarks import (  # type: ignore[import-not-found, unused-ignore]
        benchmark_from_datasets,
        task_incremental_benchmark,
        with_classes_timeline,
    )
    from avalanche.benchmarks.utils import (  # type: ignore[import-not-found, unused-ignore]
        AvalancheDataset,
        DataAttribute,
    )

    def streams(parts: Sequence[PartDataset]) -> list[Any]:
        named = [[DataAttribute(part.targets, "targets")] for part in parts]
        return [AvalancheDataset([p], data_attributes=n) for p, n in zip(parts, named, strict=True)]

    made = with_classes_timeline(benchmark_from_datasets(train=streams(train), test=streams(test)))
    return task_incremental_benchmark(made) if labelled else made


@cache
def _strategy_class() -> Any:
    """The class, which exists only where Avalanche does."""
    _check()
    from avalanche.training.templates import (  # type: ignore[import-not-found, unused-ignore]
        SupervisedTemplate,
    )

    class HypermnesiaStrategy(SupervisedTemplate):  # type: ignore[misc, unused-ignore]
        """Trains a method of Hypermnesia; see `avalanche_strategy`."""

        def __init__(self, taught: Taught, **options: Any) -> None:
            self.taught = taught
            self._output: Tensor | None = None
            model = taught.network
            unused = torch.optim.SGD(model.parameters(), lr=0.0)  # the method has its own
            super().__init__(model=model, optimizer=unused, device=taught.device, **options)

        @property
        def mb_output(self) -> Tensor | None:
            """Logits of the mini-batch; in training computed only for a metric that asks."""
            if self._output is None and self.mbatch is not None:
                self._output = self.forward()
            return self._output

        @mb_output.setter
        def mb_output(self, value: Tensor | None) -> None:
            self._output = value

        def make_optimizer(self, **_: Any) -> None:
            """Keep what there is."""

        def model_adaptation(self, model: nn.Module | None = None) -> nn.Module:
            """Keep the template as it is."""
            return self.model if model is None else model

        def _before_training_exp(self, **kwargs: Any) -> None:
            super()._before_training_exp(**kwargs)
            data, iterations = self.experience.dataset, self.train_epochs * len(self.dataloader)
            shape = data[0][0].shape
            label = getattr(self.experience, "task_labels", [0])[0]
            self.taught.begin(label, data.targets.uniques, iterations, shape)

        def training_epoch(self, **kwargs: Any) -> None:
            """Take an update a mini-batch."""
            for batch in self.dataloader:
                if self._stop_training:
                    break
                self.mbatch = batch
                self._unpack_minibatch()
                self._before_training_iteration(**kwargs)
                self._before_forward(**kwargs)
                self.mb_output = None
                self.loss = self.taught.update(self.mb_x, self.mb_y)
                self._after_forward(**kwargs)
                self._after_training_iteration(**kwargs)

        def _after_training_exp(self, **kwargs: Any) -> None:
            batches = (self.taught.batch(each[0], each[1]) for each in self.dataloader)
            self.taught.end(batches)
            super()._after_training_exp(**kwargs)

        def forward(self) -> Tensor:
            """(batch, classes) logits."""
            labels = self.mb_task_id if len(self.mbatch) > 2 else None
            return self.taught.logits(self.mb_x, labels, int(self.mb_y.max()) + 1)

    return HypermnesiaStrategy
