"""The lookahead is the step: bit for bit, and nothing moves."""

from __future__ import annotations

import copy

import pytest
import torch

from hypermnesia.regularization.lookahead import (
    LOOKAHEADS,
    AdamLookahead,
    OptimizerLookahead,
    _AdamRows,
    optimizer_lookahead,
)

OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adam-fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adam-foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "adam-amsgrad-decay": lambda p: torch.optim.Adam(p, amsgrad=True, weight_decay=0.1, eps=1e-4),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.5, 0.9)),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "rprop": lambda p: torch.optim.Rprop(p),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "groups": lambda p: torch.optim.Adam([{"params": p[:1]}, {"params": p[1:], "lr": 0.5}]),
}


def parameters() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.nn.Parameter(torch.randn(s, generator=generator)) for s in ((1000, 7), (5,), (1,))
    ]


KINDS = {"whole": OptimizerLookahead, "rows": optimizer_lookahead}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("kind", KINDS)
def test_lookahead_is_bit_equal_to_the_real_step_and_touches_nothing(name, kind) -> None:
    params = parameters()
    optimizer = OPTIMIZERS[name](params)
    lookahead = KINDS[kind](optimizer)
    generator = torch.Generator().manual_seed(1)
    for iteration in range(5):
        gradients = [torch.randn(p.shape, generator=generator) for p in params]
        if iteration == 3:
            optimizer.param_groups[0]["lr"] *= 0.1
        before = copy.deepcopy((optimizer.state_dict(), [p.detach() for p in params]))
        point = [walk(rows, p) for rows, p in zip(lookahead(gradients), params, strict=True)]
        assert_equal(before, (optimizer.state_dict(), [p.detach() for p in params]))
        assert all(p.grad is None for p in params)
        for p, g in zip(params, gradients, strict=True):
            p.grad = g
        optimizer.step()
        optimizer.zero_grad()
        assert all(torch.equal(p, q) for p, q in zip(params, point, strict=True))


def walk(rows, parameter) -> torch.Tensor:
    """A stepped parameter, asked for a few rows at a time."""
    ends = range(0, len(parameter), 300)
    return torch.cat([rows[start : start + 300].clone() for start in ends])


def assert_equal(a, b) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    else:
        assert a == b


def test_a_restored_optimiser_looks_ahead_the_same() -> None:
    params = parameters()
    optimizer = OPTIMIZERS["adam-fused"](params)
    gradients = [torch.ones_like(p) for p in params]
    for p, g in zip(params, gradients, strict=True):
        p.grad = g
    optimizer.step()
    twin = OPTIMIZERS["adam-fused"](params)
    late = OptimizerLookahead(twin)
    twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for a, b in zip(late(gradients), OptimizerLookahead(optimizer)(gradients), strict=True):
        assert torch.equal(a, b)
    assert_equal(twin.state_dict(), optimizer.state_dict())


def test_sgd_and_none_by_hand() -> None:
    params = [torch.nn.Parameter(torch.tensor([1.0, 2.0]))]
    optimizer = torch.optim.Adam(params, lr=0.5)
    gradients = [torch.tensor([4.0, -2.0])]
    assert LOOKAHEADS["sgd"](optimizer)(gradients)[0].tolist() == [-1.0, 3.0]
    assert LOOKAHEADS["none"](optimizer)(gradients)[0].tolist() == [1.0, 2.0]


def test_a_subclass_of_adam_looks_ahead_by_its_own_step() -> None:
    class Double(torch.optim.Adam):
        def step(self, closure=None):
            super().step(closure)
            return super().step(closure)

    params = parameters()
    optimizer = Double(params, lr=0.1)
    gradients = [torch.ones_like(p) for p in params]
    point = [rows[:].clone() for rows in optimizer_lookahead(optimizer)(gradients)]
    for p, g in zip(params, gradients, strict=True):
        p.grad = g
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(params, point, strict=True))


def test_plain_values_of_an_optimiser_follow_too() -> None:
    """NAdam keeps its momentum's product as a tensor; others may keep plain numbers, or lists."""

    class Counting(torch.optim.Optimizer):
        def __init__(self, params) -> None:
            super().__init__(params, {"lr": 0.5})

        @torch.no_grad()
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                state = self.state[p]
                state.setdefault("count", 0)
                (past,) = state.setdefault("past", [[]])
                past.append(state["count"])
                state["count"] += 1
                p -= self.param_groups[0]["lr"] * (state["count"] + sum(past)) * p.grad

    params = parameters()
    optimizer = Counting(params)
    lookahead = OptimizerLookahead(optimizer)
    for _ in range(3):
        gradients = [torch.ones_like(p) for p in params]
        for _twice in range(2):
            point = [stepped.clone() for stepped in lookahead(gradients)]
        for p, g in zip(params, gradients, strict=True):
            p.grad = g
        optimizer.step()
        assert all(torch.equal(p, q) for p, q in zip(params, point, strict=True))
    assert [state["past"] for state in optimizer.state.values()] == [[[0, 1, 2]]] * 3


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_rows_of_adam_are_made_when_asked_for(name) -> None:
    assert isinstance(optimizer_lookahead(OPTIMIZERS[name](parameters())), AdamLookahead)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("fused", "capturable", "device"),
    [(None, False, "cpu"), (False, False, "cpu"), (True, False, "meta"), (None, True, "meta")],
)
def test_the_first_step_is_counted_where_adam_would(fused, capturable, device) -> None:
    parameter = torch.empty(3, device="meta")
    group = {"fused": fused, "capturable": capturable}
    step = _AdamRows(parameter, parameter, group, {})._step
    assert (step.device.type, step.dtype) == (device, torch.float32)
