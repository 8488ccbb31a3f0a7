"""All that a learner has learned, which a fit replaces as a whole or not at all."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.data.stream import BatchStream, each_once
from hypermnesia.errors import ConfigError, DataError, RunError
from hypermnesia.learner.building import method_entry, method_of, model_sizes
from hypermnesia.learner.checks import check_network
from hypermnesia.learner.design import Design, LearnerSettings, autoencoder_design
from hypermnesia.learner.inputs import Source, SourceSamples, divided, slices
from hypermnesia.learner.targets import Targets, problem_of, targets_of
from hypermnesia.methods import TaskSpec
from hypermnesia.nets import with_columns
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.training.observers import EarlyStopping, NotFiniteError
from hypermnesia.training.phases import Phase

Data = tuple[Source, Any]
"""Inputs, and their targets as the user gave them."""


@dataclass(frozen=True)
class TaskRecord:
    """What is known of a task besides its weights.

    Attributes:
        name: what the user calls it.
        targets: what its outputs stand for.
        samples: number learned from, over all fits.
        updates: number taken, over all fits.
    """

    name: str | int
    targets: Targets
    samples: int = 0
    updates: int = 0


@dataclass(frozen=True)
class Fit:
    """A task that is being learned.

    Attributes:
        task: its index.
        phase: the updates to take.
        samples: to learn from.
        stream: their mini-batches.
        stopping: ends the updates early; None without held-out samples.
    """

    task: int
    phase: Phase
    samples: SourceSamples
    stream: BatchStream
    stopping: EarlyStopping | None


class Knowledge:
    """A method, its random numbers, and records of the tasks that it knows.

    Args:
        model: template of the target networks, left unchanged.
        settings: the user's choices.
        design: what the first task settled.
        device: where everything lives.
    """

    def __init__(
        self, model: nn.Module, settings: LearnerSettings, design: Design, device: torch.device
    ) -> None:
        self.model, self.settings, self.design, self.device = model, settings, design, device
        self.generators = Generators(settings.seed)
        self.method = method_of(model, settings, design, self.generators, device)
        self.records: list[TaskRecord] = []

    def index(self, name: str | int) -> int | None:
        """The index of a task; None for a new one."""
        names = [record.name for record in self.records]
        return names.index(name) if name in names else None

    def begin(self, name: str | int, data: Data, held_out: Data | None) -> Fit:
        """Begin a new task, or go on with a known one.

        Args:
            name: of the task.
            data: its samples.
            held_out: those held out; None for a share of these.
        """
        (source, given), settings = data, self.settings
        self._check_problem(given)
        buffers = self._buffers(source)
        task = self.index(name)
        if task is None:
            task = self._add(name, given, buffers)
            outputs = self.records[task].targets.outputs
            check_network(self.network(task), source, outputs, self.design.problem)
        else:
            self.method.continue_task(task, settings.iterations)
        samples, held = self._samples(task, *data), None
        if held_out is None:
            share, generator = settings.validation, self.generators["validation"]
            samples, held = divided(samples, share, generator)
        else:
            held = self._samples(task, *held_out)
        size = settings.batch_size
        return Fit(
            task,
            Phase(0, (), settings.iterations, (), title=f"task {name!r}"),
            samples,
            BatchStream([samples], size, self.generators["batches"]),
            None if held is None else EarlyStopping(self.method, held, settings.patience, size),
        )

    def end(self, fit: Fit, updates: int) -> None:
        """End the task of a fit that took so many updates."""
        self.method.end_task(each_once([fit.samples], self.settings.batch_size))
        record = self.records[fit.task]
        samples, updates = record.samples + len(fit.samples), record.updates + updates
        self.records[fit.task] = replace(record, samples=samples, updates=updates)

    def network(self, task: int) -> nn.Module:
        """A plain module with the outputs of a task alone, on the CPU."""
        network, scenario = self.method.export(task), self.method.scenario
        if scenario.name != "class":
            return network
        start = scenario.offset(task)
        own = slice(start, start + scenario.heads[task])
        return with_columns(network, own, self.settings.head).eval()

    def _check_problem(self, given: Any) -> None:
        """Values among classes are a mistake, unless the user says that they are classes."""
        if self.settings.problem is None and self.design.problem == "classification":
            if problem_of(given) == "classification":
                return
            raise DataError(
                "a learner whose first task had classes learns classes",
                got="floats",
                hint="make another learner for values, or convert labels to integers or strings",
            )

    def _buffers(self, source: Source) -> dict[str, Tensor]:
        """Those that the task's autoencoder starts with: the centre of its inputs."""
        design = self.design.autoencoder
        if design is None:
            return {}
        buffers = design.centre(slices(source)).items()
        return {name: value.to(self.device) for name, value in buffers}

    def _add(self, name: str | int, given: Any, buffers: dict[str, Tensor]) -> int:
        """Make room for a new task; returns its index."""
        if self.method.scenario.name == "domain" and self.records:
            targets = self.records[0].targets  # one head for all: one unit of values
            targets.encode(given)
        else:
            targets = targets_of(self.design.problem, given)
        self.method.begin_task(TaskSpec(targets.outputs, self.settings.iterations, buffers))
        self.records.append(TaskRecord(name, targets))
        return len(self.records) - 1

    def _samples(self, task: int, source: Source, given: Any) -> SourceSamples:
        y = self.records[task].targets.encode(given)
        return SourceSamples(source, y, torch.arange(len(source)), task, self.device)

    def copy(self) -> Knowledge:
        """The same, of which a change changes nothing here."""
        other = Knowledge(self.model, self.settings, self.design, self.device)
        other.load_state_dict(copy.deepcopy(self.state_dict()))
        other.records = list(self.records)
        return other

    def state_dict(self) -> State:
        """Weights and random numbers."""
        return {"method": self.method.state_dict(), "generators": self.generators.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Put newly built knowledge where `state_dict` found the other."""
        self.method.load_state_dict(state["method"])
        self.generators.load_state_dict(state["generators"])


def first_knowledge(
    model: nn.Module, settings: LearnerSettings, data: Data, device: torch.device
) -> Knowledge:
    """Knowledge of no task, designed for the first one's samples.

    Raises:
        HypermnesiaError: model, settings and samples that do not go together.
    """
    source, given = data
    problem = settings.problem or problem_of(given)
    entry = method_entry(settings)
    if problem == "regression" and entry.name == "hnet-ent":
        raise ConfigError(
            "entropy is of classes, and regression has none",
            got="infer_task='entropy'",
            hint="use infer_task='likelihood', or None and name the task to predict",
        )
    outputs = targets_of(problem, given).outputs
    sizes = model_sizes(model, settings, outputs) if "hypernet" in entry.sections else None
    autoencoder = None
    if "vae" in entry.sections:
        autoencoder = autoencoder_design(slices(source), settings.compression)
    return Knowledge(model, settings, Design(problem, sizes, autoencoder), device)


@contextmanager
def training_errors(fit: Fit, batch_size: int) -> Iterator[None]:
    """Explain what can go wrong within the updates of a fit.

    Raises:
        RunError: a loss or a gradient is no finite number.
        DataError: batches that are too small for batch normalisation.
    """
    try:
        yield
    except NotFiniteError as error:
        raise RunError(
            "losses and gradients must stay finite",
            got=str(error.fault),
            hint="choose a smaller lr, or bring inputs nearer to [-1, 1]; the learner is as it was",
        ) from None
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):  # of torch's batch normalisation
            raise
        raise DataError(
            "batch normalisation needs more than one sample",
            got=f"batches of {min(batch_size, len(fit.samples))}",
            hint="give more samples, or a larger batch_size",
        ) from None
