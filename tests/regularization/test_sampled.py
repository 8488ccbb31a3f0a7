"""Sampling earlier tasks: unbiased, and repeatable from a saved run."""

from __future__ import annotations

import copy
from collections import Counter
from itertools import combinations
from math import comb
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from regularizer_cases import Case, assert_close, cases, closed, direct, judge

from hypermnesia.errors import ConfigError
from hypermnesia.methods import TaskSpec
from hypermnesia.regularization.output import (
    ClosedFormRegularizer,
    RegularizerSettings,
    Snapshot,
)
from hypermnesia.regularization.sampled import SampledRegularizer
from hypermnesia.seeding import Generators
from problems import batches, blobs, build, learn


@settings(max_examples=40)
@given(cases, st.data())
def test_mean_over_all_subsets_is_the_whole(case: Case, data: st.DataObject) -> None:
    world = case.world(torch.float64)
    hypernet, snapshot, point = world
    size = data.draw(st.integers(1, len(snapshot.plans)))
    regularizer = ClosedFormRegularizer(hypernet, snapshot)
    number = comb(len(snapshot.plans), size)
    value, pull = torch.zeros(()), {name: torch.zeros_like(p) for name, p in point.items()}
    for subset in combinations(range(len(snapshot.plans)), size):
        part, gradient = judge(regularizer, point, torch.tensor(subset))
        value = value + part / number
        pull = {name: pull[name] + gradient[name] / number for name in pull}
    assert_close((value, pull), closed(world), 1e-12)


@settings(max_examples=30)
@given(cases, st.data())
def test_a_subset_is_the_direct_mean_over_its_tasks(case: Case, data: st.DataObject) -> None:
    """Also where some bands of the head are reached by none of them."""
    hypernet, snapshot, point = case.world(torch.float64)
    everyone = range(len(snapshot.plans))
    chosen = data.draw(st.lists(st.sampled_from(everyone), min_size=1, unique=True))
    got = judge(ClosedFormRegularizer(hypernet, snapshot), point, torch.tensor(chosen))
    plans = [snapshot.plans[task] for task in chosen]
    part = Snapshot(snapshot.parameters, snapshot.conditions[chosen], plans)
    assert_close(got, direct((hypernet, part, point)), 1e-10)


SIX = Case((5,), "elu", "even", 9, 3, 3, (20, 7), (2, 3, 2, 4, 2, 5, 2), 0.3, 0)


def sampled(subset: int | None, generators: Generators) -> SampledRegularizer:
    hypernet, snapshot, _ = SIX.world(torch.float64)
    chosen = RegularizerSettings(kind="sampled" if subset else "closed", subset=subset)
    return SampledRegularizer(hypernet, snapshot, chosen, generators)


def test_every_subset_is_drawn_equally_often() -> None:
    """6 tasks, 2 at a time: 15 pairs, each 200 ± 5 standard deviations of 3,000 draws."""
    regularizer = sampled(2, Generators(0))
    pairs = Counter(frozenset(regularizer._draw().tolist()) for _ in range(3000))
    assert set(map(len, pairs)) == {2}
    assert len(pairs) == 15
    assert all(abs(n - 200) < 5 * 200**0.5 for n in pairs.values())


def test_a_call_judges_the_tasks_drawn() -> None:
    hypernet, snapshot, point = SIX.world(torch.float64)
    regularizer, twin = sampled(2, Generators(5)), sampled(2, Generators(5))
    other = ClosedFormRegularizer(hypernet, snapshot)
    values = set()
    for _ in range(4):
        got = judge(regularizer, point)
        assert_close(got, judge(other, point, twin._draw()), 1e-12)
        values.add(got[0].item())
    assert len(values) > 1


@pytest.mark.parametrize("subset", [6, 100, None])
def test_no_number_is_drawn_for_all_tasks(subset: int | None) -> None:
    generators = Generators(0)
    _, _, point = world = SIX.world(torch.float64)
    assert_close(judge(sampled(subset, generators), point), closed(world), 1e-14)
    assert not generators.state_dict()


def test_a_subset_of_none_is_refused() -> None:
    settings_type = TypeAdapter(RegularizerSettings)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        settings_type.validate_python({"kind": "sampled", "subset": 0})
    assert settings_type.validate_python({"kind": "sampled", "subset": 1}).subset == 1


@pytest.mark.parametrize(("kind", "subset"), [("sampled", None), ("closed", 2), ("direct", 1)])
def test_a_subset_goes_with_sampling(kind: str, subset: int | None) -> None:
    with pytest.raises(ConfigError, match=r"regularizer\.subset goes with"):
        RegularizerSettings(kind=kind, subset=subset)


DRAWN = {"subset": {"kind": "sampled", "subset": 1}, "rows": {"rows": 2}}


@pytest.mark.parametrize(("stream", "drawn"), DRAWN.items(), ids=DRAWN)
def test_a_resumed_run_draws_what_the_other_would_have(stream: str, drawn: dict[str, Any]) -> None:
    regularizer = RegularizerSettings(beta=0.1, **drawn)
    parts = [blobs(task) for task in range(4)]
    first = build("hnet", regularizer=regularizer)
    for part in parts[:3]:
        learn(first, part, 5)
    first.begin_task(TaskSpec(2, 8))
    for batch in batches(parts[3], 3):
        first.update(batch)
    state = copy.deepcopy((first.state_dict(), first.generators.state_dict()))
    assert stream in state[1]
    second = build("hnet", generators=Generators(9), regularizer=regularizer)
    second.load_state_dict(state[0])
    second.generators.load_state_dict(state[1])
    for batch in batches(parts[3], 8)[3:]:
        one, two = first.update(batch), second.update(batch)
        assert torch.equal(one["penalty"], two["penalty"])
    weights = [m.memory.hypernet.head.weight for m in (first, second)]
    assert torch.equal(*weights)
