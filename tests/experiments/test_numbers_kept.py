"""Numbers kept beside accuracies, and methods at several sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_config import small

from hypermnesia.experiments.compare import Question, plan
from hypermnesia.experiments.sizes import numbers_kept, untrained
from hypermnesia.methods import METHODS
from hypermnesia.training.evaluation import TrainResult


@pytest.mark.parametrize("method", ["finetune", "hnet", "dgr", "hnet-r", "hnet-tir"])
def test_numbers_of_earlier_results_follow_from_their_compression(method: str) -> None:
    config = small(method=method)
    built = untrained(config)
    result = TrainResult({"task": np.eye(2)}, {}, {}, 1.0, (1.0,), 1.0, built.compression())
    assert numbers_kept(config, result) == built.kept
    assert numbers_kept(config, replace(result, kept=7.0)) == 7.0


def test_sizes_are_cells_of_their_own() -> None:
    asked = Question(("split-digits",), ("class",), ("finetune", "patch-sum"), (0,), sizes=True)
    cells = plan(asked)
    assert [cell.label for cell in cells][:3] == [
        "finetune",
        "patch-sum",
        "patch-sum patches.number=60 posterior.rank=15 posterior.width=0 posterior.views=0 "
        "posterior.ridge=5 posterior.density=4",  # the recipe has 30 patches
    ]
    numbers = [cell.config.patches.number for cell in cells[1:]]
    assert sorted(numbers) == [30, 60, 100, 200, 300]
    assert not any(cell.size for cell in cells[:2])


def test_every_size_is_one_that_the_method_takes() -> None:
    for name in METHODS:
        if METHODS[name].sizes:
            scenario = METHODS[name].scenarios[-1]
            cells = plan(Question(("split-digits",), (scenario,), (name,), (0,), sizes=True))
            assert len(cells) >= len(METHODS[name].sizes)
