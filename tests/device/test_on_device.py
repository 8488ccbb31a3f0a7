"""What a GPU could make different: `pytest tests/device`, which runs where one is.

`--device cpu` tries the tests themselves; without a GPU and without it they are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from hypermnesia import ContinualLearner
from hypermnesia.cli import main
from hypermnesia.compute import deterministic_kernels
from hypermnesia.data.types import Batch, Part
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.methods import METHODS, Method, TaskSpec
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.state_files import pack, unpack
from problems import CPU, batches, blobs, build, learn, small_net


def on(device: torch.device, part: Part) -> Part:
    return replace(part, x=part.x.to(device), y=part.y.to(device))


def taught(device: torch.device, name: str, updates: int = 4, **changes: object) -> Method:
    """A small method that has learned two tasks on the device."""
    method = build(name, device=device, **changes)
    for task in range(2):
        for metrics in learn(method, on(device, blobs(task)), updates):
            assert all(torch.isfinite(value) for value in metrics.values())
    return method


@pytest.mark.parametrize("name", list(METHODS))
def test_what_it_learned_there_answers_alike_on_the_cpu(device: torch.device, name: str) -> None:
    method, here = taught(device, name), build(name)
    here.load_state_dict(unpack(*pack(method.state_dict())))
    x = blobs(1).x
    there = method.predict(x.to(device), 1).logits
    assert there.device.type == device.type
    torch.testing.assert_close(there.cpu(), here.predict(x, 1).logits, rtol=1e-3, atol=1e-3)


def test_both_forms_of_the_regulariser_train_alike(device: torch.device) -> None:
    kinds = [RegularizerSettings(0.1, kind) for kind in ("direct", "closed")]
    direct, closed = (taught(device, "hnet", regularizer=each) for each in kinds)
    theirs = closed.state_dict()["memory"]["hypernet"]
    for name, value in direct.state_dict()["memory"]["hypernet"].items():
        torch.testing.assert_close(theirs[name], value, rtol=2e-3, atol=1e-4)


CHANGES: dict[str, Callable[[], dict[str, object]]] = {
    "rows": lambda: {"regularizer": RegularizerSettings(0.1, rows=1)},
    "bf16": lambda: {"precision": "bf16"},
    "compiled": lambda: {"compile": True},
}


@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
@pytest.mark.parametrize("change", list(CHANGES))
def test_other_ways_to_train_learn(device: torch.device, change: str) -> None:
    if change == "compiled" and device == CPU:
        pytest.skip("the compiler takes long on a CPU; tests/methods/test_precision.py compiles")
    method = taught(device, "hnet", 60, **CHANGES[change]())
    for task in range(2):
        part = on(device, blobs(task))
        right = method.predict(part.x, task).logits.argmax(1) == part.y
        assert right.float().mean() > 0.95


@pytest.mark.parametrize("screen", [None, "bf16"])
def test_the_task_is_inferred_as_on_the_cpu(device: torch.device, screen: str | None) -> None:
    method = taught(device, "hnet-ent", 30, inference=EntropySettings(screen=screen))
    here = build("hnet-ent")
    here.load_state_dict(unpack(*pack(method.state_dict())))
    x = torch.cat([blobs(task).x for task in range(2)])
    same = method.predict(x.to(device), None, "class").tasks.cpu()
    assert (same == here.predict(x, None, "class").tasks).float().mean() > 0.97


@pytest.mark.parametrize("name", ["hnet", "hnet-lik", "ewc", "dgr"])
def test_saving_within_a_task_changes_nothing(device: torch.device, name: str) -> None:
    def go_on(method: Method, some: list[Batch]) -> dict[str, torch.Tensor]:
        for batch in some:
            method.update(batch)
        return pack(method.state_dict())[1]

    with deterministic_kernels(True):
        method = build(name, device=device)
        learn(method, on(device, blobs(0)), 3)
        method.begin_task(TaskSpec(2, 4))
        some = batches(on(device, blobs(1)), 4)
        go_on(method, some[:2])
        tree, tensors = pack(method.state_dict())
        states = {name: value.clone() for name, value in tensors.items()}
        streams = method.generators.state_dict() if hasattr(method, "generators") else None
        whole = go_on(method, some[2:])
        again = build(name, device=device)
        again.load_state_dict(unpack(tree, states))
        if streams is not None:
            again.generators.load_state_dict(streams)
        for key, value in go_on(again, some[2:]).items():
            assert torch.equal(value, whole[key]), key


def test_a_learner_trained_there_answers_on_the_cpu(device: torch.device, tmp_path) -> None:
    learner = ContinualLearner(small_net(), device=device, iterations=60, batch_size=16, lr=0.01)
    samples = {f"task {task}": blobs(task) for task in range(2)}
    for task, part in samples.items():
        learner.fit(part.x.numpy(), part.y.numpy(), task=task)
    learner.save(tmp_path / "learner")
    here = ContinualLearner.load(tmp_path / "learner", small_net(), device="cpu")
    for task, part in samples.items():
        answers, x = here.predict(part.x.numpy(), task), part.x.numpy()
        assert np.mean(answers == part.y.numpy()) > 0.9
        assert np.mean(answers == learner.predict(x, task)) > 0.97


def test_a_run_goes_on_on_another_device(device: torch.device, tmp_path) -> None:
    few = ["--recipe", "quick", "--tasks", "2", "--set", "train.iterations=60"]
    run = ["run", "split-digits", *few, "--device", device.type, "--out", str(tmp_path)]
    assert main(run) == 0
    path = tmp_path / "split-digits_hnet_task"
    (path / "seed-0" / "result.json").unlink()
    assert main(["resume", str(path), "--device", "cpu"]) == 0
