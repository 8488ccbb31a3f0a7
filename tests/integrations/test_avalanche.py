"""Avalanche: its numbers of classes and tasks in, its logits out; and with it where it is."""

from __future__ import annotations

import math
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hypermnesia.data.benchmarks import BenchmarkSettings
from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.integrations.avalanche import (
    FLOOR,
    PartDataset,
    Taught,
    avalanche_benchmark,
    avalanche_strategy,
)
from hypermnesia.methods import Prediction
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.training import evaluate
from problems import CPU, blobs, small_net

SETTINGS: dict[str, object] = {
    "hypernet": HypernetSettings((8,), 4, 4, chunk=40),
    "optimizer": OptimizerSettings(lr=0.01),
    "embedding_optimizer": OptimizerSettings(lr=0.01),
}


def taught(method: str, scenario: str, numbers: list[list[int]], updates: int = 40) -> Taught:
    """Blobs of two classes a task, which have other numbers; the tasks have the labels 10, 11."""
    made = Taught(small_net(), method, scenario, SETTINGS, 0, CPU)
    for task, own in enumerate(numbers):
        part = blobs(task)
        made.begin(10 + task, own, updates, (6,))
        y = torch.tensor(own)[part.y]
        for _ in range(updates):
            made.update(part.x, y)
        made.end([made.batch(part.x, y)])
    return made


@pytest.mark.parametrize(
    ("method", "scenario", "numbers"),
    [
        ("hnet", "task", [[2, 7], [0, 3]]),
        ("hnet-ent", "class", [[2, 7], [0, 3]]),
        ("finetune", "class", [[2, 7]]),
        ("finetune", "domain", [[2, 7]]),
    ],
)
def test_answers_are_in_avalanches_numbers(method: str, scenario: str, numbers) -> None:
    made = taught(method, scenario, numbers)
    part, own = blobs(0), torch.tensor(numbers[0])
    labels = torch.full((len(part),), 10) if scenario == "task" else None
    logits = made.logits(part.x, labels, 9)
    assert logits.shape == (len(part), 9)
    if scenario == "task":
        assert (logits.argmax(1) == own[part.y]).float().mean() > 0.9
    else:
        given = made.method.predict(part.x, None, scenario).logits
        columns = [each for task in numbers for each in task]
        known = given.isfinite()
        torch.testing.assert_close(logits[:, columns][known], given[known])
    least = logits.amin(dim=1, keepdim=True)
    assert (logits[:, [1, 4, 5, 6, 8]] == least).all()
    assert (least < logits.amax(dim=1, keepdim=True)).all()
    unknown = made.logits(part.x, torch.full((len(part),), 99), 12)
    assert unknown.shape[1] == 12
    if scenario == "task":
        assert (unknown == FLOOR).all()
        mixed = made.logits(part.x, torch.arange(len(part)) % 2 + 10, 9)
        torch.testing.assert_close(mixed[::2], logits[::2])
        assert (mixed[1::2, own] == mixed[1::2].amin(dim=1, keepdim=True)).all()


@pytest.mark.parametrize("scenario", ["task", "class", "domain"])
def test_low_logits_keep_their_order(scenario: str) -> None:
    made, low = taught("finetune", scenario, [[2, 7]]), torch.tensor([[-3e5, -2e5], [-2e5, -3e5]])
    made.method = SimpleNamespace(predict=lambda *_: Prediction(low, None))
    answers = made.logits(torch.zeros(2, 4), torch.tensor([10, 10]), 9)
    assert answers.isfinite().all()
    assert answers.argmax(dim=1).tolist() == [7, 2]


@pytest.mark.parametrize(
    ("scenario", "numbers", "rule"),
    [
        ("class", [[0, 1], [1, 2]], "every class must belong to one experience; got class 1"),
        ("domain", [[0, 1], [0, 2]], "must have the same classes"),
    ],
)
def test_classes_that_do_not_fit_are_refused(scenario: str, numbers, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        taught("finetune", scenario, numbers, updates=1)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match="works in the scenarios task"):
        Taught(small_net(), "hnet", "class", {}, 0, CPU)
    with pytest.raises(ConfigError, match="learns all at once"):
        taught("joint", "task", [[0, 1]])
    made = taught("hnet", "task", [[0, 1]], updates=1)
    with pytest.raises(ConfigError, match="task label of its own; got 10 again"):
        made.begin(10, [2, 3], 1, (6,))
    with pytest.raises(ConfigError, match="must give task labels"):
        made.logits(blobs(0).x, None, 2)


