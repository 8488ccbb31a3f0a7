"""Unmodified modules as target networks: equal to the module with the weights put in by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from hypermnesia.errors import TargetError
from hypermnesia.hypernet.target import Target
from hypermnesia.nets import NETS, NetSettings


class Tied(nn.Module):
    """One weight used twice under two names, and one layer applied twice."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.middle = nn.Linear(6, 6), nn.Linear(6, 6)
        self.again = nn.Linear(6, 6)
        self.again.weight = self.encode.weight
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        x = torch.tanh(self.middle(self.middle(self.encode(x))))
        return self.out(self.again(x))


class Transposed(nn.Module):
    """An embedding whose transpose is the output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.out = nn.Linear(6, 2, bias=False), nn.Linear(6, 2, bias=False)
        self.out.weight = self.encode.weight

    def forward(self, x):
        return self.out(self.encode(x) @ self.encode.weight)


def batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)),
        nn.Upsample(8),
        NETS["lenet"]((1, 8, 8), 2, NetSettings(hidden=(7,))),
    )


MODULES = [Tied, Transposed, batch_norm, lenet]


def put(module: nn.Module, layout, flat: torch.Tensor) -> nn.Module:
    """The obvious way: overwrite each parameter's values."""
    module, start = copy.deepcopy(module).eval(), 0
    named = dict(module.named_parameters())
    with torch.no_grad():
        for name, shape in layout.shapes.items():
            part = flat[start : start + shape.numel()].view(shape)
            named[name].copy_(part + 1 if name in layout.starts else part)
            start += shape.numel()
    assert start == len(flat)
    return module


@pytest.mark.parametrize("make", MODULES)
def test_call_equals_the_module_with_these_weights(make) -> None:
    torch.manual_seed(0)
    module = make()
    target = Target(module)
    layout = target.layout(2)
    flat, x = torch.randn(layout.total), torch.randn(4, 6)
    got = target(flat, x, layout=layout, buffers=target.new_buffers(), training=False)
    torch.testing.assert_close(got, put(module, layout, flat)(x))
    assert layout.total == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("make", MODULES)
def test_each_equals_one_call_a_task(make) -> None:
    torch.manual_seed(0)
    target = Target(make())
    layout = target.layout(2)
    weights, x = torch.randn(3, layout.total), torch.randn(4, 6)
    buffers = [target.new_buffers() for _ in range(3)]
    for i, own in enumerate(buffers):
        for value in own.values():
            value += i
    together = target.each(weights, x, layout=layout, buffers=buffers)
    for i in range(3):
        alone = target(weights[i], x, layout=layout, buffers=buffers[i], training=False)
        torch.testing.assert_close(together[i], alone, rtol=1e-4, atol=1e-5)


def test_training_updates_the_tasks_own_statistics_only() -> None:
    torch.manual_seed(0)
    module = batch_norm()
    reference, target = copy.deepcopy(module).train(), Target(module)
    layout = target.layout(2)
    one, two = target.new_buffers(), target.new_buffers()
    scale = [name for name in layout.shapes if name in layout.starts]
    assert scale == ["1.weight"]
    flat = torch.cat(
        [
            (dict(module.named_parameters())[n] - float(n in layout.starts)).flatten()
            for n in layout.shapes
        ]
    )
    x = torch.randn(32, 6)
    target(flat.detach(), x, layout=layout, buffers=one, training=True)
    reference(x)
    torch.testing.assert_close(one["1.running_mean"], reference[1].running_mean)
    assert one["1.num_batches_tracked"] == 1
    assert two["1.num_batches_tracked"] == 0
    assert module[1].num_batches_tracked == 0


def test_a_task_has_a_head_of_its_own_size_at_the_end_of_the_vector() -> None:
    target = Target(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)))
    two, five = target.layout(2), target.layout(5)
    assert five.total - two.total == 3 * (4 + 1)
    assert list(five.shapes)[-2:] == ["2.weight", "2.bias"]
    weights = torch.randn(five.total)
    out = target(weights, torch.randn(3, 6), layout=five, buffers={}, training=False)
    assert out.shape == (3, 5)


