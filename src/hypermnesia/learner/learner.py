"""`ContinualLearner`: a model of one's own, taught one data set after another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import nn

from hypermnesia.compute import Lock, device_of, release_freed_memory, undisturbed
from hypermnesia.errors import ConfigError, DataError
from hypermnesia.evidence import Density
from hypermnesia.learner import knowledge
from hypermnesia.learner.checks import check_model, check_module
from hypermnesia.learner.design import method_entry
from hypermnesia.learner.drift import Drift, drifts, warn_of
from hypermnesia.learner.inputs import InputSource, source_of
from hypermnesia.learner.persistence import Stored, save
from hypermnesia.learner.samples import opened, targets_read, weights_of
from hypermnesia.learner.settings import LearnerSettings, TaskInference, patterns
from hypermnesia.learner.targets import Label, Own, Problem
from hypermnesia.learner.tasks import TaskEditor
from hypermnesia.methods.base import BoundsDrift, Loss
from hypermnesia.modules import copied
from hypermnesia.optimizers import OptimizerFactory
from hypermnesia.training.history import FitHistory, Recorder, callbacks_of
from hypermnesia.training.loop import learn
from hypermnesia.training.observers import Health, ObserverGroup, progress_bars


class ContinualLearner(TaskEditor):
    """Teaches a model one task after another and forgets none.

    One hypernetwork makes the model's weights for every task (von Oswald et al. 2020, arXiv
    1906.00695); the model itself is a template, copied and left unchanged. Inputs are one tensor a
    sample: floats, images of bytes (shown to the model in [0, 1]), or integer ids; or several, in a
    dict that goes to the model by name (a tokenised batch), or a tuple.

    Args:
        model: any `nn.Module` that gives (batch, outputs) logits. Its last linear layer follows
            the number of outputs of each task.
        infer_task: how to tell the task of an input that comes without one. `gaussian`: by a
            Gaussian for each task, or for each class where held-out samples are likelier so, of
            inputs of real numbers and one scale; `filters`: by such Gaussians of what random
            filters find in images; `ridge`: by the class that ridge regression on the sums of all
            tasks answers with, of inputs of real numbers, best of the features of a frozen layer;
            `likelihood`: by an autoencoder for each task, of real numbers;
            `entropy`: the surest network answers, in classification with two or more classes a
            task; `best`: the one of `gaussian`, `filters` and `entropy` that recognised held-out
            samples best, as `inference` tells; `sum`: as `best`, or a Gaussian and an entropy
            added up; `auto`: `best` where inputs can have a density, else `entropy` or None; an
            object with `fit` and `score_samples`, which is copied for each task (such a learner
            cannot be saved); None: tasks are always given.
        method: the name of a registered method; by default a hypernetwork that makes the model's
            weights for every task. Others train the model itself: in the task scenario if
            `infer_task` is None, and otherwise in the class scenario (regression: domain).
        problem: `classification` or `regression`; by default regression if the first task's
            targets are floats. `positions`: a class at each token or pixel, (n, *positions) whole
            numbers, -100 where there is none. `multilabel`: (n, k) of 0 and 1. Tasks of these two
            must be named.
        head: name of the output layer; the last `nn.Linear` by default.
        generated: patterns of the names of the parameters that each task has for itself; by default
            all that are not frozen (`requires_grad`). The rest is shared, and learned with the
            first task only.
        compression: most learned values to keep, as a share of the weights that they make; by
            default 1, or 50,000 values for models that have fewer weights.
        beta: how firmly earlier tasks are held against the loss of the one being learned; by
            default it follows by itself what `drift` allows.
        drift: how much a fit may change the weights of an earlier task, for `beta="auto"`: the
            squares of the changes over those of the weights. Ten times as much where weights start
            at a model's own, over what the task changed of them.
        lr: step size (Adam); it falls in the course of a fit. That of a hypernetwork with wide
            features is 0.004 at most, as each step moves all weights.
        batch_size: samples an update; also those of a held-out look.
        iterations: most updates of a fit.
        patience: updates without a better loss on the held-out samples that end a fit early.
        validation: share of a fit's samples that is held out to tell when to stop; 0 for none.
        seed: of everything random.
        device: where to learn; a GPU if there is one by default.
        progress: show a bar while fitting.
        criterion: (logits or values, targets) -> scalar loss that is minimised; by default the
            cross-entropy, or the mean squared error of targets in units of their spread.
        optimizer: (parameters) -> an optimiser of `torch.optim` for the networks, in place of Adam;
            its own step size falls in the course of a fit.
        features: name of a layer that all tasks share, as of a frozen backbone: Gaussians are of
            its activations, averaged over positions, and not of inputs.
        ensemble: networks of a task, drawn from a distribution over its weights: their mean
            probabilities, or values, answer.
        start: where weights start: `scratch`, drawn anew; `pretrained`, at the model's own, so that
            every task's network is the model before its first update, but for a head of another
            width; `auto`: `pretrained` for a model with frozen parameters, of PEFT or Transformers,
            or whose values are not those of an initialisation, as `start` tells.

    Attributes:
        history_: a `FitHistory` of each fit since the learner was made or loaded.
        drift_: what the last fit changed of each other task; a fit that breaks the bound warns.

    Raises:
        ConfigError: a value that cannot work.
        TargetError: `model` is no module.
    """

    def __init__(
        self,
        model: nn.Module,
        infer_task: TaskInference | Density | None = LearnerSettings.infer_task,
        *,
        method: str = LearnerSettings.method,
        problem: Problem | None = None,
        head: str | None = None,
        generated: Sequence[str] | None = None,
        compression: float | None = None,
        beta: float | Literal["auto"] = LearnerSettings.beta,
        drift: float = LearnerSettings.drift,
        lr: float = LearnerSettings.lr,
        batch_size: int = LearnerSettings.batch_size,
        iterations: int = LearnerSettings.iterations,
        patience: int = LearnerSettings.patience,
        validation: float = LearnerSettings.validation,
        seed: int = LearnerSettings.seed,
        device: torch.device | str | None = None,
        progress: bool = False,
        criterion: Loss | None = None,
        optimizer: OptimizerFactory | None = None,
        features: str | None = None,
        ensemble: int = LearnerSettings.ensemble,
        start: Literal["auto", "scratch", "pretrained"] = LearnerSettings.start,
    ) -> None:
        check_module(model)
        self._own = Own(criterion, optimizer)
        self.history_: list[FitHistory] = []
        self.model, self.progress = copied(model), progress
        self.settings = LearnerSettings(
            cast(Any, infer_task), method, problem, head, patterns(generated), compression, beta,
            drift, lr, batch_size, iterations, patience, validation, seed, self._own.names,
            features, ensemble, start,
        )  # fmt: skip
        method_entry(self.settings)
        self.device = device_of(device)
        self._fitting = Lock()
        self.drift_: dict[Label, Drift] = {}

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        task: Label,
        validation: Any = None,
        classes: Any = None,
        sample_weight: Any = None,
        steps: int | None = None,
        iterations: int | None = None,
        lr: float | None = None,
        batch_size: int | None = None,
        callbacks: Any = (),
    ) -> ContinualLearner:
        """Learn a task, or go on with one that is known; all others are held as they are.

        Whatever ends it early, an error or Ctrl-C, leaves the learner as it was before. Other
        threads may ask meanwhile, and get the answers from before; their fits wait for this one. A
        `no_grad` or `autocast` around the call changes nothing.

        Args:
            data: n inputs (n, *sample) where `y` is given; or a pair (inputs, targets) of arrays or
                tensors, a map-style `Dataset` of (input, target), or a `DataLoader` over one,
                whose samples its workers read: shuffled anew, or in the order of a sampler of
                your own; or either of an `IterableDataset`. Columns of a data frame are found by
                their names.
            y: (n,) labels: strings, numbers, truth values, or tuples of these; in regression (n,)
                or (n, k) values.
            task: its name: a string, or for all tasks a number, truth value or tuple of these. A
                known task keeps its labels; those of which it gets no samples now are
                protected, or a method that cannot warns.
            validation: held-out data of the task, as `data`; a share of `data` by default.
            classes: all labels of the task, some of which may have no samples yet; where they are
                given, a data set is not read before the fit to find them. They extend a known task
                by labels that it does not have: with samples of all its old ones or, where
                `gaussian` infers tasks of their inputs, without, as then these can be drawn.
            sample_weight: (n,) numbers that say how much each sample of arrays counts in the loss.
            steps: updates to take of an `IterableDataset`, which needs it: each batch read is
                trained on, until the stream ends. Held out is a share of its first 1,024 samples,
                the only ones in memory; if they lack a label, give `classes`.
            iterations: of this fit alone.
            lr: of this fit alone.
            batch_size: of this fit alone.
            callbacks: an object, or several, with any of `on_fit_begin(task, iterations)`,
                `on_update(iteration, metrics)` (scalar tensors), `on_validation(iteration, losses)`
                and `on_fit_end(history)`. The second and third may raise `StopTask` to end the fit.

        Returns:
            The learner.

        Raises:
            HypermnesiaError: data that cannot be learned, or not by this model; a loss that is no
                number; a call in torch's inference mode.
        """
        if torch.is_inference_mode_enabled():
            rule = "a fit needs gradients, of which inference mode has none"
            raise ConfigError(rule, got="a call within it", hint="call it outside")
        own = self._own
        changes = {"lr": lr, "batch_size": batch_size}
        changes["iterations"] = iterations if steps is None else steps
        settings = _for_one_fit(self.settings, own, **changes)
        with self._fitting, undisturbed(self.device), torch.enable_grad():
            name = knowledge.task_name(task, self.tasks)
            recorder = Recorder(name, callbacks_of(callbacks))
            check_module(self.model)  # torch's default type may be another now
            own.warn_of_missing(settings.own)
            form = self._knowledge.design.form if self._knowledge else None
            source = opened(data, y, form, settings, steps)
            samples = self._checked(source, "a task", classes, sample_weight)
            held_out = None
            if validation is not None:
                held_out = self._checked(source_of(validation, form=source.form), "validation")
            self._knowledge, self.drift_ = self._taught(settings, recorder, samples, held_out)
            self.history_.append(recorder.history)
            if isinstance(self._knowledge.method, BoundsDrift):
                warn_of(self.drift_, settings, name, self._knowledge.design)
            recorder.call("on_fit_end", recorder.history)
        return self

    def _taught(
        self,
        settings: LearnerSettings,
        recorder: Recorder,
        samples: knowledge.Data,
        held_out: knowledge.Data | None,
    ) -> tuple[knowledge.Knowledge, dict[Label, Drift]]:
        """All that is known, with these samples of a task learned, and what that changed."""
        task = recorder.history.task
        if self._knowledge is None:
            made_of = self.model, settings, samples, self.device, self._own
            learning = knowledge.first_knowledge(*made_of)
        else:
            chosen = self._knowledge.settings.infer_task  # where the user left it open
            learning = self._knowledge.copy(replace(settings, infer_task=chosen))
        fit = learning.begin(task, samples, held_out)
        observers = ObserverGroup(Health(), recorder, *([fit.stopping] if fit.stopping else []))
        if fit.stopping:
            fit.stopping.watching = recorder
        recorder.call("on_fit_begin", task, fit.phase.iterations)
        with ExitStack() as stack:
            stack.enter_context(knowledge.training_errors(fit, settings.batch_size))
            if self.progress:
                make = stack.enter_context(progress_bars())
                observers = ObserverGroup(observers, make(f"task {task}", fit.stopping))
                observers.on_start((), fit.phase.iterations)
            _release(self.model)
            updates = learn(learning.method, fit.stream, fit.phase, observers)
        learning.end(fit, updates)
        _release(self.model)
        changed = drifts(self._knowledge, learning, fit) if self._knowledge else {}
        _release(self.model)
        if settings != self.settings:  # which were for one fit
            chosen = learning.settings.infer_task
            learning = learning.copy(replace(self.settings, infer_task=chosen))
        return learning, changed

    def _checked(
        self, source: InputSource, purpose: str, classes: Any = None, weight: Any = None
    ) -> knowledge.Data:
        """Samples that the model takes, one or more, and their targets."""
        if not len(source):
            raise DataError(f"{purpose} needs samples", got="none", hint="give some")
        positions = self.settings.problem == "positions"
        check_model(self.model, source, positions=positions)
        given = targets_read(source, classes)
        return knowledge.Data(source, given, classes, weights_of(weight, source))

    def to(self, device: torch.device | str) -> ContinualLearner:
        """Move all that is learned to a device, where the learner then answers and learns."""
        with self._fitting:
            self.device = device_of(device)
            if self._knowledge is not None:
                self._knowledge = self._knowledge.copy(device=self.device)
        return self

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the learner to a folder, to be read by `load`; nothing is pickled.

        Args:
            path: the folder.
            overwrite: replace a learner that is there, in a folder that holds nothing else.

        Raises:
            RunError: the folder exists, or cannot be written.
        """
        save(self._learned, Path(path), overwrite=overwrite)

    @classmethod
    def load(
        cls,
        path: str | Path,
        model: nn.Module,
        *,
        device: torch.device | str | None = None,
        progress: bool = False,
        criterion: Loss | None = None,
        optimizer: OptimizerFactory | None = None,
    ) -> ContinualLearner:
        """The learner that `save` wrote.

        Args:
            path: the folder.
            model: made as the learner's model was; its parameters' values do not matter, unless the
                learner's weights start at them, or it is frozen in part: then they are checked.
            device: where to put it.
            progress: show a bar while fitting.
            criterion: that of the learner, which is not saved; so is `optimizer` not.
            optimizer: as of the learner.

        Raises:
            RunError: it is missing, damaged, of another version or of another model.
        """
        stored = Stored(Path(path))
        given: dict[str, Any] = {"criterion": criterion, "optimizer": optimizer}
        learner = cls(model, device=device, progress=progress, **given)
        own = sorted({*stored.settings.own, *learner._own.names})
        learner.settings = replace(stored.settings, own=tuple(own))
        with undisturbed(learner.device):
            made_of = learner.model, learner.device, learner._own
            learner._knowledge = stored.knowledge(*made_of)
        return learner


def _release(model: nn.Module) -> None:
    """Give freed memory back to the system, where a model is large enough for it to matter."""
    if sum(p.numel() for p in model.parameters()) >= 1_000_000:
        release_freed_memory()


def _for_one_fit(settings: LearnerSettings, own: Own, **changes: Any) -> LearnerSettings:
    """The settings of a fit, with those `changes` that are not None; raises for invalid ones."""
    given = {name: value for name, value in changes.items() if value is not None}
    if "lr" in given and own.optimizer is not None:
        rule, hint = "the optimizer given sets its own step size", "leave lr out"
        raise ConfigError(rule, got=f"lr={given['lr']}", hint=hint)
    return replace(settings, **given) if given else settings
