"""What is answered to inputs: outputs, labels, values, probabilities, and a summary in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.errors import ConfigError, DataError
from hypermnesia.learner.checks import inputs_accepted, rejected
from hypermnesia.learner.knowledge import Knowledge
from hypermnesia.learner.targets import DENSE, Classes, Label, Labels, Targets, numbers, plain
from hypermnesia.methods.base import InfersTask
from hypermnesia.tree import Tree

T = TypeVar("T")


class Answers(NamedTuple):
    """Outputs for n inputs."""

    outputs: Tensor  # (n, k) of a sample's own task, -inf beyond; or of all tasks side by side
    tasks: Tensor  # (n,) int64 index of the sample's task, given or inferred
    confidence: Tensor  # (n,) p(t | x) of that task, 1 where it was given
    joined: bool = False  # whether `outputs` are those of all tasks


@torch.no_grad()
def answers(
    knowledge: Knowledge, batches: Iterable[Tree], task: int | None, groups: Tensor | None = None
) -> Answers:
    """Answer with the network of a task or, without one, with all that the inputs speak for.

    (n,) `groups` number inputs that come from one task, whose evidence is added up.
    """
    if task is not None:
        network = knowledge.served(task)
        found = _each(knowledge, batches, partial(_answer_for, knowledge, network, task))
    elif isinstance(method := _inferring(knowledge), InfersTask):
        found = _weighed(knowledge, method, batches, groups)
    else:
        found = _each(knowledge, batches, partial(_answer_jointly, knowledge))
    parts = list(found)
    columns = zip(*(part[:3] for part in parts), strict=True)
    outputs, tasks, confidence = (_joined(knowledge, each).cpu() for each in columns)
    return Answers(outputs, tasks, confidence, parts[0].joined)


@torch.no_grad()
def told(knowledge: Knowledge, batches: Iterable[Tree], task: int) -> NDArray[Any]:
    """(n,) labels, or (n,) or (n, k) values, from the network of a task alone."""
    network, parts = knowledge.served(task), []
    for x in batches:
        with inputs_accepted(x), knowledge.lock:
            targets = knowledge.records[task].targets
            parts.append(_logits(network, _placed(knowledge, x), targets).cpu())
    return targets.answer(_joined(knowledge, parts) if parts[1:] else parts[0])


@torch.no_grad()
def answers_of_rows(knowledge: Knowledge, batches: Iterable[Tree], tasks: Tensor) -> Answers:
    """Answer each of n inputs with the network of its own task, of (n,) int64 `tasks`."""
    parts, sizes = [], [record.targets.outputs for record in knowledge.records]
    for x in batches:
        own, rest = tasks[: tree.batch_size(x)], tasks[tree.batch_size(x) :]
        with inputs_accepted(x), knowledge.lock:
            logits = _of_rows(knowledge, _placed(knowledge, x), own.to(knowledge.device))
        parts.append((logits.cpu(), own))
        tasks = rest
    logits, own = (torch.cat(each) for each in zip(*parts, strict=True))
    joined, sure = knowledge.design.problem == "classification", torch.ones(len(own))
    if joined:  # side by side
        wide = logits.new_full((len(own), sum(sizes)), -torch.inf)
        for task in torch.unique(own).tolist():
            rows, first = (own == task).nonzero().squeeze(1), sum(sizes[:task])
            wide[rows, first : first + sizes[task]] = logits[rows, : sizes[task]]
        logits = wide
    return Answers(logits, own, sure, joined)


def _of_rows(knowledge: Knowledge, x: Tree, tasks: Tensor) -> Tensor:
    """(batch, widest head) logits, all rows in one pass where the method can."""
    in_one: Callable[[Tree, Tensor], Tensor | None] | None = getattr(knowledge.method, "rows", None)
    found = None if in_one is None else in_one(x, tasks)
    if found is not None:
        return found
    each: list[tuple[Tensor, Tensor]] = []
    for task in torch.unique(tasks).tolist():
        rows, targets = (tasks == task).nonzero().squeeze(1), knowledge.records[task].targets
        each.append((rows, _logits(knowledge.served(task), tree.index(x, rows), targets)))
    widest = max(logits.shape[1] for _, logits in each)
    result = each[0][1].new_full((len(tasks), widest), -torch.inf)
    for rows, logits in each:
        result[rows, : logits.shape[1]] = logits
    return result


def _logits(network: nn.Module, x: Tree, targets: Targets) -> Tensor:
    """(batch, outputs) logits; of positions (batch, *positions, outputs)."""
    logits = tree.logits_of(tree.forward(network, x))
    if hasattr(targets, "last"):
        return cast(Tensor, targets.last(logits))
    if logits.ndim != 2:
        raise rejected(x, f"logits of shape {tuple(logits.shape)}")
    return logits


def _joined(knowledge: Knowledge, parts: Sequence[Tensor]) -> Tensor:
    """What batches gave, one after another; of positions they may differ in length."""
    if knowledge.design.problem != "positions" or parts[0].ndim < 2:
        return torch.cat([*parts])
    from hypermnesia.learner.dense import joined

    return joined(parts)


def _placed(knowledge: Knowledge, x: Tree) -> Tree:
    """Inputs where they are learned and, whatever torch's default is now, of that type."""

    def placed(part: Tensor) -> Tensor:
        return part.to(knowledge.device, knowledge.dtype if part.is_floating_point() else None)

    return tree.map(placed, x)