def test_only_matching_parameters_are_generated() -> None:
    target = Target(batch_norm(), ["3.*", "1.weight"])
    assert list(target.layout(2).shapes) == ["1.weight", "3.weight", "3.bias"]
    assert set(target.shared) == {"0.weight", "0.bias", "1.bias"}


def test_the_users_module_is_never_changed() -> None:
    module = batch_norm()
    before = copy.deepcopy(module.state_dict())
    target = Target(module)
    layout = target.layout(2)
    target(
        torch.randn(layout.total),
        torch.randn(4, 6),
        layout=layout,
        buffers=target.new_buffers(),
        training=True,
    )
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert module.training


def test_refusals() -> None:
    with pytest.raises(TargetError, match="at least one parameter"):
        Target(nn.Linear(2, 2), ["bais"])
    with pytest.raises(TargetError, match="not tied"):
        Target(Transposed()).layout(3)
    with pytest.raises(TargetError, match="generated"):
        Target(batch_norm(), ["0.*"]).layout(3)
    with pytest.raises(TargetError, match="linear layer"):
        Target(batch_norm(), head="2").layout(3)


class Counting(nn.Module):
    """Replaces its buffer instead of changing it in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 2)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.seen = self.seen + len(x)
        return self.layer(x)


def test_a_buffer_that_the_module_replaces_is_kept_for_its_task() -> None:
    target = Target(Counting())
    layout, buffers = target.layout(2), target.new_buffers()
    for training in (True, True, False):
        target(
            torch.zeros(layout.total),
            torch.randn(5, 6),
            layout=layout,
            buffers=buffers,
            training=training,
        )
    assert buffers["seen"] == 10
    assert target.new_buffers()["seen"] == 0


class Recurrent(nn.Module):
    """Token ids to scores through a layer that torch cannot run for several weights at once."""

    def __init__(self, layer: type[nn.Module]) -> None:
        super().__init__()
        self.embed, self.layer = nn.Embedding(9, 4), layer(4, 4, batch_first=True)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        return self.out(self.layer(self.embed(x))[0][:, -1])


class Attention(nn.Module):
    """A transformer's layer, which has a fast path of its own when evaluated."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        return self.out(self.layer(self.embed(x)).mean(1))


UNBATCHED = {
    "LSTM": lambda: Recurrent(nn.LSTM),
    "GRU": lambda: Recurrent(nn.GRU),
    "attention": Attention,
}


@pytest.mark.parametrize("name", UNBATCHED)
def test_modules_that_cannot_be_batched_go_task_by_task(name) -> None:
    target = Target(UNBATCHED[name]())
    layout, x = target.layout(2), torch.randint(9, (5, 6))
    flat = torch.randn(3, layout.total)
    buffers = [target.new_buffers() for _ in flat]
    for _ in range(2):
        with torch.no_grad():
            scores = target.each(flat, x, layout=layout, buffers=buffers)
        for row, weights in zip(scores, flat, strict=True):
            assert torch.allclose(row, put(target.module, layout, weights)(x), atol=1e-5)


@pytest.mark.parametrize("make", MODULES)
def test_a_plain_module_has_the_weights_and_depends_on_nothing(make) -> None:
    target = Target(make())
    layout, buffers = target.layout(2), target.new_buffers()
    flat, x = torch.randn(layout.total), torch.randn(4, 6)
    plain = target.plain(flat, layout=layout, buffers=buffers)
    expected = put(target.module, layout, flat)(x)
    assert torch.equal(plain(x), expected)
    with torch.no_grad():
        flat.zero_()
        for value in buffers.values():
            value.zero_()
    assert torch.equal(plain(x), expected)


def test_a_plain_module_has_the_task_s_own_head() -> None:
    target = Target(batch_norm())
    layout = target.layout(3)
    plain = target.plain(torch.randn(layout.total), layout=layout, buffers=target.new_buffers())
    assert plain(torch.randn(4, 6)).shape == (4, 3)
