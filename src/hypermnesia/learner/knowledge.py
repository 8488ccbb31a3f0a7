"""All that a learner has learned, which a fit replaces as a whole or not at all."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from hypermnesia.compute import Lock
from hypermnesia.data.stream import each_once
from hypermnesia.errors import ConfigError, DataError, RunError
from hypermnesia.hypernet.memory import StartName, WeightMemory
from hypermnesia.learner import design as designs
from hypermnesia.learner.calibration import (
    Calibration,
    Calibrations,
    warn_of_confusion,
    warn_of_unfitted,
)
from hypermnesia.learner.checks import check_model, check_network
from hypermnesia.learner.choice import chosen, targets_of
from hypermnesia.learner.design import Design
from hypermnesia.learner.inputs import InputSource, slices
from hypermnesia.learner.samples import AsTheyCome, SourceSamples, divided, stream_of
from hypermnesia.learner.serving import Served
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.targets import (
    DENSE,
    Classes,
    Label,
    Own,
    Targets,
    place,
    plain,
    problem_of,
)
from hypermnesia.methods import TaskSpec
from hypermnesia.methods.base import ContinuesInPart, InfersTask, KeepsTasksApart
from hypermnesia.nets import with_columns
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.training.loop import Stream
from hypermnesia.training.observers import EarlyStopping, NotFiniteError
from hypermnesia.training.phases import Phase
from hypermnesia.tree import Tree


class Data(NamedTuple):
    """Inputs, and what a user says of their targets.

    Attributes:
        given: the targets; None where they are read with the inputs only.
        classes: all labels of the task; None for those among the targets.
        weight: (n,) of each sample in the loss; None where all count alike.
    """

    source: InputSource
    given: Any
    classes: Any = None
    weight: Tensor | None = None

    @property
    def told(self) -> Any:
        """What a task's outputs stand for, as far as the user says: all classes, or the targets."""
        return self.given if self.classes is None else self.classes


_JUDGED = 10  # least held-out samples by which an autoencoder is judged


@dataclass(frozen=True)
class TaskRecord:
    """What is known of a task besides its weights; counts are over all fits.

    It is `adapted` as long as no fit has learned it.
    """

    name: Label
    targets: Targets
    samples: int = 0
    updates: int = 0
    adapted: bool = False


@dataclass(frozen=True)
class Fit:
    """A task that is being learned: samples, their mini-batches, and the updates to take."""

    task: int
    phase: Phase
    samples: SourceSamples
    stream: Stream
    stopping: EarlyStopping | None  # None without held-out samples
    held: SourceSamples | None = None


