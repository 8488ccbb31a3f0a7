"""A finished training, read from its run folder: its method, its data, its networks as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from hypermnesia.data.benchmarks import BENCHMARKS, make_tasks
from hypermnesia.data.types import Part, Task
from hypermnesia.errors import ConfigError, HypermnesiaError, RunError
from hypermnesia.experiments.config import ExperimentConfig, net_of
from hypermnesia.experiments.results import read_fields, read_result, read_weights
from hypermnesia.experiments.run import benchmark_settings, method_of, train_settings
from hypermnesia.experiments.run_folder import RunFolder, SeedFolder
from hypermnesia.methods import Method
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.metrics import Matrix
from hypermnesia.onnx_files import to_onnx
from hypermnesia.registry import unknown_name
from hypermnesia.seeding import Generators
from hypermnesia.state_files import MISFITS
from hypermnesia.storage import refuse_links, write_bytes
from hypermnesia.training.evaluation import TrainResult, evaluate
from hypermnesia.training.phases import evaluation_part


def transfer_matrix(method: HypernetMethod, parts: Sequence[Part]) -> Matrix:
    """E[i, j]: accuracy, in percent, of the i-th task's embedding on the samples of the j-th.

    It is that of the task scenario, whose accuracy matrix ends with the diagonal.
    """
    # Whose task they are said to be decides who answers.
    named = [[replace(part, task=own.task) for part in parts] for own in parts]
    return np.array([[evaluate(method, part, "task").accuracy for part in row] for row in named])


@dataclass(frozen=True)
class FinishedSeed:
    """A seed of a run; made by `finished_seed`."""

    config: ExperimentConfig
    seed: int
    folder: SeedFolder

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return self.config.tasks

    @cached_property
    def result(self) -> TrainResult:
        """What was measured."""
        return read_result(self.folder, self.config, self.seed)

    @cached_property
    def method(self) -> Method:
        """The method as the training left it, on the CPU; raises where its weights are not good."""
        noted = read_fields(self.folder)["files"].get(self.folder.weights.name)
        state = read_weights(self.folder.weights, noted)
        part = Part(_blank(self.config), torch.zeros(1, dtype=torch.int64), 0)
        task = Task(0, "blank", BENCHMARKS[self.config.benchmark].classes[0], part, None, part)
        try:
            method = method_of(self.config, task, Generators(self.seed), torch.device("cpu"))
            method.load_state_dict(state)
            if (learned := len(method.scenario.heads)) != self.tasks:
                raise ValueError(f"those of {learned} tasks")
        except HypermnesiaError:
            raise
        except MISFITS as error:
            got, hint = str(error).partition("\n")[0], "train the seed anew with --overwrite"
            rule = f"{self.folder.weights} must hold the weights of this run"
            raise RunError(rule, got=got, hint=hint) from None
        return method

    def parts(self) -> Sequence[Part]:
        """The samples of every task that its accuracies are about."""
        tasks = make_tasks(self.config.benchmark, benchmark_settings(self.config), self.seed)
        return [evaluation_part(task, train_settings(self.config)) for task in tasks]


def finished_seed(
    path: Path, seed: int | None = None, data_dir: Path | None = None
) -> FinishedSeed:
    """A finished seed of a run, by default the first, its data in `data_dir`; raises otherwise."""
    folder = RunFolder(path)
    refuse_links(path)
    config, finished = folder.read_config(), folder.finished_seeds()
    if not finished or seed not in (None, *finished):
        known = ", ".join(map(str, finished)) or "none"
        hint = f"finished in {path}: {known}; go on with: hypermnesia resume {path}"
        rule = "only a seed whose training is finished can be looked at"
        raise RunError(rule, got="none" if seed is None else seed, hint=hint)
    chosen = finished[0] if seed is None else seed
    if data_dir is not None:
        machine = replace(config.machine, data_dir=str(data_dir))
        config = config.model_copy(update={"machine": machine})
    return FinishedSeed(config, chosen, folder.seed(chosen))


def _blank(config: ExperimentConfig) -> Tensor:
    """(1, ...) a sample of zeros in place of the data."""
    return torch.zeros(1, *BENCHMARKS[config.benchmark].sample_shape(config.data.padding))


_KINDS = ("onnx", "torch")


@dataclass(frozen=True)
class Exported:
    """A file of a network, the shape of its inputs, and lines of Python to load it if not ONNX."""

    path: Path
    inputs: tuple[int, ...]
    outputs: int
    how_to_load: tuple[str, ...]


def export_task(
    run: Path, task: int, kind: str, out: Path, *, seed: int | None = None, overwrite: bool = False
) -> Exported:
    """Write the network of a task, which counts from 1, to a file; needs no data.

    It takes inputs as the run's batches hold them: images in [0, 1], permuted where they were.
    `kind` is `onnx`, or `torch` for parameters and buffers as safetensors; `seed` the run's first
    that is finished by default. A file that exists raises `RunError` unless it may be overwritten.
    """
    if kind not in _KINDS:
        raise unknown_name("kind of file", kind, _KINDS)
    if out.exists() and not overwrite:
        raise RunError("nothing is overwritten", got=f"{out}, which exists", hint="add --overwrite")
    of = finished_seed(run, seed)
    if not 1 <= task <= of.tasks:
        raise ConfigError(f"--task counts from 1 to {of.tasks} here", got=task)
    network, example = of.method.export(task - 1), torch.cat(2 * [_blank(of.config)])
    with torch.no_grad():
        outputs, shape = network(example).shape[1], tuple(example.shape[1:])
    if kind == "onnx":
        write_bytes(out, to_onnx(network, example))
        return Exported(out, shape, outputs, ())
    net, settings = of.config.target.net, net_of(of.config)
    how = (
        "from safetensors.torch import load_file",
        f"from {type(settings).__module__} import {type(settings).__name__}",
        "from hypermnesia.nets import build_net",
        "from hypermnesia.seeding import Generators",
        f"sizes = {settings}",
        f"network = build_net({net!r}, {shape}, {outputs}, Generators(0), sizes)",
        f"network.eval().load_state_dict(load_file({str(out)!r}))",
    )
    write_bytes(out, safetensors.torch.save(network.state_dict(), {"how_to_load": "\n".join(how)}))
    return Exported(out, shape, outputs, how)
