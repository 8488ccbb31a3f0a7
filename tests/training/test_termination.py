from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_run import Run

from hypermnesia.training.loop import Terminated, Termination, interrupt_on_sigterm
from hypermnesia.training.observers import ObserverGroup, StopTraining


def kill() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class At(Termination):
    """Asks for an end when it is first called of `what`."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def __getattribute__(self, name: str) -> Callable[..., object]:
        if name == object.__getattribute__(self, "__dict__").get("what"):
            self.what = ""
            kill()
        return super().__getattribute__(name)


def test_before_training_it_ends_at_once() -> None:
    termination = Termination()
    with pytest.raises(Terminated), interrupt_on_sigterm(termination.request):
        kill()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_in_training_the_update_is_finished_and_saved(tmp_path: Path) -> None:
    whole = Run(tmp_path / "whole")
    whole.go()
    run = Run(tmp_path / "cut", checkpoint_seconds=1e9)
    termination = Termination()
    with pytest.raises(StopTraining), interrupt_on_sigterm(termination.request):
        run.go(crash_at=3, crash=kill, observer=termination)
    found = run.store.load_newest()
    assert found is not None
    assert found.step == 3
    again = Run(tmp_path / "cut")
    again.go()
    assert torch.equal(again.method.weight, whole.method.weight)
    assert again.log() == whole.log()


@pytest.mark.parametrize("what", ["on_task_end", "state_dict"])
def test_between_updates_it_waits_for_the_next_one(tmp_path: Path, what: str) -> None:
    run = Run(tmp_path, checkpoint_seconds=1e9)
    termination = At(what)
    with pytest.raises(StopTraining), interrupt_on_sigterm(termination.request):
        run.go(observer=termination)
    found = run.store.load_newest()
    assert found is not None
    assert found.step == (6 if what == "on_task_end" else 1)


def test_after_the_last_task_it_ends_at_once(tmp_path: Path) -> None:
    termination = Termination()
    Run(tmp_path).go(observer=ObserverGroup(termination))
    assert not termination.request()


def test_where_nothing_is_saved_the_handler_before_is_called() -> None:
    called = []
    before = signal.signal(signal.SIGTERM, lambda *_: called.append(True))
    try:
        with pytest.raises(Terminated), interrupt_on_sigterm():
            kill()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert called == [True]


def test_another_thread_leaves_the_handler_alone() -> None:
    def look() -> None:
        with interrupt_on_sigterm():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
