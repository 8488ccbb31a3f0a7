from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_run import CrashError, Run

from hypermnesia.errors import RunError
from hypermnesia.training import TrainResult

NEVER = 1e9


def assert_same(run: Run, result: TrainResult, other: Run, expected: TrainResult) -> None:
    assert torch.equal(run.method.weight, other.method.weight)
    assert run.log() == other.log()
    np.testing.assert_equal(dict(result.accuracy), dict(expected.accuracy))
    np.testing.assert_equal(dict(result.inference), dict(expected.inference))
    np.testing.assert_equal(dict(result.confusion), dict(expected.confusion))
    np.testing.assert_equal(dict(result.gains), dict(expected.gains))
    states = run.generators.state_dict(), other.generators.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def go_through_crashes(
    folder: Path, crashes: list[int], **settings: Any
) -> tuple[Run, TrainResult]:
    for at in crashes:
        with pytest.raises(CrashError):
            Run(folder, **settings).go(crash_at=at)
    run = Run(folder, **settings)
    return run, run.go()


@pytest.mark.parametrize("at", range(1, 11))
@pytest.mark.parametrize("every", [0.0, 0.004, NEVER])
def test_resume_after_a_crash_at_any_update_is_bit_equal(
    tmp_path: Path, at: int, every: float
) -> None:
    whole = Run(tmp_path / "whole", checkpoint_seconds=NEVER)
    expected = whole.go()
    run, result = go_through_crashes(tmp_path / "cut", [at], checkpoint_seconds=every)
    assert_same(run, result, whole, expected)


@pytest.mark.parametrize("trains_on", ["task", "all"])
@pytest.mark.parametrize("scenario", ["domain", "class"])
def test_resume_after_a_crash_at_every_second_update(
    tmp_path: Path, scenario: str, trains_on: str
) -> None:
    kind = {"scenario": scenario, "trains_on": trains_on}
    whole = Run(tmp_path / "whole", **kind)
    expected = whole.go()
    # Each attempt gets one update further than its checkpoint before it crashes in the next.
    run, result = go_through_crashes(tmp_path / "cut", [2] * 8, checkpoint_seconds=0.0, **kind)
    assert_same(run, result, whole, expected)


def test_a_crash_before_the_first_checkpoint_starts_anew(tmp_path: Path) -> None:
    whole = Run(tmp_path / "whole")
    expected = whole.go()
    run, result = go_through_crashes(tmp_path / "cut", [3, 4], checkpoint_seconds=NEVER)
    assert_same(run, result, whole, expected)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = Run(tmp_path)
    expected = first.go()
    again = Run(tmp_path)
    result = again.go(crash_at=1)
    assert_same(again, result, first, expected)
    assert result.seconds_per_iteration == expected.seconds_per_iteration


def test_a_keyboard_interrupt_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, checkpoint_seconds=0.0).go(crash_at=4, crash=interrupt)
    found = Run(tmp_path).store.load_newest()
    assert found is not None
    assert found.step == 3


def test_a_damaged_newest_checkpoint_costs_time_and_nothing_else(tmp_path: Path) -> None:
    whole = Run(tmp_path / "whole")
    expected = whole.go()
    with pytest.raises(CrashError):
        Run(tmp_path / "cut", checkpoint_seconds=0.0).go(crash_at=9)
    newest = max((tmp_path / "cut" / "checkpoints").iterdir())
    (newest / "tensors.safetensors").write_bytes(b"short")
    run = Run(tmp_path / "cut")
    assert_same(run, run.go(), whole, expected)


def test_another_configuration_cannot_go_on(tmp_path: Path) -> None:
    Run(tmp_path).go()
    with pytest.raises(RunError, match="another run or configuration"):
        Run(tmp_path, owner="other").go()


def test_a_lost_log_costs_its_lines_and_nothing_else(tmp_path: Path) -> None:
    whole = Run(tmp_path / "whole")
    expected = whole.go()
    with pytest.raises(CrashError):
        Run(tmp_path / "cut", checkpoint_seconds=0.0).go(crash_at=9)
    (tmp_path / "cut" / "metrics.jsonl").unlink()
    run = Run(tmp_path / "cut")
    result = run.go()
    assert torch.equal(run.method.weight, whole.method.weight)
    np.testing.assert_equal(dict(result.accuracy), dict(expected.accuracy))
    assert whole.log().endswith(run.log())
    assert [line.split(":")[0] for line in run.skipped] == ["metrics.jsonl"]


def test_seconds_add_up_and_leave_out_the_time_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    with pytest.raises(CrashError):
        Run(tmp_path, checkpoint_seconds=0.0).go(crash_at=6)
    found = Run(tmp_path).store.load_newest()
    assert found is not None
    before = found.state["progress"]["total_seconds"]
    for _ in range(100_000):
        next(clock)
    after = Run(tmp_path).go().seconds
    assert before < after < before + 1000
