"""Training in bf16 and through torch.compile: close to plain training, and really another one."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from hypermnesia.methods import TaskSpec
from hypermnesia.testing import check_method
from problems import batches, blobs, build, learn


@pytest.mark.parametrize("name", ["hnet", "finetune", "separate"])
def test_bf16_learns_as_float32_does(name: str) -> None:
    plain, low = build(name), build(name, precision="bf16")
    ends = []
    for method in (plain, low):
        for task in range(2):
            reported = learn(method, blobs(task), 60)
        ends.append(float(reported[-1]["loss"]))
        x, y = blobs(1).x, blobs(1).y
        scores = method.predict(x, 1).logits
        assert scores.dtype == torch.float32
        assert (scores.argmax(1) == y).float().mean() > 0.95
    assert ends[0] != ends[1]
    assert ends[1] == pytest.approx(ends[0], abs=0.1)


def products(method) -> tuple[set[torch.dtype], set[torch.dtype]]:
    """Number formats of what linear layers give in an update, and then in an answer."""
    seen: list[torch.dtype] = []

    def watched(*args):
        out = linear(*args)
        seen.append(out.dtype)
        return out

    linear, nn.functional.linear = nn.functional.linear, watched
    try:
        method.update(batches(blobs(1), 1)[0])
        trained = set(seen)
        seen.clear()
        method.predict(blobs(0).x, 0)
    finally:
        nn.functional.linear = linear
    return trained, set(seen)


@pytest.mark.parametrize("name", ["hnet", "hnet-lik", "dgr", "finetune", "lwf"])
def test_only_training_is_in_bf16(name: str) -> None:
    method = build(name, precision="bf16")
    learn(method, blobs(0), 2)
    method.begin_task(TaskSpec(2, 2))
    trained, answered = products(method)
    assert trained - {torch.float64} == {torch.bfloat16}  # the regulariser's sums are in float64
    assert answered == {torch.float32}


@pytest.mark.parametrize("name", ["hnet", "finetune"])
def test_parameters_are_in_float32_where_training_is_in_bf16(name: str) -> None:
    method = build(name, precision="bf16")
    method.begin_task(TaskSpec(2, 1))
    method.update(batches(blobs(0), 1)[0])
    network = method.memory.hypernet if name == "hnet" else method.network
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["hnet", "hnet-lik", "hnet-r", "dgr", "finetune", "separate"])
def test_the_contract_holds_in_bf16(name: str) -> None:
    check_method(lambda generators: build(name, generators=generators, precision="bf16"))


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's own, while it traces
def test_compiled_training_is_the_same_training(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = []

    def backend(graph: torch.fx.GraphModule, _inputs: object) -> object:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    states = []
    for compiled in (False, True):
        method = build("hnet", compile=compiled)
        learn(method, blobs(0), 3)
        states.append(method.state_dict()["memory"])
    plain, through_graphs = states
    assert graphs
    for name, value in plain["hypernet"].items():
        torch.testing.assert_close(through_graphs["hypernet"][name], value)
    for name, value in plain["buffers"][0].items():
        torch.testing.assert_close(through_graphs["buffers"][0][name], value)
