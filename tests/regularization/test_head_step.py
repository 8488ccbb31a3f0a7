"""The step of a large head in blocks of rows, beside the definition."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization import head, output
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.regularization.step import HypernetTrainer
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State

SIZES = HypernetSettings((6,), 4, 3, activation="elu", init="hyperfan", plan="even", chunk=61)
DRAWN = {
    "sampled": RegularizerSettings(beta=1.0, kind="sampled", subset=1),
    "rows": RegularizerSettings(beta=1.0, rows=2),
}


@pytest.fixture(autouse=True)
def _in_double(monkeypatch):
    monkeypatch.setattr(head, "SMALLEST", 0)
    monkeypatch.setattr(output, "CACHE_BYTES", 1)
    monkeypatch.setattr(head, "block_rows", lambda _: 16)
    monkeypatch.setattr(output, "block_rows", lambda _: 16)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trained(
    monkeypatch: pytest.MonkeyPatch,
    *,
    blocks: bool,
    regularizer: RegularizerSettings,
    optimizer: OptimizerSettings,
    otherwise: bool = False,
) -> tuple[State, list[dict[str, torch.Tensor]]]:
    """Weights and metrics after three tasks, the last with more outputs than the others."""
    monkeypatch.setattr(head, "SMALLEST", 0 if blocks else 1 << 60)
    generators, made = Generators(0), torch.Generator().manual_seed(0)
    template = nn.Sequential(nn.Linear(5, 30), nn.ReLU(), nn.Linear(30, 3))
    memory = WeightMemory(template, SIZES)
    given = {"regularizer": regularizer, "optimizer": optimizer, "generators": generators}
    trainer = HypernetTrainer(memory, **given)
    x, y = torch.randn(8, 5, generator=made), torch.arange(8) % 3
    metrics = []
    for task in range(3):
        memory.add_task(3 + task // 2, generators)
        trainer.begin_task(4)
        assert (trainer.head is not None) == blocks

        def loss(task: int = task) -> torch.Tensor:
            found = F.cross_entropy(memory.run(task, x, training=True), y)
            return found + memory.weights(task).square().sum() if otherwise else found

        metrics += [trainer.step(loss) for _ in range(4)]
        trainer.end_task()
    return memory.state_dict(), metrics


@pytest.mark.parametrize("otherwise", [False, True])
@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("beta", [0.0, 1.0, "auto", "sampled", "rows"])
def test_steps_are_those_of_the_definition(monkeypatch, beta, name, otherwise) -> None:
    regularizer = DRAWN.get(beta) or RegularizerSettings(beta=beta)
    given = {"regularizer": regularizer, "optimizer": OptimizerSettings(name, lr=0.01)}
    state, metrics = trained(monkeypatch, blocks=True, otherwise=otherwise, **given)
    wanted, told = trained(monkeypatch, blocks=False, otherwise=otherwise, **given)
    for key, value in wanted["hypernet"].items():
        torch.testing.assert_close(state["hypernet"][key], value, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(metrics, told, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    "optimizer",
    [OptimizerSettings(clip=1.0), OptimizerSettings("sgd", lr=0.1)],
    ids=["clipped", "sgd"],
)
def test_what_wants_all_rows_at_once_gets_them(monkeypatch, optimizer) -> None:
    regularizer = RegularizerSettings(beta=1.0)
    with pytest.raises(AssertionError):
        trained(monkeypatch, blocks=True, regularizer=regularizer, optimizer=optimizer)


def test_a_snapshot_is_left_as_it_is_and_a_shared_theta_too(monkeypatch) -> None:
    memory, generators = WeightMemory(nn.Linear(40, 3), SIZES), Generators(0)
    trainer = HypernetTrainer(memory, generators=generators)
    memory.add_task(3, generators)
    other = WeightMemory(nn.Linear(40, 3), SIZES)
    other.load_state_dict(memory.state_dict())
    other.share(memory)
    before = [p.clone() for p in other.hypernet.parameters()]
    trainer.begin_task(1)
    trainer.step(lambda: memory.run(0, torch.ones(2, 40), training=True).square().sum())
    for mine, then, theirs in zip(
        memory.hypernet.parameters(), before, other.hypernet.parameters(), strict=True
    ):
        assert torch.equal(theirs, then)
        assert not torch.equal(mine, then)


def test_an_optimiser_goes_on_where_it_was_saved(monkeypatch) -> None:
    """The state has torch's own names and shapes, whichever way made it."""
    generators = Generators(0)
    memory = WeightMemory(nn.Linear(40, 3), SIZES)
    memory.add_task(3, generators)
    trainer = HypernetTrainer(memory, generators=generators)
    x = torch.ones(2, 40)

    def loss() -> torch.Tensor:
        return memory.run(0, x, training=True).square().sum()

    trainer.begin_task(4)
    trainer.step(loss)
    saved, weights = trainer.state_dict(), memory.state_dict()
    monkeypatch.setattr(head, "SMALLEST", 1 << 60)
    twin = WeightMemory(nn.Linear(40, 3), SIZES)
    twin.load_state_dict(weights)
    definition = HypernetTrainer(twin, generators=generators)
    definition.load_state_dict(saved)
    assert definition.head is None
    found = trainer.step(loss)
    wanted = definition.step(lambda: twin.run(0, x, training=True).square().sum())
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=0)