def _each(knowledge: Knowledge, batches: Iterable[Tree], ask: Callable[[Tree], T]) -> Iterator[T]:
    """What is answered to each batch, where the tasks are learned and, whatever torch's default."""
    for x in batches:
        with inputs_accepted(x), knowledge.lock:
            found = ask(_placed(knowledge, x))
        yield found


def _answer_for(knowledge: Knowledge, network: nn.Module, task: int, x: Tree) -> Answers:
    logits = _logits(network, x, knowledge.records[task].targets)
    tasks = torch.full((len(logits),), task, device=logits.device)
    return Answers(logits, tasks, torch.ones(len(logits), device=logits.device))


def _inferring(knowledge: Knowledge) -> Any:
    """The method; raises `ConfigError` if it must be told the task."""
    method = knowledge.method
    if method.answers == ("task",):
        rule = "a learner that infers no tasks must be told them"
        hint = "give task=..., or make the learner with infer_task='auto' or another way"
        raise ConfigError(rule, got="no task", hint=hint)
    return method


def _weighed(
    knowledge: Knowledge, method: InfersTask, batches: Iterable[Tree], groups: Tensor | None
) -> Iterator[Answers]:
    """Answers of all tasks, each weighed by p(t | x)."""
    found = _each(knowledge, batches, method.logits_and_evidence)
    if groups is None:
        for logits, evidence in found:
            yield _marginal(knowledge, logits, knowledge.calibration.log_posterior(evidence))
        return
    every = list(found)
    evidence = _pooled(torch.cat([evidence for _, evidence in every], dim=1), groups)
    posterior = torch.split(
        knowledge.calibration.log_posterior(evidence), [each.shape[1] for _, each in every], dim=1
    )
    for (logits, _), own in zip(every, posterior, strict=True):
        yield _marginal(knowledge, logits, own)


def _pooled(evidence: Tensor, groups: Tensor) -> Tensor:
    """(tasks, n) sums of (tasks, n) log evidence over the samples of a group, for each of these."""
    groups = groups.to(evidence.device)
    sums = evidence.new_zeros(len(evidence), int(groups.max()) + 1, dtype=torch.float64)
    return sums.index_add(1, groups, evidence.double())[:, groups]


