"""Errors, names, random streams, optimiser settings and output layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hypermnesia.errors import ConfigError, HypermnesiaError, TargetError
from hypermnesia.nets import NETS, NetSettings, build_net, find_head, with_columns, with_outputs
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.registry import Registry
from hypermnesia.seeding import Generators, derive_seed


def test_an_error_says_rule_got_and_hint_in_one_line() -> None:
    error = HypermnesiaError("x must be 1", got=2, hint="set x to 1")
    assert str(error) == "x must be 1; got 2; set x to 1"


def test_an_unknown_name_gets_a_suggestion() -> None:
    registry: Registry[int] = Registry("fruit")
    registry.add("apple", 1)
    assert registry["apple"] == 1
    with pytest.raises(ConfigError, match="did you mean 'apple'"):
        registry["aple"]
    with pytest.raises(ConfigError, match="choose one of: apple"):
        registry["zzz"]
    with pytest.raises(ValueError, match="already"):
        registry.add("apple", 2)


def test_streams_are_independent_of_each_other_and_of_order() -> None:
    one, two = Generators(5), Generators(5)
    a = torch.rand(3, generator=one["a"])
    torch.rand(7, generator=two["b"])
    assert torch.equal(a, torch.rand(3, generator=two["a"]))
    assert derive_seed(5, "a") != derive_seed(6, "a") != derive_seed(6, "b")


def test_streams_restore_and_stand_in_for_the_global_generator() -> None:
    generators, outer = Generators(5), torch.get_rng_state()
    with generators.as_global("dropout"):
        first = torch.rand(3)
    assert torch.equal(outer, torch.get_rng_state())
    state = generators.state_dict()
    with generators.as_global("dropout"):
        second = torch.rand(3)
    assert not torch.equal(first, second)
    restored = Generators(5)
    torch.rand(4, generator=restored["dropout"])
    unsaved = restored["other"]
    first_other = torch.rand(3, generator=unsaved)
    restored.load_state_dict(state)
    assert torch.equal(first_other, torch.rand(3, generator=unsaved))
    with restored.as_global("dropout"):
        assert torch.equal(second, torch.rand(3))


def test_streams_under_a_name_are_others_and_saved_with_the_whole() -> None:
    whole = Generators(5)
    part = whole.under("part")
    drawn = torch.rand(3, generator=part["a"])
    assert not torch.equal(drawn, torch.rand(3, generator=Generators(5)["a"]))
    assert torch.equal(drawn, torch.rand(3, generator=Generators(5)["part/a"]))
    state = whole.state_dict()
    following = torch.rand(3, generator=part["a"])
    restored = Generators(5)
    restored.load_state_dict(state)
    assert torch.equal(following, torch.rand(3, generator=restored.under("part")["a"]))
    part.load_state_dict(state)
    assert torch.equal(following, torch.rand(3, generator=whole["part/a"]))


def test_a_schedule_follows_the_share_of_the_task_done() -> None:
    settings = OptimizerSettings(lr=1.0, schedule={0.4: 0.1, 0.6: 0.01})
    optimizer = settings.build([nn.Parameter(torch.zeros(1))])
    seen = []
    for iteration in range(10):
        settings.schedule_step(optimizer, iteration, 10)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == [1.0] * 4 + [0.1] * 2 + [0.01] * 4


def test_unknown_optimisers_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'adam'"):
        OptimizerSettings("adm").build([nn.Parameter(torch.zeros(1))])


def test_the_head_is_the_last_linear_layer_or_the_named_one() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert find_head(net).name == "2"
    assert find_head(net, "0").layer is net[0]
    assert find_head(nn.Conv2d(1, 1, 1)) is None
    with pytest.raises(TargetError, match="choose one of: 0, 2"):
        find_head(net, "1")


def test_a_resized_head_keeps_its_rows_and_the_template() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    wider = with_outputs(net, 5, torch.Generator())
    assert torch.equal(wider[2].weight[:2], net[2].weight)
    assert wider[2].weight[2:].abs().max() <= 0.5
    assert wider(torch.randn(7, 3)).shape == (7, 5)
    assert net[2].out_features == 2
    with pytest.raises(TargetError, match="linear layer"):
        with_outputs(nn.Conv2d(1, 1, 1), 3, torch.Generator())


def test_some_columns_of_a_head() -> None:
    for net in (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5)), nn.Linear(3, 5)):
        narrow, x = with_columns(net, slice(1, 3)), torch.randn(7, 3)
        assert torch.allclose(narrow(x), net(x)[:, 1:3])
        assert net(x).shape == (7, 5)
    with pytest.raises(TargetError, match="linear layer"):
        with_columns(nn.Conv2d(1, 1, 1), slice(1))


def test_a_tied_head_is_not_resized() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    net[2].weight = net[0].weight
    assert with_outputs(net, 4, torch.Generator())[2].out_features == 4
    with pytest.raises(TargetError, match="tied"):
        with_outputs(net, 5, torch.Generator())


@pytest.mark.parametrize("name", list(NETS))
def test_every_network_maps_images_to_outputs(name) -> None:
    shape = (3, 32, 32) if name in ("zenke", "resnet32") else (1, 28, 28)
    net = build_net(name, shape, 4, Generators(0), NetSettings((20,)))
    assert net(torch.rand(2, *shape)).shape == (2, 4)
    again = build_net(name, shape, 4, Generators(0), NetSettings((20,)))
    pairs = zip(net.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_sizes_of_published_networks() -> None:
    def count(name, hidden, shape):
        return sum(p.numel() for p in NETS[name](shape, 10, NetSettings(hidden)).parameters())

    assert count("mlp", (400, 400), (1, 28, 28)) == 478_410
    assert count("resnet32", (), (3, 32, 32)) == 466_906
