"""All that a learner answers with as one module: networks of all tasks, evidence, labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.errors import ConfigError
from hypermnesia.learner.calibration import log_shares
from hypermnesia.learner.knowledge import Knowledge
from hypermnesia.learner.targets import Classes, Label, Labels, Values, to_json
from hypermnesia.onnx_files import INPUTS, to_onnx

TASK = "task"  #: name of the second input of the ONNX file
ANSWERS = {
    "classification": ("labels", "tasks", "probabilities"),
    "regression": ("values", "tasks"),
}
"""Names of its outputs."""

_NONE = torch.zeros(0, 1)


class Whole(nn.Module):
    """Answers of all tasks, on the CPU; -1 is the number of a task to be inferred.

    A label's probability is Σ_t p(t | x) p(label | x, t). Values are those of the likeliest task.
    `labels` are all of them, in the order in which they are numbered.
    """

    columns: Tensor
    spread: Tensor
    mean: Tensor

    def __init__(self, knowledge: Knowledge, labels: Sequence[Label]) -> None:
        super().__init__()
        records, method = knowledge.records, knowledge.method
        self.networks = nn.ModuleList(knowledge.network(task) for task in range(len(records)))
        targets = [record.targets for record in records]
        self.widths = [each.outputs for each in targets]
        self.evidence = None if method.answers == ("task",) else _evidence(knowledge)
        self.calibration = knowledge.calibration
        self.temperature = knowledge.calibration.temperature  # a number, which no graph computes
        self.regression = knowledge.design.problem == "regression"
        values = [each for each in targets if isinstance(each, Values)]
        self.register_buffer("mean", _rows([each.mean for each in values]))
        self.register_buffer("spread", _rows([each.spread for each in values]))
        own = [
            label for each in targets if isinstance(each, Classes) for label in each.labels.values
        ]
        numbers = Labels(labels).encode(own)
        self.register_buffer("columns", (numbers[:, None] == torch.arange(len(labels))).double())

    def forward(self, x: Tensor, task: Tensor) -> tuple[Tensor, ...]:
        """`ANSWERS` to (batch, *sample) inputs of (batch,) int64 tasks."""
        logits = self._logits(x)
        told = torch.arange(len(self.networks))[:, None] == task  # (tasks, batch)
        log_posterior, log_p = told.double().log(), logits.double().log_softmax(dim=2)
        if self.evidence is not None:
            inferred = log_shares(self.evidence(x, logits), self.temperature)
            log_posterior = torch.where(task < 0, inferred, log_posterior)
            tempered = self.calibration.log_outputs(logits)
            log_p = torch.where((task < 0)[:, None], tempered, log_p)
        tasks = torch.where(log_posterior.amax(dim=0) > -torch.inf, log_posterior.argmax(dim=0), -1)
        if self.regression:
            return self._values(logits, tasks.clamp(min=0)), tasks
        joint = (log_p + log_posterior[:, :, None]).exp()
        by_column = torch.cat(
            [p[:, :width] for p, width in zip(joint, self.widths, strict=True)], 1
        )
        probabilities = (by_column @ self.columns).float()
        labels = torch.where(tasks < 0, -1, probabilities.argmax(dim=1))
        return labels, tasks, probabilities

    def _logits(self, x: Tensor) -> Tensor:
        """(tasks, batch, widest head) logits, -inf beyond a task's own."""
        widest = max(self.widths)
        pads = [(0, widest - width) for width in self.widths]
        each = [network(x) for network in self.networks]
        padded = [
            nn.functional.pad(y, p, value=-torch.inf) for y, p in zip(each, pads, strict=True)
        ]
        return torch.stack(padded)

    def _values(self, logits: Tensor, tasks: Tensor) -> Tensor:
        own = logits.gather(0, tasks[None, :, None].expand(1, -1, logits.shape[2]))[0]
        return own * self.spread[tasks] + self.mean[tasks]


def _rows(each: list[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(each, batch_first=True) if each else _NONE


def _evidence(knowledge: Knowledge) -> nn.Module:
    evidence = getattr(knowledge.method, "evidence", None)
    if evidence is None or knowledge.device.type != "cpu":
        rule = "one file holds networks of tasks and an evidence, on the CPU"
        got = f"method={knowledge.settings.method!r} on {knowledge.device.type}"
        raise ConfigError(rule, got=got, hint="use method='hnet', and load with device='cpu'")
    module: nn.Module = evidence.module()
    return module


def onnx_of(knowledge: Knowledge, labels: Sequence[Label], x: Tensor) -> bytes:
    """The file of `Whole`; `x`, (n, *sample), are two inputs or more as the model takes them.

    Raises `ConfigError` for tasks with different numbers of values.
    Its metadata are JSON: `tasks`, their names, and `classes`, the labels, both by number.
    """
    if len({record.targets.outputs for record in knowledge.records}) > 1 and not labels:
        rule = "tasks with different numbers of values cannot answer side by side"
        raise ConfigError(rule, got="several such tasks", hint="export tasks one by one")
    names = [record.name for record in knowledge.records]
    notes: dict[str, Any] = {"tasks": list(map(to_json, names))}
    notes |= {"classes": list(map(to_json, labels))}
    with knowledge.lock:
        return to_onnx(
            Whole(knowledge, labels).eval(),
            x,
            torch.full((len(x),), -1),
            inputs=(INPUTS, TASK),
            outputs=ANSWERS[knowledge.design.problem],
            notes={name: json.dumps(value) for name, value in notes.items()},
        )
