"""`ContinualLearner.adapt`: a new task from a few samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learners import QUICK, clouds, held, learner, mlp, same

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError, DataError, HypermnesiaError


def three(infer_task: str | None = None, **settings: Any) -> ContinualLearner:
    """Three tasks with the same labels."""
    made = ContinualLearner(mlp(), infer_task, **{**QUICK, **settings})
    for task in range(3):
        made.fit(*clouds(task), task=f"site {task}")
    return made


@pytest.mark.parametrize("infer_task", [None, "entropy", "gaussian", "auto"])
def test_a_few_samples_make_a_task_that_answers_is_saved_and_removed(
    infer_task: str | None, tmp_path: Path
) -> None:
    made = three(infer_task)
    x, y = clouds(1)
    before = [made.predict_proba(x, task) for task in made.tasks]
    made.adapt(x[:10] + 0.3, y[:10], task="new")
    assert made.score(x + 0.3, y, task="new") > 0.95
    assert "new (adapted)" in made.summary()
    made.save(tmp_path / "kept")
    loaded = ContinualLearner.load(tmp_path / "kept", mlp())
    assert same(held(loaded), held(made))
    assert loaded.summary() == made.summary()
    made.remove("new")
    assert same([made.predict_proba(x, task) for task in made.tasks], before)


def test_fit_goes_on_with_an_adapted_task() -> None:
    made = three("gaussian")
    x, y = clouds(7)
    made.adapt(x[:10], y[:10], task="new").fit(x, y, task="new")
    assert made.score(x, y, task="new") > 0.95
    assert "adapted" not in made.summary()


@pytest.mark.parametrize("how", ["encoder", "gradient", "both"])
def test_every_way_works_with_an_encoder(how: Any, tmp_path: Path) -> None:
    made = three(method="hnet-data")
    x, y = clouds(1)
    assert made.adapt(x[:10], y[:10], task="new", how=how).score(x, y, task="new") > 0.95
    made.save(tmp_path / "kept")
    loaded = ContinualLearner.load(tmp_path / "kept", mlp())
    one, two = (each.adapt(x[:10], y[:10], task="more", how=how) for each in (made, loaded))
    assert same([one.predict_proba(x, "more")], [two.predict_proba(x, "more")])


def test_inputs_without_labels_get_the_network_of_the_task_that_they_speak_for() -> None:
    made = three("gaussian")
    x, _ = clouds(2)
    made.adapt(x[:20], task="new")
    assert same([made.predict_proba(x, "new")], [made.predict_proba(x, "site 2")])


def test_labels_are_those_of_a_known_task() -> None:
    made = learner(tasks=2)  # of two and of three labels of their own
    x, _ = clouds(1, classes=3)
    made.adapt(x[:9], ["class 2", "class 3", "class 4"] * 3, task="c")
    assert made.classes("c").tolist() == made.classes("b").tolist()
    made.adapt(x[:9], ["class 0"] * 9, task="d", like="a")
    assert made.classes("d").tolist() == made.classes("a").tolist()
    with pytest.raises(DataError, match="all be those of one known task; got 'other'"):
        made.adapt(x[:2], ["other", "class 0"], task="e")


def test_values_are_adapted_in_their_own_units() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 6)).astype(np.float32)
    made = ContinualLearner(mlp(outputs=1), None, **{**QUICK, "iterations": 300})
    for task, slope in enumerate((1.0, 30.0)):
        made.fit(x, slope * x[:, 0] + 100.0, task=f"slope {task}")
    y = 28.0 * x[:, 0] + 100.0
    made.adapt(x[:20], y[:20], task="new")
    assert made.score(x, y, task="new") > 0.8


def refusals() -> list[tuple[Any, str]]:
    x, y = clouds(0)
    ewc = ContinualLearner(mlp(), None, method="ewc", **QUICK).fit(x, y, task="a")
    given, entropy = three(), three("entropy")
    return [
        (lambda: given.adapt(x, y, task="site 0"), "a new one; got task='site 0'"),
        (lambda: given.adapt(x, task="new"), "without labels, tasks must be inferred"),
        (lambda: given.adapt(x[:0], y[:0], task="new"), "needs samples"),
        (lambda: given.adapt(x, y, task="new", like="nowhere"), "got 'nowhere'"),
        (lambda: given.adapt(x, y, task="new", how="magic"), "got 'magic'"),  # type: ignore[arg-type]
        (lambda: given.adapt(x, y + 0.5, task="new"), "learns classes"),
        (lambda: entropy.adapt(x, y, task="new", how="encoder"), "part of hnet-data"),
        (lambda: entropy.adapt(x, task="new", like="site 0"), "like goes with labels"),
        (lambda: ewc.adapt(x, y, task="new"), "a hypernetwork must make"),
    ]


def test_what_cannot_be_adapted_is_refused_and_changes_nothing() -> None:
    for call, told in refusals():
        with pytest.raises(HypermnesiaError, match=told):
            call()
    made = three()
    before = held(made)
    with pytest.raises(ConfigError):
        made.adapt(*clouds(0), task="site 1")
    assert same(held(made), before)
    with pytest.raises(ConfigError, match="must be fitted first"):
        ContinualLearner(mlp()).adapt(*clouds(0), task="new")


def test_adapting_draws_no_random_number() -> None:
    made = three()
    state = torch.get_rng_state()
    known = made._knowledge
    assert known is not None
    streams = known.generators.state_dict()
    made.adapt(clouds(1)[0][:5], clouds(1)[1][:5], task="new")
    now = made._knowledge
    assert now is not None
    assert all(torch.equal(now.generators.state_dict()[n], s) for n, s in streams.items())
    assert torch.equal(torch.get_rng_state(), state)
