"""The method protocol as code: what every method must do, checked on a tiny problem."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hypermnesia.data.scenarios import Scenario
from hypermnesia.data.types import Batch
from hypermnesia.evidence.autoencoders import Generative
from hypermnesia.methods.base import Method, TaskSpec
from hypermnesia.seeding import Generators

Build = Callable[[Generators], Method]
"""(generators) -> newly built method."""

_ITERATIONS = 6
_INPUTS = 6


def check_method(build: Build) -> None:
    """Hold a method to the protocol.

    The same seed gives the same run, bit for bit; another seed another one; saving and loading
    in the middle of a task changes nothing, nor does going back to what was saved earlier;
    evaluating leaves the state untouched; an update that went wrong reports it; scores are those
    of the candidates, in every scenario that the method answers in, and of exported networks; and
    torch's global generator is left alone.

    Args:
        build: makes a new method for samples of 6 inputs that draws from the given generators.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    _same_seed_same_run(build)
    _seed_matters(build)
    _saving_mid_task_changes_nothing(build)
    _going_back_changes_nothing(build)
    _a_bad_update_shows(build)
    _evaluating_changes_nothing(build)
    _answers_over_the_candidates(build)
    _exports_what_answers(build)
    _global_generator_is_left_alone(build)


def _require(holds: bool, promise: str) -> None:
    if not holds:
        raise AssertionError(f"broken promise of a method: {promise}")


def _outputs(task: int) -> int:
    return 2 + task % 2


def _batch(task: int, iteration: int) -> Batch:
    generator = torch.Generator().manual_seed(1000 * task + iteration)
    y = torch.arange(16) % _outputs(task)
    x = torch.randn(16, _INPUTS, generator=generator)
    x[:, task % _INPUTS] += 2.0 * y
    return Batch(x, y, torch.full_like(y, task))


def _run(method: Method, start: int = 0, stop: int = 2 * _ITERATIONS) -> Method:
    """Updates `start` to `stop` of two tasks; a task ends with its last update."""
    for step in range(start, stop):
        task, iteration = divmod(step, _ITERATIONS)
        if iteration == 0:
            method.begin_task(TaskSpec(_outputs(task), _ITERATIONS))
        method.update(_batch(task, iteration))
        if iteration == _ITERATIONS - 1:
            method.end_task(_batch(task, each) for each in range(_ITERATIONS))
    return method


def _trained(build: Build, seed: int) -> Any:
    return _run(build(Generators(seed))).state_dict()


def _same_seed_same_run(build: Build) -> None:
    _require(same_state(_trained(build, 1), _trained(build, 1)), "same seed, same run")


def _seed_matters(build: Build) -> None:
    _require(not same_state(_trained(build, 1), _trained(build, 2)), "the seed matters")


def _saving_mid_task_changes_nothing(build: Build) -> None:
    for stop in (3, _ITERATIONS, _ITERATIONS + 3):
        one, two = Generators(1), Generators(2)
        method, loaded = _run(build(one), stop=stop), build(two)
        state = copy.deepcopy(method.state_dict())
        loaded.load_state_dict(copy.deepcopy(state))
        two.load_state_dict(one.state_dict())
        _require(same_state(loaded.state_dict(), state), "loading what was saved gives it back")
        ends = [_run(each, start=stop).state_dict() for each in (method, loaded)]
        _require(same_state(*ends), "a loaded run goes on as the saved one")
        answers = [_answers(each) for each in (method, loaded)]
        _require(same_state(*answers), "a loaded method predicts as the saved one")


def _going_back_changes_nothing(build: Build) -> None:
    for stop in (0, 3, _ITERATIONS):
        generators = Generators(1)
        method = _run(build(generators), stop=stop)
        state = copy.deepcopy((method.state_dict(), generators.state_dict()))
        end = _run(method, start=stop).state_dict()
        expected = copy.deepcopy((end, _answers(method)))
        method.load_state_dict(copy.deepcopy(state[0]))
        generators.load_state_dict(state[1])
        _require(same_state(method.state_dict(), state[0]), "it can go back to what was saved")
        again = _run(method, start=stop).state_dict(), _answers(method)
        _require(same_state(again, expected), "having gone on before changes nothing")


