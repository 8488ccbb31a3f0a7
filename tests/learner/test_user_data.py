"""Whatever a user calls data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    SubsetRandomSampler,
    TensorDataset,
)

from hypermnesia.errors import DataError
from hypermnesia.learner.inputs import InputSource, slices, source_of
from hypermnesia.learner.targets import listed

X, Y = np.arange(30, dtype=np.float64).reshape(10, 3), np.arange(10) % 3


class Pairs(Dataset):
    """As torchvision's: an item is an input and a label of any kind."""

    def __init__(self, x, y) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


class Endless(IterableDataset):
    def __iter__(self):
        yield from zip(X, Y, strict=True)


def everything(source: InputSource) -> Tensor:
    return torch.cat(list(slices(source, rows=4)))


TENSORS = (torch.as_tensor(X), torch.as_tensor(Y))
SOURCES = {
    "arrays": (X, Y),
    "tensors": TENSORS,
    "lists": (X.tolist(), Y.tolist()),
    "dataset": Pairs(X, Y),
    "tensor dataset": TensorDataset(*TENSORS),
    "loader": DataLoader(Pairs(X, Y), batch_size=4),
    "shuffling loader": DataLoader(Pairs(X, Y), batch_size=4, shuffle=True),
}


@pytest.mark.parametrize("data", SOURCES.values(), ids=SOURCES)
def test_inputs_and_targets_by_row(data) -> None:
    source = source_of(data)
    assert len(source) == 10
    assert torch.equal(everything(source), torch.as_tensor(X).float())
    assert torch.equal(source.read(torch.tensor([7, 2])), torch.as_tensor(X[[7, 2]]).float())
    assert [int(label) for label in listed(source.targets())] == Y.tolist()


@pytest.mark.parametrize("stored", [X[::-1], X.astype(">f8"), X.T.copy().T, X.astype(">i4")])
def test_arrays_as_they_lie_in_memory(stored) -> None:
    shown = everything(source_of((stored, Y)))
    assert shown.tolist() == stored.tolist()


def test_x_and_y_apart() -> None:
    source = source_of(X, Y)
    assert torch.equal(everything(source), torch.as_tensor(X).float())
    assert listed(source.targets()) == Y.tolist()


def test_a_loader_s_sampler_and_collate_count() -> None:
    def doubled(items):
        return torch.tensor(np.stack([x for x, _ in items])) * 2, [y for _, y in items]

    sampler = SubsetRandomSampler([8, 3, 5])
    loader = DataLoader(Pairs(X, Y), batch_size=2, sampler=sampler, collate_fn=doubled)
    source = source_of(loader)
    assert torch.equal(everything(source), 2 * torch.as_tensor(X[[3, 5, 8]]).float())
    assert listed(source.targets()) == Y[[3, 5, 8]].tolist()


def test_labels_of_a_data_set_stay_what_they_are() -> None:
    labels = [("a", n % 2) for n in range(10)]
    assert source_of(Pairs(X, labels)).targets() == labels


def test_a_data_set_is_read_anew_each_time() -> None:
    class Noisy(Pairs):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            return self.x[index] + self.reads, self.y[index]

    source = source_of(Noisy(X, Y))
    assert not torch.equal(everything(source), everything(source))


@pytest.mark.parametrize(
    ("given", "dtype", "value"),
    [
        (np.full((2, 3), 255, np.uint8), torch.float32, 1.0),
        (np.full((2, 3), 7, np.int16), torch.int64, 7),
        (np.full((2, 3), 7, np.uint16), torch.int64, 7),
        (np.full((2, 3), True), torch.float32, 1.0),
        (torch.full((2, 3), 7.0, dtype=torch.float64), torch.float32, 7.0),
    ],
    ids=["bytes", "ids", "unsigned", "truth values", "double"],
)
def test_what_a_network_is_shown(given, dtype, value) -> None:
    for data in (given, Pairs(given, [0, 1])):
        shown = source_of(data).read(torch.tensor([0, 1]))
        assert shown.dtype == dtype
        assert (shown == value).all()


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ((X, Y[:4]), "a target for each input"),
        ((X * np.nan, Y), "must be finite"),
        ((np.array([["a"]]), [0]), "inputs must be numbers"),
        ((X * 1j, Y), "must be real"),
        (Pairs([object()] * 2, [0, 1]), "tensors or arrays of one shape.*ToTensor"),
        (Pairs([np.zeros(2), np.zeros(3)], [0, 1]), "of one shape"),
        (Endless(), "map-style"),
        (DataLoader(Endless()), "map-style"),
        (DataLoader(Pairs(X, Y), batch_size=None), "map-style"),
        (DataLoader(Pairs(list(zip(X, X, strict=True)), Y), batch_size=5), "one tensor"),
        (X, "targets are needed"),
        (TensorDataset(torch.zeros(3, 2)), r"\(input, target\)"),
        (TensorDataset(*[torch.zeros(3, 2)] * 3), r"\(input, target\)"),
    ],
)
def test_what_is_no_data(data, rule) -> None:
    with pytest.raises(DataError, match=rule):
        source_of(data).targets()
