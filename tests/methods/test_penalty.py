"""EWC, online EWC and SI: each step and each memory against its equation, and what it is for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hypermnesia.data.stream import each_once
from hypermnesia.errors import ConfigError
from hypermnesia.methods import METHODS, Method, TaskSpec
from hypermnesia.methods.penalties import PenaltySettings
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.quadratic import diagonal_fisher, sum_of_terms
from hypermnesia.seeding import Generators
from problems import CPU, batches, blobs, learn

RATE = 0.01
SGD = OptimizerSettings("sgd", lr=RATE)
Terms = list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]]


def plain(
    name: str,
    scenario: str = "class",
    optimizer: OptimizerSettings = SGD,
    **penalty: float | None,
) -> Method:
    """A method over a network without dropout and batch-norm."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
    settings = {"penalty": PenaltySettings(**penalty)} if penalty else {}
    return METHODS[name].build(
        network,
        scenario,
        **settings,
        optimizer=optimizer,
        generators=Generators(0),
        device=CPU,
    )


def values(method: Method) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in method.network.named_parameters()}


def task_gradients(method: Method, batch) -> dict[str, torch.Tensor]:
    """Of the task's loss alone."""
    named = dict(method.network.named_parameters())
    scores = method.network(batch.x)
    scores = scores.masked_fill(~method.scenario.active(batch.task), -torch.inf)
    loss = F.cross_entropy(scores, method.scenario.labels(batch.y, batch.task))
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def expected_step(method: Method, batch, terms: Terms, weight: float) -> dict[str, torch.Tensor]:
    """θ - η (g + weight ∇ Σ_t Σ_i A_ti (θ_i - θ*_ti)²)."""
    named, own = dict(method.network.named_parameters()), task_gradients(method, batch)
    penalty = weight * sum_of_terms(terms, named)
    pulled = torch.autograd.grad(penalty, list(named.values()))
    steps = zip(named.items(), pulled, strict=True)
    return {name: p.detach() - RATE * (own[name] + pull) for (name, p), pull in steps}


def ewc_terms(method: Method, tasks: int, decay: float | None) -> Terms:
    """Learn the first tasks; returns the terms that should hold now."""
    terms: Terms = []
    for task in range(tasks):
        learn(method, blobs(task), 5)
        candidates, x = method.scenario.candidates(task), blobs(task).x
        fisher = diagonal_fisher(method.network, [x], candidates)
        if decay is not None and terms:
            for name, earlier in terms.pop()[0].items():
                fisher[name][: len(earlier)] += decay * earlier
        terms.append((fisher, values(method)))
    return terms


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
@pytest.mark.parametrize(("name", "decay"), [("ewc", None), ("ewc-online", 0.5)])
def test_a_step_of_ewc_is_that_of_its_equation(name, decay, scenario) -> None:
    options = {} if decay is None else {"decay": decay}
    method = plain(name, scenario, strength=30.0, **options)
    terms = ewc_terms(method, 3, decay)
    method.begin_task(TaskSpec(2, 3))
    for batch in batches(blobs(3), 3):
        expected = expected_step(method, batch, terms, 30.0 / 2)
        free = expected_step(method, batch, terms, 0.0)
        penalty = 15.0 * sum_of_terms(terms, values(method))
        reported = method.update(batch)
        torch.testing.assert_close(reported["penalty"], penalty, rtol=1e-3, atol=1e-5)
        for parameter, value in values(method).items():
            torch.testing.assert_close(value, expected[parameter], rtol=1e-4, atol=1e-5)
    far = [not torch.allclose(free[name], expected[name], rtol=1e-3, atol=1e-4) for name in free]
    assert any(far)  # the penalty is strong enough to be told from none


def test_only_the_task_s_own_head_matters_to_its_fisher() -> None:
    method = plain("ewc", "task", strength=1.0)
    for task in range(2):
        learn(method, blobs(task), 5)
    kept = method.penalty.importance["2.weight"]
    assert kept.shape == (4, 8)
    assert (kept.abs().amax(1) > 0).all()
    learn(method, blobs(2), 5)
    assert torch.equal(method.penalty.importance["2.weight"][:4], kept)


