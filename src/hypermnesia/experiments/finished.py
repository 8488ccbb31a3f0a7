"""A finished training, read from its run folder when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from hypermnesia.data.benchmarks import BENCHMARKS, make_tasks
from hypermnesia.data.types import Part, Task
from hypermnesia.durable import refuse_links
from hypermnesia.errors import HypermnesiaError, RunError
from hypermnesia.experiments.build import benchmark_settings, build_method, train_settings
from hypermnesia.experiments.claimed_sizes import check_claimed_sizes
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.run_folder import RunFolder, SeedFolder
from hypermnesia.experiments.seed_result import read_fields, read_result
from hypermnesia.experiments.weights import read_weights
from hypermnesia.methods import Method
from hypermnesia.methods.base import MISFITS
from hypermnesia.seeding import Generators
from hypermnesia.training.phases import evaluation_part
from hypermnesia.training.progress import TrainResult

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class FinishedSeed:
    """A seed of a run; made by `finished_seed`.

    Attributes:
        config: of the run.
        seed: its number.
        folder: where it is.
    """

    config: ExperimentConfig
    seed: int
    folder: SeedFolder

    @property
    def tasks(self) -> int:
        """How many there are."""
        return self.config.data.tasks

    @cached_property
    def result(self) -> TrainResult:
        """What was measured."""
        return read_result(self.folder, self.config, self.seed)

    @cached_property
    def method(self) -> Method:
        """The method as the training left it, on the CPU; needs no data.

        Raises:
            RunError: the weights are missing, damaged or of another run.
        """
        noted = read_fields(self.folder)["files"].get(self.folder.weights.name)
        state = read_weights(self.folder.weights, noted)
        try:
            most = self.folder.weights.stat().st_size // 2  # none is smaller than bf16
            check_claimed_sizes(self.config, most)
            method = build_method(self.config, [_blank(self.config)], Generators(self.seed), _CPU)
            method.load_state_dict(state)
            if (learned := len(method.scenario.heads)) != self.tasks:
                raise ValueError(f"those of {learned} tasks")
        except HypermnesiaError:
            raise
        except MISFITS as error:
            raise RunError(
                f"{self.folder.weights} must hold the weights of this run",
                got=str(error).partition("\n")[0],
                cure="train the seed anew with --overwrite",
            ) from None
        return method

    def parts(self) -> Sequence[Part]:
        """The samples of every task that its accuracies are about.

        Raises:
            DataError: they are not there.
        """
        settings = train_settings(self.config)
        tasks = make_tasks(self.config.benchmark, benchmark_settings(self.config), self.seed)
        return [evaluation_part(task, settings) for task in tasks]


def finished_seed(
    path: Path, seed: int | None = None, data_dir: Path | None = None
) -> FinishedSeed:
    """A finished seed of the run in the folder at `path`.

    Args:
        path: the run folder.
        seed: which; None for the first one that is finished.
        data_dir: folder of data files, where it has moved.

    Raises:
        RunError: there is no such run, or the seed is not finished.
    """
    folder = RunFolder(path)
    refuse_links(path)
    config, finished = folder.read_config(), folder.finished_seeds()
    if not finished or seed not in (None, *finished):
        known = ", ".join(map(str, finished)) or "none"
        raise RunError(
            "only a seed whose training is finished can be looked at",
            got="none" if seed is None else seed,
            cure=f"finished in {path}: {known}; go on with: hypermnesia resume {path}",
        )
    chosen = finished[0] if seed is None else seed
    if data_dir is not None:
        machine = config.machine.model_copy(update={"data_dir": str(data_dir)})
        config = config.model_copy(update={"machine": machine})
    return FinishedSeed(config, chosen, folder.seed(chosen))


def _blank(config: ExperimentConfig) -> Task:
    """The first task, with a sample of zeros in place of its data."""
    benchmark = BENCHMARKS[config.benchmark]
    x = torch.zeros(1, *benchmark.sample_shape(config.data.padding))
    part = Part(x, torch.zeros(1, dtype=torch.int64), 0)
    return Task(0, "blank", benchmark.classes[0], part, None, part)
