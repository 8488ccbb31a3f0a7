"""Hypermnesia's training iteration, with old tasks that were added but never trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from benchmarks.spec import Iteration, Spec
from hypermnesia.compute import Precision
from hypermnesia.methods import TaskSpec
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.nets import NetSettings, build_net
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators


def build_method(
    spec: Spec,
    kind: str,
    precision: Precision = "float32",
    compile: bool = False,
    method: Callable[..., HypernetMethod] = HypernetMethod,
) -> HypernetMethod:
    """A method as the recipe says, before its first task.

    Args:
        spec: sizes and device.
        kind: a name in `hypermnesia.regularization.REGULARIZERS`, or `rows`: the closed form of
            rows drawn.
        precision: of the target network and the head in training.
        compile: train through torch.compile.
        method: `hnet` or one that builds on it.
    """
    config, generators = spec.config(), Generators(0)
    settings = NetSettings(config.target.hidden)
    return method(
        build_net(config.target.net, spec.shape(), spec.outputs, generators, settings),
        "task",
        hypernet=config.hypernet,
        regularizer=regularizer_of(spec, kind, config.regularizer),
        optimizer=config.optimizer,
        embedding_optimizer=config.embedding_optimizer,
        generators=generators,
        device=torch.device(spec.device),
        precision=precision,
        compile=compile,
    )


def regularizer_of(spec: Spec, kind: str, base: RegularizerSettings) -> RegularizerSettings:
    """The recipe's settings, of another kind; `rows` is the closed form of rows drawn."""
    if kind == "rows":
        return replace(base, kind="closed", subset=None, rows=spec.rows)
    return replace(base, kind=kind, subset=spec.subset if kind == "sampled" else None, rows=None)


def add_untrained(method: HypernetMethod, tasks: int, outputs: int) -> None:
    """Add tasks without training them: what an iteration costs does not depend on their values.

    `begin_task` would build a regulariser each time, T² / 2 target networks for `direct`.
    """
    for _ in range(tasks):
        method.scenario = method.scenario.add(outputs)
        method.memory.add_task(outputs, method.generators)


def our_iteration(
    spec: Spec, kind: str, precision: Precision = "float32", compile: bool = False
) -> Iteration:
    """`HypernetMethod.update` of the task after `spec.old_tasks` others."""
    method = build_method(spec, kind, precision, compile)
    add_untrained(method, spec.old_tasks, spec.outputs)
    method.begin_task(TaskSpec(spec.outputs, spec.warmup + spec.iterations))
    return method.update
