"""Methods that infer the task: predictions against the slow, obvious way."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from hypermnesia.errors import ConfigError
from hypermnesia.evidence.entropy import EntropySettings, entropy
from hypermnesia.methods import METHODS, TaskSpec
from hypermnesia.methods.base import predictions
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.testing import check_method
from problems import blobs, build, learn, small_net


def trained(*outputs: int, network: nn.Module | None = None, **inference: object) -> HypernetMethod:
    settings = EntropySettings(**inference)
    method = build("hnet-ent", network=network or small_net(), inference=settings)
    for task, n in enumerate(outputs):
        learn(method, blobs(task, n), 30, n)
    return method


def own_scores(method: HypernetMethod, x: Tensor, task: int) -> Tensor:
    return method.predict(x, task).logits


@pytest.mark.parametrize("temperature", [1.0, 10.0])
def test_the_surest_head_answers_sample_by_sample(temperature: float) -> None:
    method = trained(2, 3, 2, temperature=temperature)
    x = torch.cat([blobs(task).x[:20] for task in range(3)])
    domain, classes = (method.predict(x, scenario=name) for name in ("domain", "class"))
    for row, sample in enumerate(x):
        scores = [own_scores(method, sample[None], task)[0] for task in range(3)]
        task = min(range(3), key=lambda t: entropy(scores[t] / temperature).item())
        assert domain.tasks[row] == classes.tasks[row] == task
        answer = scores[task].argmax().item()
        assert domain.logits[row].argmax() == answer
        assert classes.logits[row].argmax() == answer + [0, 2, 5][task]
    assert len(set(domain.tasks.tolist())) > 1


def screened(method: HypernetMethod, screen: str) -> HypernetMethod:
    """The same method with first answers in another format."""
    settings = replace(method.evidence.settings, screen=screen)
    other = build("hnet-ent", network=WIDE, inference=settings)
    other.load_state_dict(method.state_dict())
    return other


WIDE = small_net(width=64)
FAR_AND_NEAR = 2 * torch.randn(5000, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_screen_gives_the_answers_of_float32(temperature: float, calibrated: bool) -> None:
    exact = trained(2, 3, 2, network=WIDE, temperature=temperature, calibrated=calibrated)
    rough = screened(exact, "bf16")
    for scenario in ("domain", "class"):
        wanted, found = (method.predict(FAR_AND_NEAR, None, scenario) for method in (exact, rough))
        assert torch.equal(found.tasks, wanted.tasks)
        assert torch.equal(found.logits.argmax(1), wanted.logits.argmax(1))
    screen = rough.all_tasks.screened(FAR_AND_NEAR)
    unsettled = rough.evidence.log_evidence(FAR_AND_NEAR, screen)
    assert not torch.equal(unsettled.argmax(dim=0), wanted.tasks)


def test_a_screen_settles_some_and_leaves_others_as_first_answered(monkeypatch) -> None:
    rough, seen = screened(trained(2, 3, 2, network=WIDE), "bf16"), []
    monkeypatch.setattr(
        rough.all_tasks, "settle", lambda x, scores, doubtful: seen.append(doubtful)
    )
    rough.predict(FAR_AND_NEAR, scenario="class")
    assert 0 < seen[0].any(dim=0).float().mean() < 0.5


def test_a_given_task_is_answered_in_float32_whatever_the_screen() -> None:
    exact = trained(2, 3, network=WIDE)
    rough = screened(exact, "bf16")
    wanted, found = (method.predict(FAR_AND_NEAR, 1, "class").logits for method in (exact, rough))
    assert torch.equal(found, wanted)


def test_few_samples_and_none_are_answered_with_a_screen() -> None:
    rough = screened(trained(2, 3, network=WIDE), "bf16")
    assert rough.predict(FAR_AND_NEAR[:1], scenario="class").logits.shape == (1, 5)
    assert rough.predict(FAR_AND_NEAR[:0], scenario="class").logits.shape == (0, 5)


def test_it_keeps_the_contract_screened() -> None:
    settings = EntropySettings(calibrated=True, screen="bf16")
    check_method(lambda g: build("hnet-ent", network=WIDE, generators=g, inference=settings))


def test_a_given_task_is_not_inferred() -> None:
    method, x = trained(2, 3), blobs(0).x
    prediction = method.predict(x, 1, "class")
    assert prediction.tasks.tolist() == [1] * len(x)
    assert torch.allclose(prediction.logits[:, 2:], own_scores(method, x, 1), atol=1e-6)
    assert (prediction.logits[:, :2] == -torch.inf).all()
    with pytest.raises(ConfigError, match="given the task"):
        method.predict(x)


def test_calibrated_scores_are_in_terms_of_the_class_s_own_spread() -> None:
    method = trained(2, 3, calibrated=True)
    spreads = []
    for task, n in enumerate((2, 3)):
        part, of_class = blobs(task, n), []
        for label in range(n):
            scores = own_scores(method, part.x[part.y == label], task)
            of_class.append((scores.max(1).values - scores.mean(1)).mean().item())
        spreads.append(of_class)
    # Task 0 has moved a little since its spreads were taken.
    assert method.evidence.spreads[1].tolist() == pytest.approx(spreads[1], rel=1e-4)
    assert method.evidence.spreads[0].tolist() == pytest.approx(spreads[0], rel=0.3)
    x = torch.cat([blobs(task).x[:20] for task in range(3)])
    inferred = method.predict(x, scenario="class").tasks
    for row, sample in enumerate(x):
        scores = [own_scores(method, sample[None], task)[0] for task in range(2)]
        own = [each / method.evidence.spreads[t][each.argmax()] for t, each in enumerate(scores)]
        shares = [entropy(each).item() / math.log(len(each)) for each in own]
        assert inferred[row] == shares.index(min(shares))
    assert not torch.equal(inferred, trained(2, 3).predict(x, scenario="class").tasks)
    kept = method.memory.kept + 2 + 3
    assert method.compression() == kept / method.memory.largest


def test_it_keeps_the_contract_calibrated() -> None:
    settings = EntropySettings(calibrated=True)
    check_method(lambda g: build("hnet-ent", generators=g, inference=settings))


def test_slopes_are_those_of_the_mixture_by_reverse_mode() -> None:
    method = trained(2, 2, 2, criterion="entropy-gradient", temperature=2.0)
    memory, x = method.memory, blobs(1).x[:6]
    module = memory.target.module.eval()
    weights = torch.stack([memory.weights(task).detach() for task in range(3)])
    buffers = {
        name: torch.stack([b[name].double() for b in memory.buffers]).mean(0).to(value.dtype)
        for name, value in memory.buffers[0].items()
    }
    inferred = method.predict(x, scenario="domain").tasks
    for row, sample in enumerate(x):
        alpha = torch.full((3,), 1 / 3, requires_grad=True)
        named = memory.layouts[0].split(alpha @ weights)
        scores = functional_call(module, named | buffers, (sample[None],))
        (slopes,) = torch.autograd.grad(entropy(scores / 2.0).sum(), alpha)
        assert torch.allclose(method.evidence.slopes(x)[:, row], slopes, atol=1e-5)
        assert inferred[row] == slopes.argmin()


def test_networks_of_different_widths_cannot_be_mixed() -> None:
    method = trained(2, criterion="entropy-gradient")
    with pytest.raises(ConfigError, match=r"criterion=entropy$"):
        method.begin_task(TaskSpec(3, 1))
    assert method.memory.tasks == 1


@pytest.mark.parametrize("name", [n for n in METHODS if METHODS[n].trained == "once"])
def test_all_scenarios_at_once_are_answered_as_one_by_one(name: str) -> None:
    method, x = build(name), blobs(1).x
    for task in range(2):
        learn(method, blobs(task, 2 + task), 3, outputs=2 + task)
    asked, infer = [], getattr(method, "inferred", None)
    if infer:
        method.inferred = lambda of: asked.append(1) or infer(of)
    found = predictions(method, x, 1, method.answers)
    assert asked == ([1] if infer else [])
    for scenario, prediction in found.items():
        alone = method.predict(x, 1 if scenario == "task" else None, scenario)
        if infer:
            assert torch.equal(prediction.logits, alone.logits)
        else:  # of fewer classes alone, whose products may round otherwise
            torch.testing.assert_close(prediction.logits, alone.logits, rtol=1e-9, atol=1e-9)
        assert (prediction.tasks is None) == (alone.tasks is None)
        assert alone.tasks is None or torch.equal(prediction.tasks, alone.tasks)
