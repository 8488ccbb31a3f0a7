"""The benchmark of drawn networks beside networks trained alone, very small."""

from __future__ import annotations

import json

import pytest
import torch
from benchmarks.ensembles import main, measured
from benchmarks.few_shot import numbers
from torch import Tensor

from hypermnesia.data.types import Part, Task


def test_it_prints_a_line_a_seed_and_way(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--tasks", "2", "--members", "2", "--iterations", "3", "--alone", "3", "--draws", "2"]
    small = ["--hidden", "8", "--chunk", "100", "--features", "4", "--samples", "20"]
    main(["--seeds", "0", "--outliers", "shuffled", *few, *small])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["way"] for line in lines] == ["hnet-bayes", "hnet-ent", "one alone", "2 alone"]
    assert lines[3]["kept"] == 2 * lines[2]["kept"]
    assert all(0 <= line["auroc"] <= 1 and line["nll"] > 0 for line in lines)


def test_what_it_measures_by_hand() -> None:
    """Two tasks of one class each are known, and a third is not, on which both are unsure."""

    class Given:
        validation, samples = 0, 10

    def part(task: int, value: float) -> Part:
        return Part(torch.full((4, 1), value), torch.zeros(4, dtype=torch.long), task)

    def logits(x: Tensor) -> Tensor:  # of the known task 0 at 1, of task 1 at 2, of none at 0
        sure = torch.cat([20 * (x == 1) + 0.1, 0 * x], dim=1)
        return torch.stack([sure, torch.cat([20 * (x == 2) + 0.2, 0 * x], dim=1)])

    places = enumerate(numbers("1,2,0"))
    tasks = [Task(t, str(t), 2, part(t, v), None, part(t, v)) for t, v in places]
    found = measured(logits, tasks, 2, Given())
    assert found["accuracy"] == found["inferred"] == 100.0
    assert found["auroc"] == 1.0
    assert found["nll"] == pytest.approx(0.0, abs=1e-6)
    assert found["ece"] == pytest.approx(0.0, abs=1e-6)
