from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.network import make_plan

layers = st.lists(st.integers(1, 30), min_size=1, max_size=5)


@given(layers, st.sampled_from(["full", "even", "layer"]), st.integers(1, 40), st.integers(0, 3))
def test_join_takes_the_used_entries_in_order(sizes, name, width, wider) -> None:
    plan = make_plan(name, sizes, width)
    chunks = torch.arange(2 * plan.count * (plan.width + wider)).view(2, plan.count, -1)
    flat = [
        chunks[t, j, d].item()
        for t in range(2)
        for j in range(plan.count)
        for d in range(plan.used[j])
    ]
    assert plan.join(chunks).flatten().tolist() == flat
    assert plan.total == sum(sizes)


def test_plans_by_hand() -> None:
    assert make_plan("full", [6, 2]).used == (8,)
    assert make_plan("even", [6, 2], 3).used == (3, 3, 2)
    assert make_plan("even", [6, 2], 4).used == (4, 4)
    assert make_plan("even", [6, 2], 50).used == (8,)
    by_layer = make_plan("layer", [6, 2])
    assert (by_layer.used, by_layer.width) == ((6, 2), 6)


@pytest.mark.parametrize("width", [None, 0, -3])
def test_an_even_plan_needs_a_width(width) -> None:
    with pytest.raises(ConfigError, match=r"hypernet\.chunk"):
        make_plan("even", [4], width)