def _marginal(knowledge: Knowledge, logits: Tensor, log_posterior: Tensor) -> Answers:
    """p(y | x) = Σ_t p(t | x) p(y | x, t), its parts side by side; values are the likeliest task's.

    `logits` are (tasks, n, outputs), `log_posterior` (tasks, n).
    """
    confidence, tasks = log_posterior.exp().to(logits.dtype).max(dim=0)
    if knowledge.design.problem == "regression":
        own = logits[tasks, torch.arange(len(tasks), device=tasks.device)]
        return Answers(own, tasks, confidence)
    joint = knowledge.calibration.log_outputs(logits) + log_posterior[:, :, None]
    widths = [record.targets.outputs for record in knowledge.records]
    parts = [own[:, :width] for own, width in zip(joint, widths, strict=True)]
    return Answers(torch.cat(parts, dim=1).to(logits.dtype), tasks, confidence, joined=True)


def _answer_jointly(knowledge: Knowledge, x: Tree) -> Answers:
    """One network's outputs over all tasks; the task with the largest probability is inferred."""
    scenario = knowledge.method.scenario
    if scenario.name == "task":  # of a method that is trained once for all of them
        scenario = scenario.named("class")
    outputs = knowledge.method.predict(x, None, scenario.name).logits
    if scenario.name == "domain":
        tasks = torch.zeros(len(outputs), dtype=torch.int64, device=outputs.device)
        sure = torch.ones(len(outputs), device=outputs.device)
        return Answers(outputs, tasks, sure, joined=True)
    by_task = torch.split(outputs.softmax(dim=1), list(scenario.heads), dim=1)
    confidence, tasks = torch.stack([each.sum(dim=1) for each in by_task]).max(dim=0)
    return Answers(outputs, tasks, confidence, joined=True)


@torch.no_grad()
def evidence_of(knowledge: Knowledge, batches: Iterable[Tree]) -> Tensor:
    """(tasks, n) log evidence; raises `ConfigError` for a method that has none."""
    method = _inferring(knowledge)
    if not isinstance(method, InfersTask):
        rule = "only a hypernetwork's tasks have an evidence"
        raise ConfigError(rule, got=knowledge.settings.method, hint="use method='hnet'")
    found = _each(knowledge, batches, lambda x: method.logits_and_evidence(x)[1])
    return torch.cat(list(found), dim=1).cpu()


def _columns(knowledge: Knowledge, task: int | None) -> list[Label]:
    """The label of each output of a task, or of all tasks side by side."""
    records = knowledge.records if task is None else [knowledge.records[task]]
    values: list[Label] = []
    for record in records:
        if not isinstance(record.targets, Classes):
            rule = "classes belong to classification"
            raise ConfigError(rule, got="a learner of regression", hint="predict gives its values")
        values += record.targets.labels.values
    return values


def labels_of(knowledge: Knowledge, task: int | None) -> Labels:
    """The distinct labels of a task or of all, sorted within each kind where they can be."""
    columns = _columns(knowledge, task)
    try:
        return Labels(sorted(columns, key=lambda label: (type(label).__name__, label)))
    except TypeError:  # tuples with parts of several kinds
        return Labels(columns)


def predictions(knowledge: Knowledge, found: Answers) -> NDArray[Any]:
    """(n,) labels, or (n,) or (n, k) values; raises `ConfigError` where their numbers differ."""
    if found.joined and knowledge.design.problem == "classification":
        best = probabilities(knowledge, found, None).argmax(axis=1)
        chosen: NDArray[Any] = labels_of(knowledge, None).array[best]
        return chosen
    parts, rows = [], []
    for task in torch.unique(found.tasks).tolist():
        record, of_task = knowledge.records[task], found.tasks == task
        parts.append(record.targets.answer(found.outputs[of_task, ..., : record.targets.outputs]))
        rows.append(of_task.nonzero().squeeze(1))
    if len({part.shape[1:] for part in parts}) > 1:
        rule = "tasks with different numbers of values cannot answer side by side"
        raise ConfigError(rule, got="samples of several such tasks", hint="name the task")
    if len({part.dtype.kind for part in parts}) > 1:  # what is of several kinds stays what it is
        parts = [part.astype(object) for part in parts]
    order: NDArray[np.int64] = torch.cat(rows).argsort().numpy()
    return np.concatenate(parts)[order]


