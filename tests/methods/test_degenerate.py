"""Data with little in them: every method learns that little, and answers with numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from hypermnesia.data.types import Part, Task
from hypermnesia.errors import ConfigError
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.methods import METHODS, Method, TaskSpec
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.training import Observer, TrainResult, TrainSettings, train
from problems import CPU, batches, blobs, build, learn

TASKS = 3


def sequence(x: Tensor, y: Tensor, outputs: int = 2) -> list[Task]:
    """The same samples as every task."""
    parts = [Part(x, y, index) for index in range(TASKS)]
    return [Task(i, f"t{i}", outputs, part, None, part) for i, part in enumerate(parts)]


def noise(n: int) -> Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(0))


HALVES = torch.arange(8) % 2
CASES = {
    "one class": sequence(noise(8), torch.zeros(8, dtype=torch.int64), outputs=1),
    "a class without samples": sequence(noise(8), torch.zeros(8, dtype=torch.int64)),
    "two samples": sequence(noise(2), HALVES[:2]),
    "constant samples": sequence(torch.full((8, 6), 0.5), HALVES),
    "zeros": sequence(torch.zeros(8, 6), HALVES),
    "the same task again": sequence(blobs(0, n=8).x, HALVES),
}


def taught(method: Method, generators: Generators, tasks: list[Task]) -> TrainResult:
    settings = TrainSettings(batch_size=4, iterations=3)
    observer, device = Observer(), CPU
    return train(
        method, tasks, settings=settings, generators=generators, observer=observer, device=device
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", list(METHODS))
def test_little_to_learn_is_learned(name: str, case: str) -> None:
    generators = Generators(0)
    clipped = OptimizerSettings(lr=0.01, clip=1.0)
    method = build(name, generators=generators, optimizer=clipped)
    tasks = CASES[case]
    if name in ("hnet-ent", "hnet-bayes") and case == "one class":  # which has no entropy
        with pytest.raises(ConfigError, match="two or more; got a task with one class"):
            taught(method, generators, tasks)
        return
    result = taught(method, generators, tasks)
    for name_, matrix in result.accuracy.items():
        assert np.isfinite(matrix[-1]).all()
        if case == "one class" and name_ == "task":
            assert (matrix[-1] == 100).all()
    x = tasks[0].test.x
    for scenario in method.answers:
        scores = method.predict(x, 0 if scenario == "task" else None, scenario).logits
        assert scores.max(dim=1).values.isfinite().all()


@pytest.mark.parametrize("scenario", ["domain", "class"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["ewc", "si", "lwf", "dgr-distill"])
def test_so_it_is_in_the_other_scenarios(name: str, case: str, scenario: str) -> None:
    generators = Generators(0)
    method = build(name, scenario, generators=generators)
    result = taught(method, generators, CASES[case])
    assert np.isfinite(result.accuracy[scenario][-1]).all()


@pytest.mark.parametrize("case", [case for case in CASES if case != "one class"])
def test_calibration_divides_by_no_zero(case: str) -> None:
    generators = Generators(0)
    inference = EntropySettings(calibrated=True)
    method = build("hnet-ent", generators=generators, inference=inference)
    result = taught(method, generators, CASES[case])
    assert np.isfinite(result.accuracy["class"][-1]).all()


def test_one_sample_is_enough_for_a_network_without_batch_norm() -> None:
    for name in METHODS:
        generators = Generators(0)
        method = plain(name, generators)
        result = taught(method, generators, sequence(noise(1), HALVES[:1]))
        assert np.isfinite(result.accuracy["task"][-1]).all()


def plain(name: str, generators: Generators) -> Method:
    """A method whose network has nothing that needs two samples."""
    network = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    return build(name, network=network, generators=generators)


def test_a_thousand_tasks_of_ten_samples() -> None:
    method = plain("hnet", Generators(0))
    for task in range(1000):
        learn(method, blobs(task, n=10), 1)
    for task in (0, 500, 999):
        assert method.predict(blobs(task).x, task).logits.isfinite().all()
    state = method.state_dict()
    again = plain("hnet", Generators(1))
    again.load_state_dict(state)
    again.begin_task(TaskSpec(2, 1))
    again.update(batches(blobs(1000, n=10), 1)[0])
