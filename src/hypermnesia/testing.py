"""The protocols as code: what every method and every evidence must do, checked on tiny tasks.

`check_method(build)` holds a user's own method to `methods.Method`, `check_evidence(build)` an
evidence to `evidence.Evidence`; both raise `AssertionError` with the promise that is broken.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.data.scenarios import Scenario
from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.evidence import Evidence
from hypermnesia.evidence.autoencoders import sampler_of
from hypermnesia.hypernet.conditions import Condition
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.noise import NoiseSettings
from hypermnesia.methods.base import Method
from hypermnesia.methods.bayes import RandomHypernet
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators

BuildMethod = Callable[[Generators], Method]  #: a method, new, of these random streams
BuildEvidence = Callable[[AllTasks, Generators], Evidence]  #: evidence, new, that may ask all tasks

ITERATIONS = 6  #: updates of a task
INPUTS = 6  #: entries of a sample


def check_method(build: BuildMethod, *, regression: bool = False) -> None:
    """Check that a method keeps the protocol.

    The same seed gives the same run, bit for bit; another seed another one, or the same one for a
    class whose `deterministic` is true; saving and loading
    in the middle of a task changes nothing, nor does going back to what was saved earlier; a task
    is continued like that, or a `ConfigError` says that it cannot be; evaluating leaves the state
    untouched; an update that went wrong reports it; logits are those of the candidates, in every
    scenario that the method answers in, and of exported networks; and torch's global generator is
    left alone.

    Args:
        build: makes a new method for samples of 6 inputs that draws from the given generators.
        regression: its targets are two or three values, not classes.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    tiny = _Tiny(build, regression)
    _same_seed_same_run(tiny)
    _saving_mid_task_changes_nothing(tiny)
    _going_back_changes_nothing(tiny)
    _a_task_is_continued(tiny)
    _a_bad_update_shows(tiny)
    _evaluating_changes_nothing(tiny)
    _answers_over_the_candidates(tiny)


def check_evidence(build: BuildEvidence, draws: int = 1) -> None:
    """Check that an evidence keeps the protocol.

    A hypernetwork method with it passes `check_method`; its evidence is a number for each task and
    sample, and the same whatever else is in the batch; it leaves the networks as they would be
    without it. `build` is as of `check_method`, which also says what is raised; so many networks of
    a task are drawn.
    """
    check_method(partial(_method_with, build, draws=draws))
    method, plain = (_method_with(each, Generators(1), draws) for each in (build, None))
    for each in (method, plain):
        _Tiny(partial(_method_with, build)).run(each)
    same = same_state(method.memory.state_dict(), plain.memory.state_dict())
    _require(same, "an evidence leaves the networks as they are without it")
    x = _batch(0, 0).x
    found, turned = (method.logits_and_evidence(each)[1] for each in (x, x.flip(0)))
    _require(found.shape == (2, len(x)), "an evidence is (tasks, batch)")
    _require(bool(found.isfinite().all()), "an evidence is a finite number")
    same = torch.allclose(found, turned.flip(1), atol=1e-5)
    _require(same, "samples of a batch do not depend on others")


