import json

import numpy as np
import pytest
from small_config import small

from hypermnesia.errors import RunError
from hypermnesia.experiments.results import summarize
from hypermnesia.experiments.run_folder import opened
from hypermnesia.experiments.seed_result import read_result, write_result
from hypermnesia.training.progress import TrainResult

GONE = object()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"owner": "x/seed-0"}, "another seed or configuration"),
        ({"seed": 1}, "another seed or configuration"),
        ({"accuracy": GONE}, "no field 'accuracy'"),
        ({"seconds": GONE}, "no field 'seconds'"),
        ({"seconds": float("nan")}, "nan for a number"),
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
    ],
)
def test_a_result_is_checked_when_it_is_read(tmp_path, fields, expected):
    config, matrix = small(), np.array([[90.0, np.nan], [80.0, 70.0]])
    with opened(tmp_path, config, overwrite=False) as folder:
        seed = folder.seed(0)
        seed.path.mkdir()
        counts = np.array([[9, 1], [4, 6]])
        by_name = {"task": matrix}, {"task": matrix}, {"task": counts}
        write_result(seed, config, 0, TrainResult(*by_name, 1.0, (0.1, 0.1), 100.0, 0.5))
        read = read_result(seed, config, 0)
        np.testing.assert_equal((read.accuracy, read.inference, read.confusion), by_name)
        changed = json.loads(seed.result.read_text()) | fields
        seed.result.write_text(json.dumps({k: v for k, v in changed.items() if v is not GONE}))
        with pytest.raises(RunError, match=r"result\.json.*delete it and resume") as caught:
            summarize(folder, config, [0])
    assert expected in str(caught.value)
