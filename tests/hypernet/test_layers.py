"""Plans by layer: chunks of one layer share its embedding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings, Hypernetwork, make_plan
from hypermnesia.nets import NetSettings, build_net
from hypermnesia.regularization.output import (
    ClosedFormRegularizer,
    DirectRegularizer,
    Snapshot,
)
from hypermnesia.seeding import Generators
from hypermnesia.state_files import pack, unpack
from hypermnesia.testing import check_method, same_state
from problems import build

SHARED = HypernetSettings((8,), 3, 2, plan="layer", chunk=6, activation="tanh")


def make(layers: tuple[int, ...] = (20, 4, 9)) -> Hypernetwork:
    plan = make_plan("layer", layers, SHARED.chunk)
    net = Hypernetwork(SHARED, plan, torch.ones(plan.total), torch.Generator().manual_seed(0))
    return net.double()


def test_chunks_keep_to_their_layer() -> None:
    plan = make_plan("layer", (20, 4, 9), 6)
    assert plan.used == (6, 6, 6, 2, 4, 6, 3)
    assert plan.places == ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (2, 1))
    assert make_plan("layer", (3, 2), 6).width == 3


def test_forward_equals_the_definition() -> None:
    net, conditions = make(), torch.randn(2, 3, dtype=torch.float64)
    wanted = []
    for e in conditions:
        parts = []
        for used, (layer, place) in zip(net.plan.used, net.plan.places, strict=True):
            own = net.layer_embeddings[layer] + net.place_embeddings[place]
            x = torch.cat([e, own])
            for hidden in net.hidden:
                x = torch.tanh(hidden(x))
            parts.append(net.head(x)[:used])
        wanted.append(torch.cat(parts))
    torch.testing.assert_close(net(conditions), torch.stack(wanted), rtol=1e-12, atol=1e-13)


def test_a_larger_head_leaves_what_exists_and_a_smaller_one_gives_it_back() -> None:
    net, conditions = make(), torch.randn(2, 3, dtype=torch.float64)
    plan, before = net.plan, net(conditions)
    state = {name: p.clone() for name, p in net.named_parameters()}
    larger = make_plan("layer", (20, 4, 50), 6)
    net.grow(larger, torch.ones(74), torch.Generator().manual_seed(1))
    assert torch.equal(net(conditions, plan), before)
    assert net(conditions, larger)[:, 33:].std() > 0.01
    net.shrink([plan])
    assert same_state(dict(net.named_parameters()), state)


def test_the_closed_form_is_the_direct_sum() -> None:
    net = make()
    plans = [net.plan]
    for head in (20, 1):
        plans.append(make_plan("layer", (20, 4, head), 6))
        net.grow(plans[-1], torch.ones(24 + head), torch.Generator().manual_seed(head))
    then = {name: p.detach().clone() for name, p in net.named_parameters()}
    point = {name: p + 0.1 * torch.randn_like(p) for name, p in then.items()}
    snapshot = Snapshot(then, torch.randn(3, 3, dtype=torch.float64), plans)
    found = []
    for kind in (ClosedFormRegularizer, DirectRegularizer):
        pull = {name: torch.zeros_like(p) for name, p in point.items()}
        found.append((kind(net, snapshot)(point, pull, 1.0), pull))
    (value, pull), (wanted, direct) = found
    torch.testing.assert_close(value, wanted, rtol=1e-10, atol=0)
    for name in point:
        torch.testing.assert_close(pull[name], direct[name], rtol=1e-10, atol=1e-10)
    assert all(bool(gradient.any()) for gradient in pull.values())


@pytest.mark.parametrize("name", ["hnet", "hnet-ent"])
def test_a_method_with_it_keeps_the_contract(name: str) -> None:
    sizes = HypernetSettings((8,), 4, 4, plan="layer", chunk=20)
    check_method(lambda generators: build(name, generators=generators, hypernet=sizes))


class Encoder(nn.Module):
    """A transformer of two layers, of ids."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embedding(x)).mean(1))


SIZES = HypernetSettings((16,), 4, 4, plan="layer", chunk=500)


def target(kind: str) -> tuple[nn.Module, Tensor]:
    if kind == "transformer":
        return Encoder(), torch.randint(20, (3, 5))
    shape = (1, 8, 8) if kind == "mlp" else (3, 32, 32)
    settings = NetSettings((32, 32) if kind == "mlp" else (64,))
    return build_net(kind, shape, 2, Generators(0), settings), torch.randn(3, *shape)


@pytest.mark.parametrize("kind", ["mlp", "zenke", "resnet32", "transformer"])
def test_it_makes_deep_networks(kind: str) -> None:
    network, x = target(kind)
    memory = WeightMemory(network, SIZES)
    for outputs in (2, 30):
        memory.add_task(outputs, Generators(0))
    layout, plan = memory.layouts[0], memory.plans[0]
    assert len(memory.hypernet.layer_embeddings) == len(layout.layers)
    sizes = [0] * len(layout.layers)
    for (layer, _), used in zip(plan.places, plan.used, strict=True):
        sizes[layer] += used
    assert tuple(sizes) == layout.layers
    output = memory.run(0, x, training=True)
    learned = [*memory.hypernet.parameters(), *memory.condition.parameters(0)]
    gradients = torch.autograd.grad(output.square().sum(), learned)
    assert all(bool(gradient.isfinite().all()) and bool(gradient.any()) for gradient in gradients)
    again = WeightMemory(network, SIZES)
    again.load_state_dict(unpack(*pack(memory.state_dict())))
    with torch.no_grad():
        found = memory.run(1, x, training=False)
        assert torch.equal(again.run(1, x, training=False), found)
        torch.testing.assert_close(memory.export(1)(x), found, rtol=1e-4, atol=1e-5)
    by_whole_layers = WeightMemory(network, HypernetSettings((16,), 4, 4, plan="layer"))
    by_whole_layers.add_task(2, Generators(0))
    assert memory.kept < by_whole_layers.kept


def test_only_a_full_plan_has_no_use_for_a_chunk() -> None:
    with pytest.raises(ConfigError, match="no use for the size of a chunk"):
        HypernetSettings(plan="full", chunk=3)


def test_a_state_that_claims_too_much_is_refused() -> None:
    network, _ = target("mlp")
    memory = WeightMemory(network, SIZES)
    memory.add_task(2, Generators(0))
    state = memory.state_dict()
    with pytest.raises(ValueError, match=r"where [0-9]+ can be made"):
        WeightMemory(network, SIZES).load_state_dict(state | {"outputs": [10**6]})
