"""A run that takes milliseconds: small tasks, a linear method, and observers that crash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Batch, Part, Task
from hypermnesia.errors import ConfigError
from hypermnesia.methods.base import Prediction, TaskSpec, reported
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.training import (
    CheckpointStore,
    Observer,
    ObserverGroup,
    Phase,
    TrainResult,
    TrainSettings,
    train,
)
from hypermnesia.training.logs import MetricsLog

CPU = torch.device("cpu")


def make_tasks(count: int = 2, samples: int = 14, features: int = 3) -> list[Task]:
    def part(task: int, kind: int) -> Part:
        generator = torch.Generator().manual_seed(10 * task + kind)
        y = torch.arange(samples) % 2
        x = torch.randn(samples, features, generator=generator)
        x[:, task % features] += 4.0 * (2 * y - 1)
        return Part(x, y, task)

    return [Task(t, f"t{t}", 2, part(t, 0), part(t, 1), part(t, 2)) for t in range(count)]


class Linear:
    """A linear softmax classifier over all columns, with momentum and noisy gradients."""

    answers_untrained = True

    def __init__(
        self,
        generators: Generators,
        scenario: ScenarioName = "task",
        trains_on: Literal["task", "all"] = "task",
        features: int = 3,
    ) -> None:
        self.scenario = Scenario(scenario)
        self.answers: tuple[ScenarioName, ...] = (scenario,)
        self.trains_on: Literal["task", "all"] = trains_on
        self.generators = generators
        self.specs: list[TaskSpec] = []
        self.ended = 0
        self.ended_with: list[Tensor] = []
        self._grow(torch.zeros(0, features + 1))

    def _grow(self, weight: Tensor) -> None:
        self.weight = weight.requires_grad_()
        self.optimizer = torch.optim.SGD([self.weight], lr=0.1, momentum=0.9)

    def begin_task(self, spec: TaskSpec) -> None:
        self.specs.append(spec)
        old = len(self.weight)
        self.scenario = self.scenario.add(spec.outputs)
        shape = self.scenario.columns - old, self.weight.shape[1]
        new = torch.randn(shape, generator=self.generators["init"])
        self._grow(torch.cat([self.weight.detach(), 0.1 * new]))

    def continue_task(self, task: int, iterations: int) -> None:
        raise ConfigError("it cannot go on with a task", got=task)

    @property
    def parts(self) -> dict[str, Any]:
        return {"loss": self}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        logits = self._logits(batch.x).masked_fill(~self.scenario.active(batch.task), -1e9)
        return {"loss": F.cross_entropy(logits, self.scenario.labels(batch.y, batch.task)).detach()}

    def _logits(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1), value=1.0) @ self.weight.T

    def update(self, batch: Batch) -> dict[str, Tensor]:
        logits = self._logits(batch.x).masked_fill(~self.scenario.active(batch.task), -1e9)
        labels = self.scenario.labels(batch.y, batch.task)
        loss = F.cross_entropy(logits, labels)
        self.optimizer.zero_grad()
        loss.backward()
        assert self.weight.grad is not None
        self.weight.grad += 0.01 * torch.randn(
            self.weight.shape, generator=self.generators["noise"]
        )
        self.optimizer.step()
        return reported(loss, logits, labels)

    def end_task(self, batches: Iterable[Batch]) -> None:
        self.ended += 1
        self.ended_with.append(torch.cat([batch.x for batch in batches]))

    def predict(
        self, x: Tensor, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        logits = self._logits(x)
        if task is not None:
            given = torch.full((len(x),), task)
            return Prediction(logits[:, self.scenario.candidates(task)], given)
        if self.scenario.name == "domain":
            return Prediction(logits, None)
        tasks = logits.argmax(-1) // 2
        if scenario != "domain":
            return Prediction(logits, tasks)
        own = logits.view(len(x), -1, 2)[torch.arange(len(x)), tasks]
        return Prediction(self.scenario.named("domain").place(own, tasks), tasks)

    def export(self, task: int) -> nn.Module:
        own = self.weight.detach()[self.scenario.candidates(task)]
        layer = nn.Linear(own.shape[1] - 1, len(own))
        layer.weight.data, layer.bias.data = own[:, :-1].clone(), own[:, -1].clone()
        return layer

    kept = 5

    def compression(self) -> float:
        return 0.5

    def state_dict(self) -> State:
        return {
            "heads": self.scenario.heads,
            "weight": self.weight,
            "optimizer": self.optimizer.state_dict(),
            "ended": self.ended,
        }

    def load_state_dict(self, state: State) -> None:
        self.scenario = Scenario(self.scenario.name, tuple(state["heads"]))
        self.ended = state["ended"]
        self._grow(state["weight"])
        self.optimizer.load_state_dict(state["optimizer"])


class CrashError(Exception):
    """Stands for whatever ends a process."""


class Skipped(Observer):
    """Notes what a resumed run goes on without."""

    def __init__(self, skipped: list[str]) -> None:
        self.skipped = skipped

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        self.skipped += skipped


class CrashAt(Observer):
    """Calls `crash` after the `at`-th update of this process, before it can be saved."""

    def __init__(self, at: int | None, crash: Callable[[], None]) -> None:
        self.left, self.crash = at, crash

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.crash()


def crash() -> None:
    raise CrashError


class Run:
    """One process's attempt at a run in `folder`; `go` may crash, and another Run go on."""

    def __init__(
        self,
        folder: Path,
        *,
        scenario: ScenarioName = "task",
        trains_on: Literal["task", "all"] = "task",
        owner: str = "run",
        tasks: list[Task] | None = None,
        **settings: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.skipped: list[str] = []
        self.generators = Generators(7)
        self.method = Linear(self.generators, scenario, trains_on)
        self.store = CheckpointStore(folder / "checkpoints", owner)
        self.tasks = make_tasks() if tasks is None else tasks
        self.settings = TrainSettings(**{"batch_size": 4, "iterations": 5} | settings)

    def go(
        self,
        crash_at: int | None = None,
        crash: Callable[[], None] = crash,
        observer: Observer | None = None,
    ) -> TrainResult:
        log = MetricsLog(self.folder / "metrics.jsonl", every=1)
        return train(
            self.method,
            self.tasks,
            settings=self.settings,
            generators=self.generators,
            observer=ObserverGroup(
                log, Skipped(self.skipped), CrashAt(crash_at, crash), observer or Observer()
            ),
            device=CPU,
            checkpoints=self.store,
        )

    def log(self) -> bytes:
        return (self.folder / "metrics.jsonl").read_bytes()
