from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_run import make_tasks

from hypermnesia.errors import RunError
from hypermnesia.training import Evaluation, Observer, ObserverGroup, Phase
from hypermnesia.training.logs import MetricsLog

TASKS = tuple(make_tasks())
PHASE = Phase(1, TASKS[1:], 10, TASKS)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_log_takes_the_first_the_last_and_every_nth(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "log", every=4)
    log.on_start(TASKS, 10)
    for iteration in range(1, 11):
        log.on_update(PHASE, iteration, {"loss": torch.tensor(0.5)})
    assert [line["iteration"] for line in lines(log.path)] == [1, 4, 8, 10]


def test_what_was_read_is_handed_on_and_not_read_again(tmp_path: Path) -> None:
    class Metric:
        reads = 0

        def __float__(self) -> float:
            self.reads += 1
            return 0.25

    told: list[object] = []
    log = MetricsLog(tmp_path / "log", every=2, on_metrics=lambda *what: told.append(what))
    log.on_start(TASKS, 10)
    metrics = [Metric() for _ in range(4)]
    for iteration, metric in enumerate(metrics, start=1):
        log.on_update(PHASE, iteration, {"loss": metric})  # type: ignore[dict-item]
    assert [metric.reads for metric in metrics] == [1, 1, 0, 1]
    assert told == [(PHASE, iteration, {"loss": 0.25}) for iteration in (1, 2, 4)]


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "log")
    log.on_start(TASKS, 10)
    log.on_update(PHASE, 1, {"loss": torch.tensor(float("nan")), "r": torch.tensor(1e400)})
    rows = {
        "task": [Evaluation(60.0, None), Evaluation(70.0, None)],
        "class": [Evaluation(50.0, 100.0, (4, 0)), Evaluation(25.0, 75.0, (1, 3))],
    }
    log.on_task_end(PHASE, rows)
    update, given, evaluation = lines(log.path)
    assert (given["scenario"], given["inference"]) == ("task", None)
    assert (update["loss"], update["r"]) == (None, None)
    assert (evaluation["accuracy"], evaluation["inference"]) == ([50.0, 25.0], [100.0, 75.0])


def test_the_log_is_cut_back_to_what_is_known(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "log")
    log.on_start(TASKS, 10)
    log.on_update(PHASE, 1, {})
    saved = log.state_dict()
    log.on_update(PHASE, 10, {})
    again = MetricsLog(tmp_path / "log")
    again.load_state_dict(saved)
    again.on_start(TASKS, 10)
    assert [line["iteration"] for line in lines(log.path)] == [1]
    assert again.state_dict() == saved


def test_a_log_that_lost_lines_starts_anew_and_says_so(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "log")
    log.on_start(TASKS, 10)
    log.on_update(PHASE, 1, {})
    saved = log.state_dict()
    log.path.write_bytes(b"half a li")
    again = MetricsLog(tmp_path / "log")
    again.load_state_dict(saved)
    again.on_start(TASKS, 10)
    again.on_update(PHASE, 10, {})
    assert [line["iteration"] for line in lines(log.path)] == [10]
    assert again.state_dict() == {"bytes": log.path.stat().st_size}
    assert list(ObserverGroup(Observer(), again).lost()) == [
        f"log: 9 of {saved['bytes']} bytes are there"
    ]


def test_a_new_run_starts_its_log_anew(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("of a run that died before its first checkpoint")
    MetricsLog(tmp_path / "log").on_start(TASKS, 10)
    assert (tmp_path / "log").read_bytes() == b""


def test_a_log_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MetricsLog(tmp_path)
    for call in (
        lambda: log.on_start(TASKS, 10),
        lambda: log.on_update(PHASE, 1, {}),
        log.state_dict,
    ):
        with pytest.raises(RunError, match=r"log must be writable: .*; got"):
            call()


def test_a_group_remembers_each_by_its_kind() -> None:
    class Counter(Observer):
        def __init__(self) -> None:
            self.count = 0

        def on_resume(self, done_iterations: int, skipped: object) -> None:
            self.count += done_iterations

        def state_dict(self) -> dict[str, int]:
            return {"count": self.count}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.count = state["count"]

    counter = Counter()
    ObserverGroup(Observer(), counter).on_resume(3, ())
    saved = ObserverGroup(counter).state_dict()
    other = Counter()
    ObserverGroup(Observer(), other).load_state_dict(saved)
    assert other.count == 3
