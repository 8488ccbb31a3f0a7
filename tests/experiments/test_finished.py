"""A finished training comes back from its folder."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from figure_runs import METHODS
from hypermnesia.errors import RunError
from hypermnesia.experiments.config import validated
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.training.evaluation import evaluate
from unsealed import unseal


@pytest.mark.parametrize("method", METHODS)
def test_a_trained_method_comes_back_as_it_was(runs, method):
    trained = finished_seed(runs[method])
    seen = [evaluate(trained.method, part, "task").accuracy for part in trained.parts()]
    np.testing.assert_array_equal(seen, trained.result.accuracy["task"][-1])


def test_weights_of_networks_of_other_sizes_are_refused(runs):
    trained = finished_seed(runs["hnet-tir"])
    config = trained.config.model_dump(mode="json")
    config["hypernet"]["hidden"] = [25]
    with pytest.raises(RunError, match="must hold the weights of this run"):
        _ = replace(trained, config=validated(config)).method


def test_weights_of_fewer_tasks_are_refused(runs):
    trained = finished_seed(runs["hnet-tir"])
    config = trained.config.model_dump(mode="json")
    config["data"]["tasks"] += 1
    with pytest.raises(RunError, match="must hold the weights of this run; got those of"):
        _ = replace(trained, config=validated(config)).method


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/etc/passwd")])
def test_a_pipe_or_link_in_place_of_weights_is_refused(runs, tmp_path, make):
    run = tmp_path / "run"
    shutil.copytree(runs["hnet-tir"], run)
    (run / "seed-0/weights.safetensors").unlink()
    make(run / "seed-0/weights.safetensors")
    unseal(run / "seed-0/result.json")
    with pytest.raises(RunError, match=r"regular file|link"):
        _ = finished_seed(run).method


def test_weights_of_another_run_are_refused(runs, tmp_path):
    run, file = tmp_path / "run", "seed-0/weights.safetensors"
    shutil.copytree(runs["hnet-tir"], run)
    (run / file).write_bytes((runs["hnet-r"] / file).read_bytes())
    unseal(run / "seed-0" / "result.json")
    with pytest.raises(RunError, match="must hold the weights of this run"):
        _ = finished_seed(run).method
