"""The one place that knows the inside of Hypermnesia: edit this when it moves, and nothing else.

`ContinualLearner`, which `learning.py` uses, is public and imported from the package.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from golden.cases import Case
from hypermnesia.cli import main
from hypermnesia.experiments.finished import export_task
from hypermnesia.experiments.resolve import Request, resolve
from hypermnesia.experiments.run import Place, resume, run_all
from hypermnesia.hypernet.network import PlanName
from hypermnesia.methods import METHODS
from hypermnesia.nets import NETS
from hypermnesia.optimizers import OPTIMIZERS
from hypermnesia.regularization.lookahead import LOOKAHEADS
from hypermnesia.regularization.output import REGULARIZERS
from hypermnesia.training.observers import Observer, StopTraining

SEED = 0


def scenarios_of_methods() -> dict[str, tuple[str, ...]]:
    """The scenarios that need a training of their own, by name of the registered method."""
    return {
        name: ("class",) if METHODS[name].trained == "once" else METHODS[name].scenarios
        for name in METHODS
    }


def registered() -> dict[str, set[str]]:
    """Names that some run must set, by setting."""
    return {
        "regularizer.kind": set(REGULARIZERS),
        "regularizer.lookahead": set(LOOKAHEADS),
        "optimizer.name": set(OPTIMIZERS),
        "target.net": set(NETS),
        "hypernet.plan": set(PlanName.__args__),
    }


class Measured:
    """What a run left in its folder.

    Attributes:
        samples: those of each task that accuracies are of; None if nobody watched.
        result: accuracy, inference (percent) and confusion by scenario; None stands for NaN.
    """

    def __init__(self, folder: Path, samples: list[int] | None = None) -> None:
        self.samples = samples
        self._folder, self._seed = folder, folder / f"seed-{SEED}"
        self.result: dict[str, Any] = json.loads((self._seed / "result.json").read_text())
        lines = (self._seed / "metrics.jsonl").read_text().splitlines()
        self._log = [json.loads(line) for line in lines]

    def losses(self) -> list[float]:
        """The loss at the last update of each phase of training."""
        last = {line["task"]: line["loss"] for line in self._log if line["kind"] == "update"}
        return [last[task] for task in sorted(last)]

    def weights(self) -> list[Tensor]:
        """All that the method keeps."""
        return list(safetensors.torch.load_file(self._seed / "weights.safetensors").values())

    def network(self, task: int) -> list[Tensor]:
        """Parameters and buffers of the network of a task, from 0, in the order of their names."""
        out = self._folder / f"network-{task}.safetensors"
        export_task(self._folder, task + 1, "torch", out, overwrite=True)
        named = safetensors.torch.load_file(out)
        return [named[name] for name in sorted(named)]

    @property
    def tasks(self) -> int:
        """Their number."""
        return len(next(iter(self.result["accuracy"].values())))


class _Watch(Observer):
    """Counts the samples that accuracies are of; ends a run in the middle, if told how."""

    def __init__(self, config: Any, end: type[BaseException] | None = None) -> None:
        self._part, self._end = config.data.evaluate_on, end
        self._middle = self._done = 0
        self.samples: list[int] = []

    def on_start(self, tasks: Sequence[Any], total_iterations: int) -> None:
        self.samples = [len(getattr(task, self._part)) for task in tasks]
        self._middle = total_iterations // 2

    def on_update(self, *_: object) -> None:
        self._done += 1
        if self._end is not None and self._done == self._middle:
            raise self._end


def run(case: Case, out: Path) -> Measured:
    """Run a case in a folder, without a break."""
    config = _resolved(case)
    watch = _Watch(config)
    run_all([config], Place(out, "run"), lambda *_: watch)
    return Measured(out / "run", watch.samples)


def run_in_two_parts(case: Case, out: Path, *, killed: bool = False) -> Measured:
    """Run a case that ends in the middle of a task, and resume it.

    Asked to stop, a run saves itself; killed, it goes on from its last checkpoint, here of the
    update before.
    """
    end = KeyboardInterrupt if killed else StopTraining
    config = _resolved(case, *(["train.checkpoint_seconds=1.0e-9"] if killed else []))
    try:
        run_all([config], Place(out, "run"), lambda *_: _Watch(config, end))
    except end:
        assert not (out / "run" / f"seed-{SEED}" / "result.json").exists()
    else:
        raise AssertionError("the run was to be broken off")
    watch = _Watch(config)
    resume(out / "run", lambda *_: watch)
    return Measured(out / "run", watch.samples)


def run_by_command(case: Case, out: Path) -> Measured:
    """Run a case as the command line does."""
    words = ["run", case.benchmark, "--method", case.method, "--scenario", case.scenario]
    words += ["--seeds", f"{SEED}", "--out", f"{out}", "--name", "run"]
    words += [word for each in case.assignments() for word in ("--set", each)]
    assert main(words) == 0
    return Measured(out / "run")


def _resolved(case: Case, *more: str) -> Any:
    words = [*case.assignments(), *more]
    request = Request(case.benchmark, (case.method,), case.scenario, (SEED,), assignments=words)
    (config,) = resolve(request)
    return config