def _a_bad_update_shows(build: Build) -> None:
    method = _run(build(Generators(1)), stop=_ITERATIONS + 3)
    batch = _batch(1, 3)
    bad = replace(batch, x=torch.full_like(batch.x, torch.nan))
    reported = method.update(bad).values()
    shown = not all(bool(value.isfinite()) for value in reported)
    _require(shown, "an update that went wrong reports a number that is not finite")


def _answers(method: Method) -> dict[str, Tensor]:
    """Scores of the first task's samples, in every scenario that the method answers in."""
    x = _batch(0, 0).x
    given: dict[str, int | None] = {name: 0 if name == "task" else None for name in method.answers}
    return {name: method.predict(x, given[name], name).scores for name in method.answers}


def _answers_over_the_candidates(build: Build) -> None:
    method = _run(build(Generators(1)))
    _require(method.scenario.name in method.answers, "it answers in the scenario of its training")
    x = _batch(0, 0).x
    for name in method.answers:
        scenario = method.scenario.named(name)
        if name == method.scenario.name:
            for task in range(2):
                candidates = scenario.candidates(task)
                wanted = (len(x), candidates.stop - candidates.start)
                scores = method.predict(x, task).scores
                _require(scores.shape == wanted, "a score for each candidate")
        if name != "task":
            _answers_over_the_columns(method, scenario, x)


def _answers_over_the_columns(method: Method, scenario: Scenario, x: Tensor) -> None:
    prediction = method.predict(x, scenario=scenario.name)
    scores, tasks = prediction.scores, prediction.tasks
    _require(scores.shape == (len(x), scenario.columns), "a score for each column")
    _require(bool(scores.max(dim=1).values.isfinite().all()), "an answer for every sample")
    if tasks is not None:
        # Every class is a candidate in `class`; a task's own columns are those of `task`.
        layout = scenario.named("task") if scenario.name == "class" else scenario
        own = layout.active(tasks).gather(1, scores.argmax(dim=1, keepdim=True))
        _require(bool(own.all()), "an answer that is one of the inferred task's")


def _exports_what_answers(build: Build) -> None:
    method, x = _run(build(Generators(1))), _batch(0, 0).x
    for task in range(2):
        with torch.no_grad():
            alone = method.export(task)(x)
        same = torch.allclose(alone, method.predict(x, task).scores, atol=1e-5)
        _require(same, "an exported network answers as the method does")


def _evaluating_changes_nothing(build: Build) -> None:
    generators = Generators(1)
    method = _run(build(generators), stop=_ITERATIONS + 3)
    before = copy.deepcopy((method.state_dict(), generators.state_dict()))
    _answers(method)
    method.compression()
    if isinstance(method, Generative):
        _gives_samples(method)
    after = (method.state_dict(), generators.state_dict())
    _require(same_state(before, after), "evaluating leaves the state untouched")


def _gives_samples(method: Generative) -> None:
    first, again = (method.sampler.samples([0], 3, Generators(0)) for _ in range(2))
    _require(same_state(first, again), "the same draws give the same samples")
    shapes = [x.shape for x in first.values()]
    _require(shapes == [(3, _INPUTS)], "as many samples as asked for, of the inputs' shape")


def _global_generator_is_left_alone(build: Build) -> None:
    before = torch.get_rng_state()
    _trained(build, 1)
    _require(torch.equal(before, torch.get_rng_state()), "torch's global generator is not used")


def same_state(a: Any, b: Any) -> bool:
    """Whether two nested states are equal, bit for bit."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_state(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_state, a, b))
    return bool(a == b)
