import json

import numpy as np
import pytest
from small_config import small

from hypermnesia.errors import RunError
from hypermnesia.experiments.results import read_result, summarize, write_result
from hypermnesia.experiments.run_folder import opened
from hypermnesia.storage import note, sealed, unsealed
from hypermnesia.training.evaluation import TrainResult

GONE = object()


def rewrite(path, fields):
    """As a forger would: with a checksum that is right."""
    try:
        path.write_text(json.dumps(sealed(fields)))
    except ValueError:  # what JSON has no word for
        path.write_text(json.dumps(fields | {"format": 1}))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"owner": "x/seed-0"}, "another seed or configuration"),
        ({"seed": 1}, "another seed or configuration"),
        ({"accuracy": GONE}, "no field 'accuracy'"),
        ({"seconds": GONE}, "no field 'seconds'"),
        ({"seconds": float("nan")}, "a damaged file"),
        ({"compression": "1"}, "'1' for a number"),
        ({"peak_memory_mb": None}, "None for a number"),
        ({"seconds_per_iteration": 3}, "not iterable"),
        ({"seconds_per_iteration": [0.1, 0.1, 0.1]}, "3 phases of training for 2 tasks"),
        ({"seconds": 10**400}, "for a number"),
        ({"seconds_per_iteration": [1e308, 0.1]}, "1e+308 for a number"),
        ({"compression": -0.5}, "-0.5 for a number"),
        ({"accuracy": {"task": [[1.0, None]]}}, "not 2 x 2"),
        ({"accuracy": {"task": [[1.0], [1.0]]}}, "not 2 x 2"),
        ({"accuracy": {"task": [[1.0, None], [1.0, None]]}}, "no accuracy"),
        ({"accuracy": {"task": [[1.0, None], [1.0, 101.0]]}}, "no accuracy"),
        ({"accuracy": {"task": [[1.0, None], [1.0, True]]}}, "True for a number"),
        ({"accuracy": {}}, "not every scenario"),
        ({"accuracy": {"class": [[1.0, None], [1.0, 1.0]]}}, "none of the run's"),
        ({"accuracy": [[1.0, None], [1.0, 1.0]]}, "no attribute 'keys'"),
        ({"inference": 5}, "no attribute 'keys'"),
        ({"inference": {"task": 5}}, "has no len"),
        ({"inference": {}}, "not those of the inferences"),
        ({"confusion": {"task": [[1, 2], [3]]}}, "not 2 x 2"),
        ({"confusion": {"task": [[1, 2], [3, -1]]}}, "-1 for a number of samples"),
        ({"confusion": {"task": [[1, 2], [3, 10**15]]}}, "for a number of samples"),
        ({"confusion": {"task": [[1, 2], [3, 0.5]]}}, "0.5 for a number of samples"),
        ({"confusion": {"task": [[1, 2], [0, 0]]}}, "a task without samples"),
        ({"gains": {"task": [None]}}, "not of all tasks"),
        ({"gains": {"task": [None, -101.0]}}, "not of all tasks"),
        ({"gains": {"task": [None, "1"]}}, "bad operand"),
    ],
)
def test_a_result_is_checked_when_it_is_read(tmp_path, fields, expected):
    config, matrix = small(), np.array([[90.0, np.nan], [80.0, 70.0]])
    with opened(tmp_path, config, overwrite=False) as folder:
        seed = folder.seed(0)
        seed.path.mkdir()
        for path in seed.outcomes(["task"]):
            path.write_text(path.name)
        counts = np.array([[9, 1], [4, 6]])
        by_name = {"task": matrix}, {"task": matrix}, {"task": counts}
        gains = {"task": np.array([np.nan, -3.5])}
        result = TrainResult(*by_name, 1.0, (0.1, 0.1), 100.0, 0.5, gains=gains)
        write_result(seed, config, 0, result)
        read = read_result(seed, config, 0)
        np.testing.assert_equal((read.accuracy, read.inference, read.confusion), by_name)
        np.testing.assert_equal(dict(read.gains), gains)
        changed = unsealed(json.loads(seed.result.read_text())) | fields
        rewrite(seed.result, {k: v for k, v in changed.items() if v is not GONE})
        with pytest.raises(RunError, match=r"result\.json.*move it away and resume") as caught:
            summarize(folder, config, [0])
    assert expected in str(caught.value)


@pytest.fixture
def stored(tmp_path):
    """The folder of a seed with a result, and the configuration."""
    matrix = np.array([[90.0, np.nan], [80.0, 70.0]])
    with opened(tmp_path, small(), overwrite=False) as folder:
        seed = folder.seed(0)
        seed.path.mkdir()
        for path in seed.outcomes(["task"]):
            path.write_text(path.name)
        write_result(seed, small(), 0, TrainResult({"task": matrix}, {}, {}, 1.0, (0.1,), 1.0, 0.5))
        return seed


def test_the_files_of_a_training_are_noted(stored):
    noted = json.loads(stored.result.read_text())["files"]
    assert noted == {path.name: note(path) for path in stored.outcomes(["task"])}
    assert noted["weights.safetensors"]["bytes"] == len("weights.safetensors")


def test_a_result_from_before_there_were_checksums_is_read(stored):
    fields = unsealed(json.loads(stored.result.read_text()))
    old = {k: v for k, v in fields.items() if k not in ("format", "files")}
    stored.result.write_text(json.dumps(old))
    assert read_result(stored, small(), 0).accuracy["task"][1, 0] == 80.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seconds": 2.0}, "its checksum is wrong; move it away and resume"),
        ({"format": 3}, "got format 3, of a later version; read it with the version"),
        ({"format": "1"}, "its checksum is wrong"),
        ({"format": None}, "its checksum is wrong"),
        ({"sha256": None}, "its checksum is wrong"),
    ],
)
def test_a_result_that_was_changed_or_is_of_a_later_version_is_refused(stored, changes, expected):
    stored.result.write_text(json.dumps(json.loads(stored.result.read_text()) | changes))
    with pytest.raises(RunError, match=expected):
        read_result(stored, small(), 0)