class Knowledge:
    """A method for a model, its random numbers, and records of the tasks that it knows.

    Networks are called with weights put into one module in turn, so threads take turns too: they
    hold the `lock` while they ask or export.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: LearnerSettings,
        design: Design,
        device: torch.device,
        own: Own | None = None,
    ) -> None:
        self.model, self.settings, self.design, self.device = model, settings, design, device
        self.own = own
        self.generators, self.dtype = Generators(settings.seed), torch.get_default_dtype()
        self.method = designs.method_of(model, settings, design, self.generators, device, own)
        self.records: list[TaskRecord] = []
        self.calibrations = Calibrations(self.method)
        self.lock = Lock()
        self._served = Served(self._answering, device)
        if (memory := getattr(self.method, "memory", None)) and isinstance(memory, WeightMemory):
            self._served.shared = memory.target.shared.values()

    @property
    def calibration(self) -> Calibration:
        """That of the kind of evidence that answers."""
        return self.calibrations.current

    @property
    def way(self) -> Any:
        """How tasks are inferred: the kind of evidence that answers, or what the user chose."""
        return self.calibrations.kind or self.settings.infer_task

    def index(self, name: object) -> int | None:
        """The index of a task; None for a new one."""
        return place([record.name for record in self.records], name)

    def remove(self, task: int, *, erase: bool) -> None:
        """Forget a task, and first overwrite what θ holds of it if it is to be erased."""
        method = self._apart()
        if erase:
            method.erase_task(task, self.settings.iterations)
        method.remove_task(task)
        self.calibrations.remove(task)
        del self.records[task]

    def merge(self, other: Knowledge) -> list[float]:
        """Take over another's tasks; returns the error of each task's weights, as a share."""
        errors = self._apart().merge(other.method, self.settings.iterations)
        self.calibrations.join(other.calibrations)
        self.records += other.records
        return errors

    def _apart(self) -> KeepsTasksApart:
        """The method; raises `ConfigError` for one that keeps tasks in common weights."""
        self._served.drop()
        if isinstance(self.method, KeepsTasksApart):
            return self.method
        rule = "a method must keep tasks apart to drop, merge or extend them"
        got = f"method={self.settings.method!r}"
        raise ConfigError(rule, got=got, hint="use method='hnet'")

    def _answering(self, task: int) -> nn.Module:
        """The `network` of a task; where the method can, one that shares what all tasks share."""
        make: Callable[[int], nn.Module] | None = getattr(self.method, "serving", None)
        return self.network(task) if make is None else make(task)

    def served(self, task: int) -> nn.Module:
        """The `network` of a task on the device, kept from call to call; for those who ask."""
        with self.lock:
            return self._served[task]

    def begin(self, name: Label, data: Data, held_out: Data | None) -> Fit:
        """Begin a new task, or go on with a known one; by default a share of `data` is held out."""
        source, settings = data.source, self.settings
        self._served.drop()
        self._check_problem(data.told)
        task = self.index(name)
        buffers = self._centre(source, task)
        if task is None:
            task = self._add(name, data.told, buffers)
            outputs = self.records[task].targets.outputs
            check_network(self.network(task), source, outputs, self.design.problem)
        else:
            self._continue(task, data)
        samples, held = self._samples(task, data), None
        if held_out is None:
            share, generator = settings.validation, self.generators["validation"]
            samples, held = divided(samples, share, generator)
        else:
            held = self._samples(task, held_out)
        size, patience = settings.batch_size, settings.patience
        phase = Phase(0, (), settings.iterations, (), title=f"task {name!r}")
        stream = stream_of(samples, size, self.generators["batches"])
        stopping = None if held is None else EarlyStopping(self.method, held, patience, size)
        return Fit(task, phase, samples, stream, stopping, held)

    def end(self, fit: Fit, updates: int) -> None:
        """End the task of a fit that took so many updates."""
        self.method.end_task(each_once([fit.samples], self.settings.batch_size))
        if self.method.answers != ("task",) and isinstance(self.method, InfersTask):
            held = partial(each_once, [fit.held or fit.samples], self.settings.batch_size)
            self.calibrations.measure(self.method, fit.task, held())
            name, recognised = self.records[fit.task].name, self.calibration.recognised
            if self.design.why:
                warn_of_confusion(name, float(recognised[fit.task]), self.way)
            if fit.held is not None and len(fit.held) >= _JUDGED:
                warn_of_unfitted(name, self.method, fit.task, held())
        record = self.records[fit.task]
        read = fit.stream.rows if isinstance(fit.stream, AsTheyCome) else len(fit.samples)
        samples, updates = record.samples + read, record.updates + updates
        self.records[fit.task] = replace(record, samples=samples, updates=updates, adapted=False)

    def network(self, task: int) -> nn.Module:
        """A plain module with the outputs of a task alone, on the CPU."""
        with self.lock:
            network, scenario = self.method.export(task), self.method.scenario
        if scenario.name != "class":
            return network
        first = scenario.offset(task)
        own = slice(first, first + scenario.heads[task])
        return with_columns(network, own, self.settings.head).eval()

    def _centre(self, source: InputSource, task: int | None) -> dict[str, Tensor]:
        """Where the autoencoder of a new task starts; raises for inputs that it cannot be shown."""
        if (design := self.design.autoencoder) is None:
            return {}
        boxes = designs.boxes_of(self.method)
        if boxes is None:  # autoencoders that are shown inputs as they are
            design.centre(_seen(source), designs.UNIT)
            return {}
        known = None if task is None else boxes[task]
        centre = design.centre(_seen(source), known, slack=designs.SLACK)
        return {name: value.to(self.device) for name, value in centre.items()}

    def _check_problem(self, given: Any) -> None:
        """Raise `DataError` for values among classes, unless the user says that they are such."""
        classes = self.settings.problem is None and self.design.problem == "classification"
        if classes and problem_of(given) != "classification":
            rule = "a learner whose first task had classes learns classes"
            hint = "make another learner for values, or convert labels to integers or strings"
            raise DataError(rule, got="floats", hint=hint)

    def _add(self, name: Label, given: Any, buffers: dict[str, Tensor]) -> int:
        """Make room for a new task; returns its index."""
        if self.method.scenario.name == "domain" and self.records:
            targets = self.records[0].targets  # one head for all: one unit of values
            targets.encode(given)
        else:
            targets = targets_of(self.design.problem, given)
        self.method.begin_task(TaskSpec(targets.outputs, self.settings.iterations, buffers))
        self.records.append(TaskRecord(name, targets))
        return len(self.records) - 1

    def _continue(self, task: int, data: Data) -> None:
        """Go on with a task; if samples lack some of its labels, protect these, or warn."""
        method, iterations = self.method, self.settings.iterations
        record = self.records[task]
        targets, known = record.targets, record.targets.outputs
        one_each = self.design.problem == "classification"  # so what lacks a label is known
        if one_each and isinstance(targets, Classes) and data.classes is not None:
            targets = targets.extended(data.classes)
        targets.encode(data.told)
        given = data.told if data.given is None else data.given
        found = known
        if one_each:
            found = int((torch.unique(targets.encode(given)) < known).sum())
        partly = found < known
        if targets.outputs > known:
            new = targets.outputs - known
            self._apart().extend_task(task, new, iterations, partly=partly)
            self.records[task] = replace(record, targets=targets)
            return
        if partly and isinstance(method, ContinuesInPart):
            method.continue_in_part(task, iterations)
            return
        method.continue_task(task, iterations)
        if partly:
            hint = "add samples of the others, which it forgets, or use method='hnet'"
            told = (
                f"{self.settings.method} goes on with all labels of a task; got {found} of {known}"
            )
            warnings.warn(f"{told}; {hint}", stacklevel=5)

    def _samples(self, task: int, data: Data) -> SourceSamples:
        source, encode = data.source, self.records[task].targets.encode
        rows = torch.arange(len(source))
        read = data.given is None or self.design.problem in DENSE
        y = torch.zeros(len(rows)) if read else encode(data.given)
        order, weight = source.order, data.weight
        return SourceSamples(source, encode, y, rows, task, self.device, order, weight)

    @property
    def stored(self) -> int:
        """How many numbers `save` writes: learned values, buffers of all tasks and the model."""
        state = self.state_dict()
        everything = state["method"], state["calibration"], dict(self.model.named_buffers())
        return sum(each.numel() for each in tree_leaves(everything) if isinstance(each, Tensor))

    def copy(
        self, settings: LearnerSettings | None = None, device: torch.device | None = None
    ) -> Knowledge:
        """The same, of which a change changes nothing here; with other settings, or elsewhere."""
        make, ((model, own_settings, *others, own_device, own), *parts) = self.__reduce__()
        made_of = model, settings or own_settings, *others, device or own_device, own
        made = make(made_of, *parts)
        here, there = (getattr(each.method, "memory", None) for each in (made, self))
        alike = self.records and made.device == self.device
        if alike and isinstance(here, WeightMemory) and isinstance(there, WeightMemory):
            here.share(there)
        return made

    def __reduce__(self) -> tuple[Callable[..., Knowledge], tuple[Any, ...]]:
        """How copies are made: of state, as modules may be in use."""
        made_of = self.model, self.settings, self.design, self.device, self.own
        return _again, (made_of, copy.deepcopy(self.state_dict()), list(self.records))

    def state_dict(self) -> State:
        """Weights and random numbers."""
        with self.lock:
            method = self.method.state_dict()
        own = {"calibration": self.calibrations.state_dict()}
        return {"method": method, "generators": self.generators.state_dict(), **own}

    def load_state_dict(self, state: State) -> None:
        """Put newly built knowledge where `state_dict` found the other."""
        self.method.load_state_dict(state["method"])
        self.generators.load_state_dict(state["generators"])
        self.calibrations.load_state_dict(state["calibration"])


def _again(made_of: tuple[Any, ...], state: State, records: list[TaskRecord]) -> Knowledge:
    made = Knowledge(*made_of)
    made.load_state_dict(state)
    made.records = records
    return made


def first_knowledge(
    model: nn.Module,
    settings: LearnerSettings,
    data: Data,
    device: torch.device,
    own: Own | None = None,
) -> Knowledge:
    """Knowledge of no task, designed for the first one's samples; raises if they do not fit."""
    source, given = data.source, data.told
    problem = settings.problem or problem_of(given)
    settings, why, candidates = chosen(settings, problem, _seen(source))
    entry = designs.method_entry(settings)
    if problem == "regression" and entry.name == "hnet-ent":
        rule = "entropy is of classes, and regression has none"
        hint = "use infer_task='likelihood', or None and name the task to predict"
        raise ConfigError(rule, got="infer_task='entropy'", hint=hint)
    outputs = targets_of(problem, given).outputs
    start: tuple[StartName, str] = ("scratch", "")
    if settings.method == "hnet":
        from hypermnesia.learner.start import settled

        drawn = settings.ensemble > 1 and settings.start == "auto"  # about 0
        start = settled(model, "scratch" if drawn else settings.start)
    wide = problem == "positions"
    outputs_of_model, sizes = check_model(model, source, positions=wide), None
    if "hypernet" in entry.sections:
        sizes = designs.model_sizes(model, settings, outputs, outputs_of_model, start[0])
    autoencoder = None
    if "vae" in entry.sections:
        autoencoder = designs.autoencoder_design(_seen(source), settings.compression)
    told = why, candidates, *start
    design = Design(problem, sizes, autoencoder, outputs_of_model, source.form, *told)
    return Knowledge(model, settings, design, device, own)


