from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hypermnesia.hypernet.network import HypernetSettings, Hypernetwork, make_plan


def make(plan_name="even", hidden=(5, 4), layers=(20, 7), chunk=6, init="xavier", seed=0):
    settings = HypernetSettings(
        hidden=hidden,
        task_embedding=3,
        chunk_embedding=2,
        activation="tanh",
        init=init,
        plan=plan_name,
        chunk=None if plan_name == "full" else chunk,
    )
    plan = make_plan(plan_name, layers, chunk)
    variances = torch.ones(plan.total)
    return Hypernetwork(settings, plan, variances, torch.Generator().manual_seed(seed))


def by_definition(net: Hypernetwork, condition, plan) -> torch.Tensor:
    """Chunk by chunk: an ordinary network on the concatenated embeddings."""
    chunks, embeddings = [], net.chunk_inputs()
    for j in range(plan.count):
        own = [] if embeddings is None else [embeddings[j]]
        x = torch.cat([condition, *own])
        for layer in net.hidden:
            x = torch.tanh(layer(x))
        chunks.append((net.head.weight @ x + net.head.bias)[: plan.used[j]])
    return torch.cat(chunks)


@given(
    st.sampled_from(["full", "even", "layer"]),
    st.sampled_from([(), (5,), (5, 4), (3, 4, 5)]),
    st.integers(1, 30),
)
def test_forward_equals_the_definition(plan, hidden, chunk) -> None:
    net = make(plan, hidden, chunk=chunk).double()
    conditions = torch.randn(3, 3, dtype=torch.float64)
    expected = torch.stack([by_definition(net, e, net.plan) for e in conditions])
    torch.testing.assert_close(net(conditions), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("plan", ["full", "even", "layer"])
def test_growing_leaves_earlier_tasks_bit_equal(plan) -> None:
    net = make(plan)
    old_plan, conditions = net.plan, torch.randn(2, 3)
    before = net(conditions, old_plan)
    larger = make_plan(plan, (20, 41), 6)
    net.grow(larger, torch.ones(61), torch.Generator().manual_seed(1))
    assert torch.equal(net(conditions, old_plan), before)
    grown = net(conditions, larger)
    assert grown.shape == (2, 61)
    assert grown[:, 27:].std() > 0.01
    smaller = make_plan(plan, (20, 3), 6)
    net.grow(smaller, torch.ones(23), torch.Generator().manual_seed(1))
    assert net(conditions, smaller).shape == (2, 23)
    assert net.plan.total == 61


def test_xavier_is_the_recipes() -> None:
    net = make(hidden=(50, 40), layers=(4000,), chunk=500)
    assert net.head.weight.abs().max() <= (6 / 540) ** 0.5
    assert net.head.weight.std().item() == pytest.approx((2 / 540) ** 0.5, rel=0.05)
    assert all((layer.bias == 0).all() for layer in (*net.hidden, net.head))
    assert net.chunk_embeddings.shape == (8, 2)


def test_a_full_hypernetwork_has_no_chunk_embedding() -> None:
    net = make("full")
    assert net.chunk_embeddings is None
    assert net.hidden[0].in_features == 3


def test_hyperfan_gives_generated_weights_the_wanted_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    net, wanted = fan("full", (3000, 2000), generator)
    conditions = torch.randn(200, 32, generator=generator)
    weights = net(conditions)
    assert weights[:, :3000].var().item() == pytest.approx(0.02, rel=0.15)
    assert weights[:, 3000:].var().item() == pytest.approx(0.5, rel=0.15)
    larger = make_plan("full", (3000, 4000))
    net.grow(larger, torch.cat([wanted, torch.full((2000,), 0.002)]), generator)
    grown = net(conditions, larger)
    assert grown[:, 5000:].var().item() == pytest.approx(0.002, rel=0.15)


def test_hyperfan_gives_rows_that_several_chunks_share_the_mean_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    net, _ = fan("even", (3000, 3000), generator, chunk=3000)
    weights = net(torch.randn(200, 32, generator=generator))
    assert weights.var().item() == pytest.approx((0.02 + 0.5) / 2, rel=0.2)


def fan(plan_name, layers, generator, chunk=None):
    settings = HypernetSettings(
        hidden=(64,), task_embedding=32, chunk_embedding=8, init="hyperfan", plan=plan_name
    )
    wanted = torch.cat([torch.full((layers[0],), 0.02), torch.full((layers[1],), 0.5)])
    net = Hypernetwork(settings, make_plan(plan_name, layers, chunk), wanted, generator)
    return net, wanted


def test_building_draws_nothing_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    make().grow(make_plan("even", (60, 7), 6), torch.ones(67), torch.Generator())
    assert torch.equal(before, torch.get_rng_state())


def test_same_generator_same_network() -> None:
    one, two, other = make(seed=1), make(seed=1), make(seed=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.head.weight, other.head.weight)


def test_the_condition_is_a_seam() -> None:
    """Anything differentiable may condition the weights: here an encoder's output."""
    net, encoder = make(), nn.Linear(4, 3)
    net(encoder(torch.randn(1, 4))).square().sum().backward()
    assert encoder.weight.grad.abs().sum() > 0
