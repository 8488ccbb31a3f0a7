from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hypermnesia.state_files import pack, unpack
from hypermnesia.training.checkpoint import encode

DTYPES = [
    torch.float64,
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
]


def bits(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist())


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    count = math.prod(shape) * dtype.itemsize
    raw = draw(st.binary(min_size=count, max_size=count))
    values = torch.tensor(list(raw), dtype=torch.uint8)
    if dtype == torch.bool:
        return (values % 2).bool().reshape(shape)
    return values.view(dtype).reshape(shape)


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    plain | tensors(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)
states = st.dictionaries(st.text(max_size=5) | st.integers(), values, max_size=5)


def through_files(state: dict[Any, Any]) -> Any:
    tree, table = pack(state)
    text = json.dumps(tree, allow_nan=False)
    return unpack(json.loads(text), safetensors.torch.load(safetensors.torch.save(table)))


def assert_equal(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, Tensor):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert bits(found) == bits(expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_equal(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    elif isinstance(expected, float) and not math.isnan(expected):
        assert struct.pack("d", found) == struct.pack("d", expected)
    else:
        assert found == expected or expected != expected


@given(states)
def test_what_goes_in_comes_out_bit_for_bit(state: dict[Any, Any]) -> None:
    assert_equal(through_files(state), state)


def test_views_and_shared_storage_come_back_as_the_values_they_show() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    state = {
        "base": base,
        "again": base,
        "transposed": base.T,
        "strided": base[:, ::2],
        "row": base[1],
        "scalar": base[1, 1],
        "expanded": base[:1].expand(5, 4),
        "parameter": torch.nn.Parameter(base),
        "none of it": base[3:],
    }
    for name, found in through_files(state).items():
        assert torch.equal(found, state[name].detach())
        assert not found.requires_grad


def test_packed_tensors_do_not_follow_later_training() -> None:
    weight = torch.zeros(2)
    _, table = pack({"weight": weight})
    weight.add_(1)
    assert torch.equal(next(iter(table.values())), torch.zeros(2))


def test_tuples_come_back_as_lists_and_optimizers_load() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([parameter])
    parameter.grad = torch.ones(2)
    optimizer.step()
    saved = through_files(optimizer.state_dict())
    assert saved["param_groups"][0]["betas"] == [0.9, 0.999]
    fresh = torch.optim.Adam([parameter])
    fresh.load_state_dict(saved)
    assert torch.equal(fresh.state[parameter]["exp_avg"], optimizer.state[parameter]["exp_avg"])


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), b"x", {True: 1}, {None: 1}, {(1,): 1}, torch.eye(2).to_sparse()]
)
def test_what_is_no_data_is_refused_when_saving(value: object) -> None:
    with pytest.raises(TypeError, match="at '/here'"):
        pack({"here": value})


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"a": [1, b"x"]}, "a state holds plain data and tensors; got <class 'bytes'> at '/a/1'"),
        ({"a": {True: 1}}, "a state's keys are str or int; got <class 'bool'> at '/a'"),
        (
            {"a": {2: torch.eye(2).to_sparse()}},
            "a state's tensors are dense; got torch.sparse_coo at '/a/2'",
        ),
    ],
)
def test_what_is_refused_is_told_with_its_place(state: dict[str, object], told: str) -> None:
    with pytest.raises(TypeError) as caught:
        pack(state)
    assert str(caught.value) == told


def test_how_a_state_is_written() -> None:
    state = {
        "a": [torch.ones(1), (2, torch.zeros(2, 0))],
        3: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "none": None, "half": 0.5},
    }
    tree, table = pack(state)
    assert tree == {
        "dict": [
            ["a", [{"tensor": "0/a/0"}, [2, {"tensor": "1/a/1/1"}]]],
            [
                3,
                {
                    "dict": [
                        ["nan", {"float": "nan"}],
                        ["inf", {"float": "inf"}],
                        ["-inf", {"float": "-inf"}],
                        ["none", None],
                        ["half", 0.5],
                    ]
                },
            ],
        ]
    }
    assert list(table) == ["0/a/0", "1/a/1/1"]


def test_packed_tensors_are_contiguous_and_on_the_cpu() -> None:
    images = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    _, table = pack({"images": images})
    (packed,) = table.values()
    assert packed.is_contiguous()
    assert packed.device.type == "cpu"


@pytest.mark.parametrize(
    "tree",
    [
        [],
        1,
        {},
        {"dict": 1},
        {"dict": [], "more": 1},
        {"dict": [["a"]]},
        {"dict": [["a", 1], 2]},
        {"dict": ["ab"]},
        {"dict": [[None, 1]]},
        {"dict": [[True, 1]]},
        {"dict": [["a", {"tensor": "missing"}]]},
        {"dict": [["a", {"float": "1.0"}]]},
        {"dict": [["a", {"pickle": "cos"}]]},
    ],
)
def test_what_pack_does_not_make_is_refused_when_loading(tree: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(tree, {})


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (3, "the state must be a dict"),
        ({"d": 1, "c": 2, "b": 3, "a": 4}, "an object with the keys ['a', 'b', 'c']"),
        ({"dict": [["a", 1, 2]]}, "not a packed dict: an item that is no pair of key and value"),
        ({"dict": [[None, 1]]}, "not a packed key: <class 'NoneType'>"),
        ({"dict": [["a", {"float": "nan", "x": 1}]]}, "an object with the keys ['float', 'x']"),
        ({"dict": [["a", {"tensor": "t", "x": 1}]]}, "an object with the keys ['tensor', 'x']"),
        ({"dict": [["a", {"dict": [], "x": 1}]]}, "an object with the keys ['dict', 'x']"),
    ],
)
def test_what_is_wrong_with_a_tree_is_told(tree: object, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        unpack(tree, {"t": torch.ones(1)})
    packed = "not a packed value: " if told.startswith("an object") else ""
    assert str(caught.value) == packed + told


def test_the_files_of_a_state_are_the_same_every_time() -> None:
    state = {"b": torch.ones(2), "a": [1, {"c": torch.zeros(0)}]}
    assert encode(3, state, "me") == encode(3, state, "me")