def test_without_avalanche_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "avalanche", None)
    monkeypatch.setitem(sys.modules, "avalanche.training.templates", None)
    with pytest.raises(ConfigError, match="needs the package avalanche-lib"):
        avalanche_benchmark("split-digits")


def test_samples_are_those_of_a_part() -> None:
    part = blobs(0)
    samples = PartDataset(part, first=4)
    x, y = samples[3]
    assert (len(samples), y) == (64, int(part.y[3]) + 4)
    assert x.equal(part.x[3])


@pytest.fixture(scope="module")
def avalanche() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import avalanche.training  # noqa: F401
        except (ImportError, RuntimeError) as error:
            pytest.skip(f"Avalanche cannot be imported: {str(error).splitlines()[0]}")
    return sys.modules["avalanche"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("method", "scenario"), [("hnet", "task"), ("hnet-ent", "class")])
def test_it_trains_on_avalanches_streams(avalanche: Any, method: str, scenario: str) -> None:
    from avalanche.evaluation.metrics import accuracy_metrics, loss_metrics
    from avalanche.training.plugins import EvaluationPlugin

    benchmark = avalanche_benchmark("split-digits", scenario, settings=BenchmarkSettings(tasks=2))
    metrics = EvaluationPlugin(
        accuracy_metrics(epoch=True, experience=True, stream=True), loss_metrics(stream=True)
    )
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 20), torch.nn.ReLU())
    network.append(torch.nn.Linear(20, 2))
    strategy = avalanche_strategy(
        network, method, scenario, SETTINGS, device="cpu",
        train_mb_size=32, train_epochs=6, eval_mb_size=100, evaluator=metrics,
    )  # fmt: skip
    for experience in benchmark.train_stream:
        reported = strategy.train(experience)
    seen = [v for name, v in reported.items() if name.startswith("Top1_Acc_Epoch/train")]
    assert seen
    found = strategy.eval(benchmark.test_stream)
    ours = []
    for task, experience in enumerate(benchmark.test_stream):
        part = experience.dataset._datasets[0].part
        ours.append(evaluate(strategy.taught.method, part, scenario).accuracy / 100)
        names = [n for n in found if n.startswith("Top1_Acc_Exp/") and n.endswith(f"Exp00{task}")]
        assert [found[name] for name in names] == [pytest.approx(ours[-1])]
    if scenario == "task":  # tasks so small and short are not told apart by certainty
        assert min(*seen, *ours) > 0.8
    losses = [value for name, value in found.items() if name.startswith("Loss_Stream")]
    assert losses
    assert all(map(math.isfinite, losses))


@pytest.mark.filterwarnings("ignore")
def test_it_trains_on_a_benchmark_of_avalanches_own(avalanche: Any) -> None:
    from avalanche.benchmarks import nc_benchmark
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin
    from torch.utils.data import TensorDataset

    parts = [blobs(task) for task in range(2)]
    made = TensorDataset(
        torch.cat([part.x for part in parts]), torch.cat([p.y + 2 * p.task for p in parts])
    )
    made.targets = made.tensors[1].tolist()
    benchmark = nc_benchmark(made, made, n_experiences=2, task_labels=True, seed=3)
    strategy = avalanche_strategy(
        small_net(), "hnet", "task", SETTINGS, device="cpu",
        train_mb_size=16, train_epochs=15, eval_mb_size=32,
        evaluator=EvaluationPlugin(accuracy_metrics(stream=True)),
    )  # fmt: skip
    for experience in benchmark.train_stream:
        strategy.train(experience)
    found = strategy.eval(benchmark.test_stream)
    (accuracy,) = found.values()  # over all of the stream
    assert accuracy > 0.9
