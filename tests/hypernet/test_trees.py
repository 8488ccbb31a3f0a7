"""Target networks whose inputs are several tensors: by keyword, by position, nested."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.data.types import Part
from hypermnesia.errors import DataError, TargetError
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.target import Target
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.tree import Tree
from problems import CPU, build, learn


class Words(nn.Module):
    """The mean of the words that a mask lets through."""

    def __init__(self, recurrent: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(12, 6)
        self.layer = nn.GRU(6, 6, batch_first=True) if recurrent else nn.Linear(6, 6)
        self.out = nn.Linear(6, 2)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.layer(self.embed(ids))
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden.tanh()
        weight = mask[..., None].to(hidden)
        return self.out((hidden * weight).sum(1) / weight.sum(1))


class Scored(Words):
    """As models of Transformers do: logits are a part of the output."""

    def forward(self, ids: Tensor, mask: Tensor) -> Any:
        return SimpleNamespace(logits=super().forward(ids, mask), hidden=None)


class Nested(Words):
    """One keyword for all."""

    def forward(self, both: tuple[Tensor, dict[str, Tensor]]) -> Tensor:
        return super().forward(both[0], both[1]["mask"])


def words(task: int, n: int = 64) -> dict[str, Tensor]:
    """Four words of a sample, of which a mask hides some; each class has words of its own."""
    generator = torch.Generator().manual_seed(task)
    of_class = torch.randperm(12, generator=generator).view(2, 6)
    y = torch.arange(n) % 2
    drawn = torch.randint(6, (n, 4), generator=generator)
    mask = torch.rand(n, 4, generator=generator) < 0.7
    mask[:, 0] = True
    own = of_class[y[:, None], drawn]
    return {"ids": torch.where(mask, own, of_class[1 - y[:, None], drawn]), "mask": mask}


SHAPES = {
    "keywords": (Words, lambda x: x),
    "positions": (Words, lambda x: (x["ids"], x["mask"])),
    "logits": (Scored, lambda x: x),
    "nested": (Nested, lambda x: {"both": (x["ids"], {"mask": x["mask"]})}),
    "unbatched": (lambda: Words(recurrent=True), lambda x: x),
}


def made(kind: str) -> tuple[nn.Module, Tree]:
    module, shape = SHAPES[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return module(), shape(words(0, 9))


@pytest.mark.parametrize("kind", SHAPES)
def test_a_target_passes_its_inputs_as_the_module_takes_them(kind: str) -> None:
    module, x = made(kind)
    target = Target(module)
    layout = target.layout(2)
    flat = torch.cat([dict(module.named_parameters())[n].flatten() for n in layout.shapes])
    expected = tree.logits_of(tree.forward(module, x)).detach()
    for training in (True, False):
        found = target(flat, x, layout=layout, buffers={}, training=training)
        assert torch.equal(found, expected)
    plain = target.plain(flat.detach(), layout=layout, buffers={})
    assert torch.equal(tree.logits_of(tree.forward(plain, x)), expected)


@pytest.mark.parametrize("kind", SHAPES)
def test_all_weights_at_once_are_one_call_a_row(kind: str) -> None:
    module, x = made(kind)
    target = Target(module)
    layout = target.layout(2)
    weights = torch.randn(3, layout.total, generator=torch.Generator().manual_seed(1))
    together = target.each(weights, x, layout=layout, buffers=[{}] * 3)
    assert target.way == ("swapped" if kind == "unbatched" else "batched")
    for row, found in zip(weights, together, strict=True):
        alone = target(row, x, layout=layout, buffers={}, training=False)
        torch.testing.assert_close(found, alone)


@pytest.mark.parametrize("budget", [1, 3000, 1 << 20])
@pytest.mark.parametrize("kind", SHAPES)
def test_all_tasks_answer_slice_by_slice(kind: str, budget: int) -> None:
    method, _ = trained(kind, iterations=2)
    memory, x = method.memory, SHAPES[kind][1](words(1, 9))
    alone = torch.stack([memory.run(task, x, training=False) for task in range(2)])
    asked = AllTasks(memory, budget)
    assert torch.allclose(asked(x), alone, atol=1e-6)
    rough = asked.screened(x)
    doubtful = torch.ones(2, 9, dtype=torch.bool)
    asked.settle(x, rough, doubtful)
    assert torch.allclose(rough, alone, atol=1e-6)


def trained(kind: str, iterations: int, **settings: Any) -> tuple[HypernetMethod, list[Part]]:
    module, shape = SHAPES[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        method = build(settings.pop("name", "hnet"), network=module(), **settings)
    parts = [Part(shape(words(task)), torch.arange(64) % 2, task) for task in range(2)]
    for part in parts:
        learn(method, part, iterations)
    assert isinstance(method, HypernetMethod)
    return method, parts


@pytest.mark.parametrize("kind", ["keywords", "positions", "logits", "nested"])
def test_a_method_learns_tasks_whose_inputs_are_trees(kind: str) -> None:
    method, parts = trained(kind, iterations=150)
    for part in parts:
        found = method.predict(part.x, part.task)
        assert (found.logits.argmax(1) == part.y).float().mean() > 0.95
        assert torch.equal(found.tasks, torch.full((64,), part.task))


@pytest.mark.parametrize("screen", [None, "bf16"])
def test_the_task_of_trees_is_inferred(screen: str | None) -> None:
    settings = {"name": "hnet-ent", "inference": EntropySettings(screen=screen, calibrated=True)}
    method, parts = trained("keywords", iterations=20, **settings)
    for scenario in ("domain", "class"):
        assert len(method.predict(parts[0].x, scenario=scenario).logits) == 64
    given = method.predict(parts[0].x, 1, "domain")
    assert torch.allclose(given.logits, method.predict(parts[0].x, 1, "task").logits, atol=1e-6)


def test_the_slope_of_the_mixture_is_taken_for_trees() -> None:
    settings = {"name": "hnet-ent", "inference": EntropySettings("entropy-gradient")}
    method, parts = trained("keywords", iterations=2, **settings)
    assert method.predict(parts[0].x, scenario="class").logits.shape == (64, 4)


def test_what_is_no_tensor_is_refused_in_a_line() -> None:
    class Pair(Words):
        def forward(self, ids: Tensor, mask: Tensor) -> Any:
            return super().forward(ids, mask), mask

    with pytest.raises(TargetError, match=r"a network must give a tensor, .* got tuple"):
        learn(build("hnet", network=Pair()), Part(words(0), torch.arange(64) % 2, 0), 1)


def test_an_autoencoder_refuses_several_tensors_in_a_line() -> None:
    method = build("hnet-lik", network=Words())
    with pytest.raises(DataError, match="an autoencoder needs inputs that are one tensor; got a d"):
        learn(method, Part(words(0), torch.arange(64) % 2, 0), 1)


def test_one_tensor_and_a_tuple_of_it_are_the_same() -> None:
    memory = WeightMemory(
        nn.Linear(4, 2),
        HypernetSettings((3,), 5, 6, chunk=10),
        generated=["*"],
        head=None,
        device=CPU,
    )
    memory.add_task(2, build("hnet").generators)
    x = torch.randn(3, 4)
    alone, wrapped = (memory.run(0, each, training=False) for each in (x, (x,)))
    assert torch.equal(alone, wrapped)
