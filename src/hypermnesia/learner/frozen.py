"""A learner that only answers, and learners as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from hypermnesia.errors import ConfigError, RunError
from hypermnesia.learner.inputs import source_of
from hypermnesia.learner.knowledge import Knowledge
from hypermnesia.learner.predictor import Predictor
from hypermnesia.learner.targets import DENSE, Label, listed, plain
from hypermnesia.storage import write_bytes


class Servable(Predictor):
    """What answers, and can be handed on to where nothing is learned."""

    def freeze(self) -> FrozenLearner:
        """All that is known now as something that only answers; later fits change nothing of it.

        It shares the learner's values and copies none. Any number of threads may ask; another
        process gets it by pickle, if the model can be pickled.
        """
        return FrozenLearner(self._learned)

    def export_adapter(self, task: Label, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write a task's adapters and output layer in PEFT's format (extra `peft`).

        The model is one of `hypermnesia.lora`, or of PEFT. On its base with as many outputs as the
        task, `peft.PeftModel.from_pretrained(base, folder)` gives the task's logits.

        Args:
            task: its name.
            folder: to be made.
            overwrite: replace a folder that is there.

        Raises:
            RunError: the folder exists.
            TargetError: a model without adapters.
            ConfigError: an unknown task.
        """
        from hypermnesia.learner.adapters import write  # which few ask for

        with self._undisturbed() as known:
            write(known.network(self._number(task)), Path(folder), overwrite=overwrite)

    def export_adapters(self, folder: str | Path, *, overwrite: bool = False) -> dict[Label, Path]:
        """`export_adapter` of every task, each to a folder of its name in `folder`; by task.

        Where a name can be none of a folder, all have numbers.
        """
        from hypermnesia.learner.adapters import folder_names

        paths = {
            task: Path(folder) / name
            for task, name in zip(self.tasks, folder_names(self.tasks), strict=True)
        }
        for task, path in paths.items():
            self.export_adapter(task, path, overwrite=overwrite)
        return paths

    def export_onnx(self, path: str | Path, x: Any, *, overwrite: bool = False) -> None:
        """Write networks of all tasks and the evidence as one ONNX file (extra `onnx`).

        Its inputs are `inputs`, (batch, *sample) as the model takes them (images of bytes: divided
        by 255), and `task`, (batch,) int64: the number of each input's task in `tasks`, or -1 to
        infer it. Its outputs are those of `predict`: `labels`, (batch,) int64 places in
        `classes()`, and `probabilities`, (batch, labels), or in regression `values`; and `tasks`,
        (batch,) int64; -1 where no task is given that the learner cannot infer.

        Args:
            path: the file.
            x: inputs, as of `predict`, of which two are shown to the model.
            overwrite: replace a file that is there.

        Raises:
            RunError: the file exists.
            ConfigError: an evidence, or a method, that one file cannot hold.
            TargetError: a model that torch cannot write as ONNX.
        """
        path = Path(path)
        if path.exists() and not overwrite:
            hint = "choose another one, or set overwrite=True"
            raise RunError("nothing is overwritten", got=f"{path}, which exists", hint=hint)
        with self._undisturbed() as known:
            if known.design.problem in DENSE:
                rule, hint = "one ONNX file is of one class or of values", "export each task"
                raise ConfigError(rule, got=f"problem={known.design.problem!r}", hint=hint)
            source = source_of(x, form=known.design.form)
            shown = source.read(torch.arange(2) % len(source))
            from hypermnesia.learner.whole import onnx_of  # which few ask for

            write_bytes(path, onnx_of(known, self._labels(known), shown))

    def _labels(self, known: Knowledge) -> list[Label]:
        """All labels in the order of `classes()`; none in regression."""
        classes = known.design.problem == "classification"
        return list(map(plain, listed(self.classes()))) if classes else []


class FrozenLearner(Servable):
    """The answers of a learner as it was when it was frozen."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
