"""A finished training comes back from its folder."""

import shutil

import numpy as np
import pytest

from figure_runs import METHODS
from hypermnesia.errors import RunError
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.training.evaluate import evaluate
from unsealed import unseal


@pytest.mark.parametrize("method", METHODS)
def test_a_trained_method_comes_back_as_it_was(runs, method):
    trained = finished_seed(runs[method])
    seen = [evaluate(trained.method, part, "task").accuracy for part in trained.parts()]
    np.testing.assert_array_equal(seen, trained.result.accuracy["task"][-1])


def test_weights_of_another_run_are_refused(runs, tmp_path):
    run, file = tmp_path / "run", "seed-0/weights.safetensors"
    shutil.copytree(runs["hnet-tir"], run)
    (run / file).write_bytes((runs["hnet-r"] / file).read_bytes())
    unseal(run / "seed-0" / "result.json")
    with pytest.raises(RunError, match="must hold the weights of this run"):
        _ = finished_seed(run).method
