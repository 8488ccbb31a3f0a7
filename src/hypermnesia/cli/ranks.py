"""A command that several processes carry out, which torchrun has started."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any

from hypermnesia.errors import ConfigError

_ABLE = ("run", "resume")


def carried_out(command: Callable[[], Any], arguments: Sequence[str]) -> Any:
    """Carry a command out as rank 0, or follow it as another one; return its exit code.

    Raises `ConfigError` for a command that has no use for several processes.
    """
    name = next(iter(arguments), "")
    if name not in _ABLE:
        rule = f"torchrun is for the commands {' and '.join(_ABLE)}"
        hint = "start others without it; compare and tune have --launcher"
        raise ConfigError(rule, got=name or "none", hint=hint)
    if any(each.startswith("--launcher") for each in arguments):
        rule, hint = "processes that torchrun has started start no others", "leave one of them out"
        raise ConfigError(rule, got="--launcher", hint=hint)
    from hypermnesia.parallel import joined  # torch is slow to import

    with joined() as ranks:
        return _lead(ranks, command) if ranks.rank == 0 else _follow(ranks)


def _lead(ranks: Any, command: Callable[[], Any]) -> Any:
    try:
        return command()
    finally:
        if not ranks.busy:  # others wait for the next training, and not in the middle of one
            ranks.told(None)


def _follow(ranks: Any) -> int:
    from hypermnesia.experiments.run import follow
    from hypermnesia.training.loop import Terminated, Termination, interrupt_on_sigterm
    from hypermnesia.training.observers import StopTraining

    termination = Termination()
    try:
        with interrupt_on_sigterm(termination.request):
            follow(ranks, lambda config, seed: termination)  # noqa: ARG005
    except (KeyboardInterrupt, StopTraining) as stopped:
        terminated = isinstance(stopped, Terminated | StopTraining)
        return 128 + (signal.SIGTERM if terminated else signal.SIGINT)
    return 0
