"""Trees of tensors: taken apart, put together, and passed to modules."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.errors import DataError, TargetError
from hypermnesia.tree import Tree


def tensor() -> Tensor:
    return torch.arange(10.0).view(5, 2)


TREES: dict[str, Tree] = {
    "tensor": tensor(),
    "dict": {"ids": torch.arange(5), "mask": torch.arange(5) > 1},
    "tuple": (tensor(), torch.arange(5)),
    "nested": {"a": (tensor(), [torch.arange(5)]), "b": {"c": tensor() + 1}},
}


def same(a: Tree, b: Tree) -> bool:
    pairs = zip(tree.leaves(a), tree.leaves(b), strict=True)
    alike = type(a) is type(b) and (not isinstance(a, dict) or a.keys() == b.keys())
    return alike and all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("x", TREES.values(), ids=TREES)
def test_samples_are_taken_out_and_put_together(x: Tree) -> None:
    assert tree.batch_size(x) == 5
    rows = torch.tensor([4, 0, 2])
    taken = tree.index(x, rows)
    assert [leaf.tolist() for leaf in tree.leaves(taken)] == [
        [leaf.tolist()[row] for row in (4, 0, 2)] for leaf in tree.leaves(x)
    ]
    parts = tree.split(x, 2)
    assert [tree.batch_size(part) for part in parts] == [2, 2, 1]
    assert same(tree.cat(parts), x)
    assert same(tree.to(x, torch.device("cpu")), x)
    both = tree.stack([x, x])
    assert tree.batch_size(both) == 2
    assert same(tree.index(both, torch.tensor(1)), x)


@pytest.mark.parametrize("x", TREES.values(), ids=TREES)
def test_a_function_goes_over_the_leaves_and_the_shape_stays(x: Tree) -> None:
    assert same(
        tree.map(lambda a, b: a.double() - b.double(), x, x),
        tree.map(lambda a: 0.0 * a.double(), x),
    )


def test_no_samples_are_split_into_one_part_without_any() -> None:
    for x in (torch.zeros(0, 3), {"a": torch.zeros(0, 3)}):
        assert [tree.batch_size(part) for part in tree.split(x, 4)] == [0]


@pytest.mark.parametrize(
    "x", [{"a": torch.zeros(3, 2), "b": torch.zeros(2, 3)}, torch.tensor(1.0), (torch.tensor(1.0),)]
)
def test_leaves_must_agree_on_the_number_of_samples(x: Tree) -> None:
    with pytest.raises(DataError, match=r"along their first axis; got shapes \(") as refusal:
        tree.batch_size(x)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("x", "got"),
    [
        ({"a": torch.zeros(3), "b": None}, "NoneType"),
        ([torch.zeros(3), "no"], "str"),
        (SimpleNamespace(), "SimpleNamespace"),
        ({}, "an empty dict"),
    ],
)
def test_only_tensors_are_leaves(x: Tree, got: str) -> None:
    with pytest.raises(DataError, match=rf"must be tensors, or .*; got {got};"):
        tree.batch_size(x)


def test_one_tensor_is_asked_for_where_nothing_else_will_do() -> None:
    x = tensor()
    assert tree.one_tensor(x, "an autoencoder") is x
    with pytest.raises(
        DataError, match="an autoencoder needs inputs that are one tensor; got a di"
    ):
        tree.one_tensor(TREES["dict"], "an autoencoder")


class Takes(nn.Module):
    def forward(self, *positions: object, **names: object) -> object:
        return positions, names


@pytest.mark.parametrize(
    ("x", "positions", "names"),
    [
        ("x", ("x",), {}),
        (["x"], (["x"],), {}),
        (("x", "y"), ("x", "y"), {}),
        ({"a": "x", "b": ("y", "z")}, (), {"a": "x", "b": ("y", "z")}),
        (OrderedDict(a="x"), (), {"a": "x"}),
    ],
)
def test_a_dict_goes_in_as_keywords_and_a_tuple_as_positions(x, positions, names) -> None:
    assert tree.forward(Takes(), x) == (positions, names)


def test_logits_are_the_output_or_a_part_of_it() -> None:
    x = tensor()
    assert tree.logits_of(x) is x
    assert tree.logits_of(SimpleNamespace(logits=x, hidden=None)) is x
    with pytest.raises(TargetError, match=r"a network must give a tensor, .* got tuple"):
        tree.logits_of((x, x))