def _method_with(
    build: BuildEvidence | None, generators: Generators, draws: int = 1
) -> HypernetMethod:
    """A small hypernetwork method that infers the task by an evidence, or not at all."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(INPUTS, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    adam = OptimizerSettings(lr=0.01)
    own: dict[str, Any] = {"generators": generators, "device": torch.device("cpu")}
    own |= {
        "hypernet": HypernetSettings((8,), 4, 4, chunk=40),
        "regularizer": RegularizerSettings(),
    }
    own |= {"optimizer": adam, "embedding_optimizer": adam}
    evidence = None if build is None else (lambda networks: build(networks, generators))
    if draws == 1:
        return HypernetMethod(network, "task", evidence=evidence, **own)
    noise = NoiseSettings(draws=draws)
    return RandomHypernet(network, "task", evidence=evidence, noise=noise, **own)


def _require(holds: bool, promise: str) -> None:
    if not holds:
        raise AssertionError(f"broken promise: {promise}")


def _batch(task: int, iteration: int, regression: bool = False) -> Batch:
    """A mini-batch of a task with 2 + task classes, or values."""
    generator = torch.Generator().manual_seed(1000 * task + iteration)
    y = torch.arange(16) % (2 + task)
    x = torch.randn(16, INPUTS, generator=generator)
    x[:, task] += 2.0 * y
    values = x[:, : 2 + task] * y[:, None]
    return Batch(x, values if regression else y, torch.full_like(y, task))


@dataclass(frozen=True)
class _Tiny:
    """Two tasks of six updates for a method."""

    build: BuildMethod
    regression: bool = False

    def run(self, method: Method, start: int = 0, stop: int = 2 * ITERATIONS) -> Method:
        """Updates `start` to `stop` of two tasks; a task ends with its last update."""
        for step in range(start, stop):
            task, iteration = divmod(step, ITERATIONS)
            if iteration == 0:
                method.begin_task(TaskSpec(2 + task, ITERATIONS))
            self.update(method, task, iteration)
        return method

    def update(self, method: Method, task: int, iteration: int) -> None:
        method.update(_batch(task, iteration, self.regression))
        if iteration == ITERATIONS - 1:
            method.end_task(_batch(task, each, self.regression) for each in range(ITERATIONS))

    def trained(self, seed: int = 1, stop: int = 2 * ITERATIONS) -> Method:
        return self.run(self.build(Generators(seed)), stop=stop)


def _same_seed_same_run(tiny: _Tiny) -> None:
    before = torch.get_rng_state()
    method, *others = (tiny.trained(seed) for seed in (1, 1, 2))
    one, two, other = (each.state_dict() for each in (method, *others))
    _require(same_state(one, two), "same seed, same run")
    promise = "the seed matters, unless the method is deterministic"
    _require(same_state(one, other) is getattr(method, "deterministic", False), promise)
    _require(torch.equal(before, torch.get_rng_state()), "torch's global generator is not used")


def _saving_mid_task_changes_nothing(tiny: _Tiny) -> None:
    for stop in (3, ITERATIONS, ITERATIONS + 3):
        one, two = Generators(1), Generators(2)
        method, loaded = tiny.run(tiny.build(one), stop=stop), tiny.build(two)
        state = copy.deepcopy(method.state_dict())
        loaded.load_state_dict(copy.deepcopy(state))
        two.load_state_dict(one.state_dict())
        _require(same_state(loaded.state_dict(), state), "loading what was saved gives it back")
        ends = [tiny.run(each, start=stop).state_dict() for each in (method, loaded)]
        _require(same_state(*ends), "a loaded run goes on as the saved one")
        answers = [_answers(each) for each in (method, loaded)]
        _require(same_state(*answers), "a loaded method predicts as the saved one")


def _going_back_changes_nothing(tiny: _Tiny) -> None:
    for stop in (0, 3, ITERATIONS):
        generators = Generators(1)
        method = tiny.run(tiny.build(generators), stop=stop)
        state = copy.deepcopy((method.state_dict(), generators.state_dict()))
        end = tiny.run(method, start=stop).state_dict()
        expected = copy.deepcopy((end, _answers(method)))
        method.load_state_dict(copy.deepcopy(state[0]))
        generators.load_state_dict(state[1])
        _require(same_state(method.state_dict(), state[0]), "it can go back to what was saved")
        repeated = tiny.run(method, start=stop).state_dict(), _answers(method)
        _require(same_state(repeated, expected), "having gone on before changes nothing")


def _a_task_is_continued(tiny: _Tiny) -> None:
    one, two = Generators(1), Generators(2)
    method, loaded = tiny.run(tiny.build(one)), tiny.build(two)
    before = copy.deepcopy(method.state_dict())
    try:
        method.continue_task(0, ITERATIONS)
    except ConfigError:
        _require(same_state(method.state_dict(), before), "what cannot be continued stays as it is")
        return
    for iteration in range(3):
        tiny.update(method, 0, iteration)
    loaded.load_state_dict(copy.deepcopy(method.state_dict()))
    two.load_state_dict(one.state_dict())
    for iteration, each in product(range(3, ITERATIONS), (method, loaded)):
        tiny.update(each, 0, iteration)
    _require(not same_state(method.state_dict(), before), "a continued task learns")
    same = same_state(loaded.state_dict(), method.state_dict())
    _require(same, "a continued task that was saved goes on as the other")
    _require(len(method.scenario.heads) == 2, "a continued task is not a new one")


def _a_bad_update_shows(tiny: _Tiny) -> None:
    method, batch = tiny.trained(stop=ITERATIONS + 3), _batch(1, 3, tiny.regression)
    metrics = method.update(replace(batch, x=torch.full_like(batch.x, torch.nan)))
    shown = not all(bool(value.isfinite()) for value in metrics.values())
    _require(shown, "an update that went wrong reports a number that is not finite")


def _answers(method: Method) -> dict[str, Tensor]:
    """Logits of the first task's samples, in every scenario that the method answers in."""
    predict = partial(method.predict, _batch(0, 0).x)
    return {n: predict(0 if n == "task" else None, n).logits for n in method.answers}


def _answers_over_the_candidates(tiny: _Tiny) -> None:
    method = tiny.trained()
    _require(method.scenario.name in method.answers, "it answers in the scenario of its training")
    x = _batch(0, 0).x
    for task in range(2):
        candidates, logits = method.scenario.candidates(task), method.predict(x, task).logits
        wanted = (len(x), candidates.stop - candidates.start)
        _require(logits.shape == wanted, "a logit for each candidate")
        with torch.no_grad():
            same = torch.allclose(method.export(task)(x), logits, atol=1e-5)
        _require(same, "an exported network answers as the method does")
    for name in method.answers:
        if name != "task":
            _answers_over_the_columns(method, method.scenario.named(name), x)


