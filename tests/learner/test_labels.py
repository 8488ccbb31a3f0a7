"""Labels of any kind that can be stored come back as they were."""

from __future__ import annotations

import json
from datetime import date
from enum import Enum

import numpy as np
import pytest
import torch

from hypermnesia.errors import DataError
from hypermnesia.learner.targets import Labels, from_json, plain, to_json

KINDS = [
    ["cat", "dog"],
    [3, 7],
    [0.5, 2.5],
    [False, True],
    [("a", 1), ("a", 2)],
    list(np.array(["cat", "dog"])),
    list(np.array([3, 7], dtype=np.int16)),
    list(np.array([False, True])),
    list(torch.tensor([3, 7])),
]


@pytest.mark.parametrize("pair", KINDS, ids=str)
def test_there_and_back(pair) -> None:
    given = [pair[1], pair[0], pair[1]]
    labels = Labels.of(given)
    assert labels.encode(given).tolist() == [1, 0, 1]
    assert labels.array[[1, 0, 1]].tolist() == [plain(label) for label in given]


@pytest.mark.parametrize("pair", KINDS, ids=str)
def test_through_a_file(pair) -> None:
    labels = Labels.of(pair)
    stored = json.loads(json.dumps([to_json(value) for value in labels.values]))
    again = Labels(map(from_json, stored))
    assert again.values == labels.values
    assert [type(value) for value in again.values] == [type(value) for value in labels.values]
    assert again.array.dtype == labels.array.dtype


def test_labels_are_arrays_of_their_own_kind() -> None:
    assert Labels.of(["b", "a"]).array.dtype.kind == "U"
    assert Labels.of([2, 1]).array.dtype.kind == "i"
    assert Labels.of([True, False]).array.dtype.kind == "b"
    assert Labels.of([(1, 2)]).array[0] == (1, 2)


def test_equal_labels_of_different_kinds_are_different() -> None:
    labels = Labels([1, True, 1.0, "1", 1])
    assert len(labels) == 4
    assert labels.encode([True, "1", 1, 2]).tolist() == [1, 3, 0, -1]


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    "strange", [None, Colour.RED, date(2020, 1, 1), float("nan"), frozenset({1}), b"bytes", [1]]
)
def test_what_cannot_be_stored_is_refused(strange) -> None:
    with pytest.raises(DataError, match="map them to strings"):
        Labels.of([strange])


def test_one_kind_a_task() -> None:
    with pytest.raises(DataError, match="of one kind; got int and str"):
        Labels.of([1, "one"])
