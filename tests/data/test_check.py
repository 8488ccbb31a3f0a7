"""Samples that nothing can be learned from are refused; those that teach little are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hypermnesia import tree
from hypermnesia.data.types import Part, Task, check_samples, place
from hypermnesia.errors import DataError


def task(index: int = 0, outputs: int = 2) -> Task:
    part = Part(torch.zeros(4, 3), torch.tensor([0, 1, 1, 0]), index)
    return Task(index, f"t{index}", outputs, part, replace(part), replace(part))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize(
    ("kind", "told"), [("train", "training"), ("validation", "validation"), ("test", "test")]
)
def test_inputs_that_are_no_numbers_are_refused(value: float, kind: str, told: str) -> None:
    x = torch.zeros(4, 3)
    x[2, 1] = value
    good, bad = task(0), task(1)
    bad = replace(bad, **{kind: replace(getattr(bad, kind), x=x)})
    check_samples([good])
    with pytest.raises(DataError, match=rf"'t1', {told} samples; .*fill in"):
        check_samples([good, bad])


@pytest.mark.parametrize("label", [-1, 2, 10**12])
def test_labels_that_are_none_of_the_tasks_are_refused(label: int) -> None:
    good = task()
    y = torch.tensor([0, 1, label, 0])
    bad = replace(good, test=replace(good.test, y=y))
    with pytest.raises(DataError, match=r"from 0 to 1; got .*'t0', test samples"):
        check_samples([bad])


def test_what_tasks_share_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr("hypermnesia.data.types._finite", lambda x: looked.append(x) or True)
    first = task()
    second = replace(task(1), train=first.train, validation=None, test=first.train)
    check_samples([first, second])
    assert len(looked) == 1


def test_little_to_learn_from_is_no_error() -> None:
    one = Part(torch.zeros(1, 3, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), 0)
    check_samples([Task(0, "one", 1, one, None, one)])


def several(second: torch.Tensor) -> Task:
    x = {"ids": torch.zeros(4, 3, dtype=torch.int64), "values": (second,)}
    part = Part(x, torch.tensor([0, 1, 1, 0]), 0)
    return Task(0, "t0", 2, part, None, replace(part))


def test_every_tensor_of_the_inputs_is_checked() -> None:
    check_samples([several(torch.zeros(4))])
    bad = torch.zeros(4)
    bad[1] = torch.nan
    with pytest.raises(DataError, match=r"must be finite numbers; got NaN .* 't0', training"):
        check_samples([several(bad)])
    with pytest.raises(DataError, match=r"along their first axis; got shapes \(4, 3\), \(5,\)"):
        check_samples([several(torch.zeros(5))])
    with pytest.raises(DataError, match=r"must be tensors, .* got NoneType"):
        check_samples([several(None)])


def test_what_tasks_share_is_moved_once() -> None:
    shared = torch.zeros(4, 3)
    part = Part({"x": shared, "own": torch.zeros(4)}, torch.tensor([0, 1, 1, 0]), 0)
    other = replace(part, x=(shared, torch.ones(4)), rows=torch.arange(4))
    moved = place([Task(0, "t", 2, part, other, part)], torch.device("meta"))[0]
    assert moved.train.x["x"] is moved.validation.x[0]
    assert moved.train.x is not part.x
    assert {leaf.device.type for leaf in tree.leaves((moved.train.x, moved.validation.x))} == {
        "meta"
    }