def _answers_over_the_columns(method: Method, scenario: Scenario, x: Tensor) -> None:
    prediction = method.predict(x, scenario=scenario.name)
    logits, tasks = prediction.logits, prediction.tasks
    _require(logits.shape == (len(x), scenario.columns), "a logit for each column")
    _require(bool(logits.max(dim=1).values.isfinite().all()), "an answer for every sample")
    if tasks is not None:
        # Every class is a candidate in `class`; a task's own columns are those of `task`.
        layout = scenario.named("task") if scenario.name == "class" else scenario
        own = layout.active(tasks).gather(1, logits.argmax(dim=1, keepdim=True))
        _require(bool(own.all()), "an answer that is one of the inferred task's")


def _evaluating_changes_nothing(tiny: _Tiny) -> None:
    generators = Generators(1)
    method = tiny.run(tiny.build(generators), stop=ITERATIONS + 3)
    before = copy.deepcopy((method.state_dict(), generators.state_dict()))
    _answers(method)
    losses = method.losses(_batch(1, 0, tiny.regression))
    _require(losses.keys() == method.parts.keys(), "a loss for each part")
    _require("loss" in losses, "a part called loss")
    _require(method.kept > 0 and method.compression() > 0, "something is kept")
    if (sampler := sampler_of(method)) is not None:
        first, second = (sampler.samples([0], 3, Generators(0)) for _ in range(2))
        _require(same_state(first, second), "the same draws give the same samples")
        shapes = [x.shape for x in first.values()]
        _require(shapes == [(3, INPUTS)], "as many samples as requested, of the inputs' shape")
    after = (method.state_dict(), generators.state_dict())
    _require(same_state(before, after), "evaluating leaves the state untouched")


def same_state(a: Any, b: Any) -> bool:
    """Whether two nested states are equal, bit for bit."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_state(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_state, a, b))
    return bool(a == b)


def check_condition(build: Callable[[], Condition]) -> None:
    """Check that a condition keeps its protocol.

    The same seed gives the same rows, bit for bit, and another seed others; rows follow the order
    of the requested tasks and do not change under repetition; a new task leaves earlier rows as
    they are; gradients reach every parameter; what is saved and loaded, into a new condition or
    one with other tasks, gives the same rows and goes on the same way; and torch's global
    generator is left alone. Raises `AssertionError` with the promise that is broken by a condition
    that `build` makes, without tasks.
    """
    before = torch.get_rng_state()
    condition, same, other = (_with_tasks(build(), seed) for seed in (1, 1, 2))
    everything = range(condition.tasks)
    rows = condition(everything).detach().clone()
    _require(rows.shape == (3, condition.size), "a row of its size for each task")
    _require(torch.equal(same(everything), rows), "same seed, same conditions")
    _require(not torch.equal(other(everything), rows), "the seed matters")
    _require(torch.equal(condition([2, 0]), rows[[2, 0]]), "rows are those of the requested tasks")
    _require(torch.equal(condition(everything), rows), "a call changes nothing")
    condition.add_task(Generators(3))
    _require(condition.tasks == 4, "a task more with each that is added")
    _require(torch.equal(condition(everything), rows), "a new task leaves earlier conditions alone")
    _gradients_reach_the_parameters(condition)
    for loaded in (build(), other):
        _loads_what_was_saved(condition, loaded)
    _require(torch.equal(before, torch.get_rng_state()), "torch's global generator is not used")


def _with_tasks(condition: Condition, seed: int) -> Condition:
    generators = Generators(seed)
    for _ in range(3):
        condition.add_task(generators)
    return condition


def _gradients_reach_the_parameters(condition: Condition) -> None:
    parameters: set[Tensor] = set()
    for task in range(condition.tasks):
        own, row = condition.parameters(task), condition([task])
        if own:  # nothing is trained of a fixed condition
            weights = torch.linspace(1.0, 2.0, row.numel()).view_as(row).to(row)
            gradients = torch.autograd.grad((weights * row).sum(), own, materialize_grads=True)
            reached = all(bool(g.isfinite().all()) and bool(g.any()) for g in gradients)
            _require(reached, "gradients reach every parameter of a task")
        parameters.update(own)
    learned = sum(parameter.numel() for parameter in parameters)
    _require(condition.kept >= learned, "all that is learned counts as kept")


def _loads_what_was_saved(condition: Condition, loaded: Condition) -> None:
    state = copy.deepcopy(condition.state_dict())
    loaded.load_state_dict(copy.deepcopy(state))
    _require(same_state(loaded.state_dict(), state), "loading what was saved gives it back")
    same = copy.deepcopy(condition)
    for each in (same, loaded):
        each.add_task(Generators(4))
    rows = [each(range(each.tasks)) for each in (same, loaded)]
    _require(torch.equal(*rows), "a loaded condition goes on as the saved one")
