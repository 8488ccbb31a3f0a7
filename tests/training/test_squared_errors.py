"""Tasks with values for targets, through the loop and the command line."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from hypermnesia.cli import main
from hypermnesia.data.benchmarks import BenchmarkSettings, make_tasks
from hypermnesia.data.types import Part, check_samples
from hypermnesia.errors import DataError
from hypermnesia.methods.base import Prediction
from hypermnesia.regularization.quadratic import diagonal_fisher
from hypermnesia.training import evaluate


def run(method: str, tmp_path, *words: str) -> int:
    quick = ["--set", "train.iterations=150", "--out", str(tmp_path), "--name", "run"]
    return main(["run", "curves", "--method", method, *quick, *words])


@pytest.mark.parametrize("method", ["hnet", "finetune", "separate", "joint", "ewc", "si"])
def test_every_method_that_learns_values_runs(method, tmp_path, capsys) -> None:
    assert run(method, tmp_path) == 0
    shown = capsys.readouterr()
    assert "mean squared error" in shown.out
    assert "%" not in shown.out
    folder = tmp_path / "run"
    result = json.loads((folder / "seed-0" / "result.json").read_text())
    assert result["measure"] == "mse"
    assert result["accuracy"]["task"][-1][-1] < 1.0
    log = (folder / "seed-0" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert all("accuracy" not in line for line in lines)
    assert any("mse" in line for line in lines)
    assert json.loads((folder / "summary.json").read_text())["measure"] == "mse"
    assert run(method, tmp_path) == 0  # the result is read, not made anew


def test_a_method_of_classes_is_refused_in_a_line(tmp_path, capsys) -> None:
    assert run("lwf", tmp_path) == 2
    told = capsys.readouterr().err
    assert "learns classes" in told
    assert told.count("\n") == 1


def test_the_curves_are_those_of_the_paper() -> None:
    tasks = make_tasks("curves", BenchmarkSettings(validation=10), 0)
    functions = [lambda x: x + 3, lambda x: 2 * x**2 - 1, lambda x: (x - 3) ** 3]
    for task, function, start in zip(tasks, functions, (-4, -1, 2), strict=True):
        assert (len(task.train), len(task.validation), len(task.test)) == (90, 10, 100)
        train = task.train.batch(torch.arange(90))
        assert (train.x >= start).all()
        assert (train.x <= start + 2).all()
        noise = train.y - function(train.x)
        assert 0.03 < float(noise.std()) < 0.07
        assert torch.allclose(task.test.y, function(task.test.x))


class Constant:
    """Answers 1 to everything."""

    def __init__(self, scenario) -> None:
        self.scenario = scenario

    def predict(self, x, task=None, scenario=None) -> Prediction:
        return Prediction(torch.ones(len(x), 2), None)


def test_errors_are_means_over_samples_and_values() -> None:
    from hypermnesia.data.scenarios import Scenario

    y = torch.tensor([[1.0, 1.0], [1.0, 3.0], [0.0, 1.0]])
    part = Part(torch.zeros(3, 1), y, 0)
    found = evaluate(Constant(Scenario("task", (2,))), part, "task", batch_size=2)
    assert found.measure == "mse"
    assert found.accuracy == pytest.approx(5 / 6)


def test_targets_that_are_no_numbers_are_refused() -> None:
    task = make_tasks("curves", BenchmarkSettings(), 0)[0]
    task.train.y[3] = torch.nan
    with pytest.raises(DataError, match="targets must be finite"):
        check_samples([task])


def test_the_fisher_information_of_values_is_by_its_definition() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    x = torch.randn(5, 2, dtype=torch.float64)
    expected = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    for sample in x:
        for output in range(2):
            network.zero_grad()
            network(sample[None])[0, output].backward()
            for name, p in network.named_parameters():
                expected[name] += p.grad**2 / len(x)
    found = diagonal_fisher(network, [x[:2], x[2:]], slice(0, 2), regression=True)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