def test_a_fisher_of_some_samples_is_about_the_same() -> None:
    fishers = []
    for samples in (None, 1000, 48):
        method = plain("ewc", strength=1.0, samples=samples)
        learn(method, blobs(0), 5)
        fishers.append(method.penalty.importance["0.weight"])
    torch.testing.assert_close(fishers[1], fishers[0])
    assert not torch.equal(fishers[2], fishers[0])
    assert 0.5 < fishers[2].sum() / fishers[0].sum() < 2


def test_si_follows_the_task_s_loss_alone_and_holds_what_it_moved() -> None:
    method, strength, xi = plain("si", "class", strength=3.0, xi=0.01), 3.0, 0.01
    importance: dict[str, torch.Tensor] = {}
    point: dict[str, torch.Tensor] = {}
    for task in range(3):
        method.begin_task(TaskSpec(2, 4))
        start = values(method)
        omega = {name: torch.zeros_like(p) for name, p in start.items()}
        for batch in batches(blobs(task), 4):
            before, own = values(method), task_gradients(method, batch)
            terms = [(importance, point)] if importance else []
            expected = expected_step(method, batch, terms, strength) if terms else None
            method.update(batch)
            for name, after in values(method).items():
                omega[name] -= own[name] * (after - before[name])
                if expected is not None:
                    torch.testing.assert_close(after, expected[name], rtol=1e-4, atol=1e-6)
        method.end_task(each_once([blobs(task)], 16))
        point, earlier = values(method), importance
        importance = {
            name: omega[name] / ((point[name] - start[name]).square() + xi) for name in omega
        }
        for name, kept in earlier.items():
            importance[name][: len(kept)] += kept
        importance = {name: value.clamp(min=0) for name, value in importance.items()}
        for name, value in importance.items():
            found = method.penalty.importance[name]
            torch.testing.assert_close(found, value, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["ewc", "ewc-online", "si"])
def test_the_first_task_is_learned_as_by_finetuning(name: str) -> None:
    method, reference = plain(name, strength=1e6), plain("finetune")
    for each in (method, reference):
        learn(each, blobs(0), 10)
    for parameter, value in values(reference).items():
        assert torch.equal(value, values(method)[parameter])


@pytest.mark.parametrize("name", ["ewc", "ewc-online", "si"])
def test_what_is_stored_is_counted(name: str) -> None:
    method = plain(name, strength=1.0)
    method.begin_task(TaskSpec(2, 1))
    assert method.compression() == 1.0
    for task in range(3):
        learn(method, blobs(task), 2)
    assert method.compression() == 3.0  # the network, an importance and a mean for each weight


@pytest.mark.parametrize("fields", [{"xi": 0.0}, {"samples": 0}])
def test_impossible_settings_are_refused(fields: dict) -> None:
    with pytest.raises(ConfigError, match=f"penalty.{next(iter(fields))}"):
        PenaltySettings(**fields)


def forgotten(method: Method, tasks: int = 6) -> float:
    """Mean fall of the accuracy of earlier tasks."""

    def accuracy(task: int) -> float:
        batch = blobs(task).batch(torch.arange(64))
        answers = method.predict(batch.x, task).logits.argmax(1)
        return (answers == batch.y).double().mean().item()

    learned = []
    for task in range(tasks):
        learn(method, blobs(task), 60)
        learned.append(accuracy(task))
    assert min(learned) > 0.9
    return sum(learned[task] - accuracy(task) for task in range(tasks - 1)) / (tasks - 1)


@pytest.mark.parametrize(("name", "strength"), [("ewc", 1e4), ("ewc-online", 1e4), ("si", 100.0)])
def test_it_forgets_less_than_finetuning(name: str, strength: float) -> None:
    adam = OptimizerSettings("adam", lr=0.03)
    assert forgotten(plain("finetune", "task", adam)) > 0.1
    assert forgotten(plain(name, "task", adam, strength=strength)) < 0.02