def probabilities(knowledge: Knowledge, found: Answers, task: int | None) -> NDArray[np.float32]:
    """(n, labels) probabilities; those of a label that several tasks share are added up."""
    if task is not None and knowledge.design.problem in DENSE:
        own: Any = knowledge.records[task].targets
        dense: NDArray[np.float32] = own.probabilities(found.outputs)
        return dense
    labels, shares = labels_of(knowledge, task), found.outputs.softmax(dim=1)
    columns = labels.encode(_columns(knowledge, task))
    return shares.new_zeros(len(shares), len(labels)).index_add(1, columns, shares).numpy()


def score(knowledge: Knowledge, answers: NDArray[Any], given: list[object]) -> float:
    """The share of right labels or, in regression, R²: what scikit-learn's estimators score by.

    Raises `DataError` for targets with another number of values than the answers.
    """
    if knowledge.design.problem == "regression":
        from sklearn.metrics import r2_score  # type: ignore[import-untyped]  # slow to import

        values, found = (numbers(y).numpy().reshape(len(y), -1) for y in (given, answers))
        if values.shape != found.shape:
            got = f"targets of shape {values.shape} for {found.shape} answers"
            raise DataError("a target must have as many values as an answer", got=got)
        return float(r2_score(values, found))
    right = [a == plain(b) for a, b in zip(answers.tolist(), given, strict=True)]
    return float(np.mean(right))


def summary(knowledge: Knowledge) -> str:
    """A line for each task, and one for all."""
    records = [
        (f"{r.name} (adapted)" if r.adapted else r.name, r.targets.outputs, r.samples, r.updates)
        for r in knowledge.records
    ]
    rows = [
        [str(each) for each in row] for row in [("task", "outputs", "samples", "updates"), *records]
    ]
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], widths)]) for row in rows]
    share, tasks = knowledge.method.compression(), len(knowledge.records)
    kept = f"{share:.2f} of the learned values of one task's networks"
    stored = f"{knowledge.stored} numbers stored, with buffers"
    if knowledge.settings.infer_task is not None or knowledge.design.why:
        lines += [f"tasks inferred by {inference_of(knowledge)}"]
    if knowledge.design.start == "pretrained":
        lines += [f"weights start at the model's own: {start_of(knowledge)}"]
    lines += [f"{knowledge.design.problem}; {tasks} tasks kept in {kept}; {stored}"]
    return "\n".join(lines)


def inference_of(knowledge: Knowledge) -> str:
    """How tasks are inferred, why, and how many held-out samples are found to be their task's."""
    way, why, losses = knowledge.way, knowledge.design.why, knowledge.calibrations.losses
    named = way if isinstance(way, str | None) else type(way).__name__
    told = f"{named}: {why}" if why else f"{named}"
    if kept := getattr(getattr(knowledge.method, "evidence", None), "kept", 0):
        told += f"; {kept} numbers kept"
    if len(knowledge.records) > 1 and len(losses) > 1:
        each = ", ".join(f"{kind} {loss:.1f}" for kind, loss in losses.items())
        told += f"; nats lost on held-out samples: {each}"
    found = zip(knowledge.calibration.recognised.tolist(), knowledge.records, strict=False)
    shares = ", ".join(f"{share:.0%}" for share, record in found if not record.adapted)
    return f"{told}; held-out samples recognised: {shares}" if shares else told


def start_of(knowledge: Knowledge) -> str:
    """Where weights start, and why there."""
    start, why = knowledge.design.start, knowledge.design.why_start
    return f"{start}: {why}" if why else start
