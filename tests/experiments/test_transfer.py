"""The embedding transfer matrix, against networks asked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hypermnesia.experiments.finished import transfer_matrix
from hypermnesia.training import evaluate
from problems import blobs, build, learn


@pytest.mark.parametrize("name", ["hnet", "hnet-ent"])
def test_rows_are_embeddings_and_columns_tasks(name: str) -> None:
    method = build(name)
    parts = [blobs(task, classes=2 + task % 2) for task in range(3)]
    for task, part in enumerate(parts):
        learn(method, part, 30, outputs=2 + task % 2)
    chosen = [parts[0], parts[2]]
    found = transfer_matrix(method, chosen)
    expected = [
        [
            100 * (method.predict(part.x, i).logits.argmax(1) == part.y).double().mean().item()
            for part in chosen
        ]
        for i in (0, 2)
    ]
    np.testing.assert_allclose(found, expected)
    assert found[0, 1] != found[1, 0]
    own = [evaluate(method, part, "task").accuracy for part in chosen]
    np.testing.assert_array_equal(np.diagonal(found), own)


def test_a_wider_task_is_asked_of_a_narrower_network_too() -> None:
    method = build("hnet")
    for task in range(2):
        learn(method, blobs(task, classes=2 + task), 30, outputs=2 + task)
    found = transfer_matrix(method, [blobs(0), blobs(1, classes=3)])
    assert found[0, 1] <= 100 * 43 / 64  # of 64 samples 21 are of the third class
