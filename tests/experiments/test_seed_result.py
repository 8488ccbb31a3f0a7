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
        ({"accuracy": [[1.0, None]]}, "not 2 x 2"),
        ({"accuracy": [[1.0], [1.0]]}, "not 2 x 2"),
        ({"accuracy": [[1.0, None], [1.0, None]]}, "no accuracy"),
        ({"accuracy": [[1.0, None], [1.0, 101.0]]}, "no accuracy"),
        ({"accuracy": [[1.0, None], [1.0, True]]}, "True for a number"),
        ({"inference": 5}, "has no len"),
    ],
)
def test_a_result_is_checked_when_it_is_read(tmp_path, fields, expected):
    config, matrix = small(), np.array([[90.0, np.nan], [80.0, 70.0]])
    with opened(tmp_path, config, overwrite=False) as folder:
        seed = folder.seed(0)
        seed.path.mkdir()
        write_result(seed, config, 0, TrainResult(matrix, None, 1.0, (0.1, 0.1), 100.0, 0.5))
        np.testing.assert_array_equal(read_result(seed, config, 0).accuracy, matrix)
        changed = json.loads(seed.result.read_text()) | fields
        seed.result.write_text(json.dumps({k: v for k, v in changed.items() if v is not GONE}))
        with pytest.raises(RunError, match=r"result\.json.*delete it and resume") as caught:
            summarize(folder, config, [0])
    assert expected in str(caught.value)