@contextmanager
def training_errors(fit: Fit, batch_size: int) -> Iterator[None]:
    """Raise as errors of the learner's what can go wrong within the updates of a fit."""
    try:
        yield
    except NotFiniteError as error:
        rule = "losses and gradients must stay finite"
        hint = "choose a smaller lr, or bring inputs nearer to [-1, 1]; the learner is as it was"
        raise RunError(rule, got=str(error.fault), hint=hint) from None
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):  # of torch's batch normalisation
            raise
        rule, hint = "batch normalisation needs more than one sample", "give more samples"
        got = f"batches of {min(batch_size, len(fit.samples))}"
        raise DataError(rule, got=got, hint=f"{hint}, or a larger batch_size") from None


def task_name(name: object, known: Sequence[Label]) -> Label:
    """A task's name as a Python value; raises `ConfigError` unless it is of the others' kind."""
    rule = "tasks are named by strings, or all of them by finite numbers, truth values or tuples"
    try:
        found = plain(name)
    except DataError:
        found = None
    if found is None or any(type(each) is not type(found) for each in known):
        hint = "name it as the others, or the first one by a string"
        raise ConfigError(rule, got=f"{name!r:.40}", hint=hint)
    return found


def _seen(source: InputSource) -> Iterator[Tree]:
    """All inputs, one by one where those that are read with one may change its shape."""
    return slices(source, 1 if source.alone else None)
