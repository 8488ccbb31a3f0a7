"""Loggers: what each wrote is read back from its files, of whole runs and of resumed ones."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypermnesia.cli import main
from hypermnesia.errors import RunError
from hypermnesia.experiments.run import LOGGERS
from hypermnesia.report.logger import Logger
from hypermnesia.training import Evaluation, Phase

PHASE = Phase(1, (), 10, (None, None), before=20)
ROWS = {"class": [Evaluation(50.0, 80.0), Evaluation(25.0, 75.0)]}
RUN = ["run", "split-digits", "--recipe", "quick", "--method", "finetune", "--tasks", "2"]
RUN += ["--set", "train.iterations=10", "--name", "a"]

Shown = dict[str, list[tuple[int, float]]]  # by name, (step, value)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)


class Kept(Logger):
    """Keeps everything in a list."""

    def __init__(self, folder: Path, samples: Path) -> None:
        super().__init__(folder, samples)
        self.lines: list[tuple[str, int, float]] = []

    def write(self, numbers: Any, step: int) -> None:
        self.lines += [(name, step, value) for name, value in numbers.items()]


def test_a_logger_of_ones_own_writes_numbers_by_name_and_step(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "run/seed-0/kept", tmp_path)
    kept.add_metrics(PHASE, 5, {"loss": 0.5})
    unknown = Evaluation(float("nan"), None)
    kept.on_task_end(PHASE, {**ROWS, "task": [unknown, Evaluation(90.0, None)]})
    assert kept.lines == [
        ("training/loss", 25, 0.5),
        ("accuracy in class/mean of the tasks seen", 30, 37.5),
        ("accuracy in class/task 1", 30, 50.0),
        ("task inference in class/task 1", 30, 80.0),
        ("accuracy in class/task 2", 30, 25.0),
        ("task inference in class/task 2", 30, 75.0),
        ("accuracy in task/task 2", 30, 90.0),
    ]
    assert kept.settings == {}


def shown_by_mlflow(folder: Path) -> tuple[list[Any], Shown]:
    """The runs in a folder, and the numbers of the newest."""
    from mlflow.tracking import MlflowClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        client = MlflowClient(tracking_uri=folder.absolute().as_uri())
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments)
    history: Shown = {}
    for name in runs[0].data.metrics:
        found = client.get_metric_history(runs[0].info.run_id, name)
        history[name] = [(each.step, each.value) for each in found]
    return runs, history


def records(file: Path) -> Iterator[bytes]:
    """What is in a log of LevelDB's format, as wandb writes it."""
    content, at, found = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        found += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield found
            found = b""


def shown_by_wandb(folder: Path) -> tuple[list[Any], Shown]:
    """The runs in a folder, and the numbers of all of them."""
    from wandb.proto.wandb_internal_pb2 import Record

    runs, history = [], {}
    for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        for record in finished(file, Record.FromString):
            kind = record.WhichOneof("record_type")
            runs += [record.run] if kind == "run" else []
            items = record.history.item if kind == "history" else ()
            line = {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items}
            for name in line.keys() - {"_step", "_timestamp", "_runtime"}:
                history.setdefault(name, []).append((line["_step"], line[name]))
    return runs, history


def finished(file: Path, decode: Callable[[bytes], Any]) -> list[Any]:
    """The records of a file to the last one, which wandb's own process may write a little later."""
    end = time.monotonic() + 30
    while True:
        found = [decode(content) for content in records(file)]
        if (found and found[-1].WhichOneof("record_type") == "exit") or time.monotonic() > end:
            return found
        time.sleep(0.1)


READ = {"mlflow": shown_by_mlflow, "wandb": shown_by_wandb}
PACKAGES = {"mlflow": "mlflow.tracking", "wandb": "wandb"}
each_of_them = pytest.mark.parametrize("name", list(READ))


def needs(name: str) -> None:
    pytest.importorskip(PACKAGES[name], reason=f"the extra '{name}' is not installed")


@each_of_them
def test_a_run_is_in_its_files(name: str, tmp_path: Path) -> None:
    needs(name)
    assert main([*RUN, "--logger", name]) == 0
    seed = tmp_path / "runs/a/seed-0"
    (run,), shown = READ[name](seed / name)
    log = [json.loads(line) for line in (seed / "metrics.jsonl").read_text().splitlines()]
    losses = [
        (10 * line["task"] + line["iteration"], pytest.approx(line["loss"]))
        for line in log
        if line["kind"] == "update"
    ]
    assert shown["training/loss"] == losses
    rows = [line["accuracy"] for line in log if line["kind"] == "evaluation"]
    first = [(10, pytest.approx(rows[0][0])), (20, pytest.approx(rows[1][0]))]
    assert shown["accuracy in task/task 1"] == first
    if name == "mlflow":
        assert run.info.run_name == "seed-0"
        assert run.info.status == "FINISHED"
        assert run.data.params["train.iterations"] == "10"
    else:
        assert (run.project, run.run_group) == ("hypermnesia", "a")
        settings = {each.key: json.loads(each.value_json) for each in run.config.update}
        assert settings["train.iterations"] == 10


@each_of_them
def test_a_resumed_run_goes_on_under_its_number(name: str, tmp_path: Path) -> None:
    needs(name)
    folder, samples = tmp_path / "run/seed-0" / name, tmp_path / "samples"
    killed = LOGGERS[name](folder, samples)
    killed.on_start((), 40)
    state = killed.state_dict()
    killed.add_metrics(PHASE, 1, {"loss": 3.0})
    killed.add_metrics(PHASE, 5, {"loss": 2.0})  # after the checkpoint: it comes again
    killed.close()
    resumed = LOGGERS[name](folder, samples)
    resumed.load_state_dict(state)
    resumed.on_start((), 40)
    resumed.on_resume(21, ())
    resumed.add_metrics(PHASE, 5, {"loss": 2.0})
    resumed.on_task_end(PHASE, ROWS)
    resumed.close()
    runs, shown = READ[name](folder)
    assert shown["accuracy in class/task 2"] == [(30, 25.0)]
    assert dict(shown["training/loss"]) == {21: 3.0, 25: 2.0}
    if name == "mlflow":
        assert len(runs) == 1
        assert len(shown["training/loss"]) == 2
    else:
        assert len({run.run_id for run in runs}) == 1


@each_of_them
def test_a_missing_package_is_told_before_work_starts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    assert main([*RUN, "--logger", name]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"error: the logger {name} needs the package {name}")
    assert f"hypermnesia[{name}]" in line
    assert list(tmp_path.iterdir()) == []


@each_of_them
def test_a_folder_that_cannot_be_written_is_one_line(name: str, tmp_path: Path) -> None:
    needs(name)
    (tmp_path / "seed-0").write_text("")
    logger = LOGGERS[name](tmp_path / "seed-0" / name, tmp_path)
    with pytest.raises(RunError, match="must be writable"):
        logger.write({"loss": 1.0}, 1)


def test_another_name_is_refused_and_none_turns_them_off(tmp_path: Path, capsys) -> None:
    assert main([*RUN, "--logger", "mlfow"]) == 2
    assert "did you mean 'mlflow'" in capsys.readouterr().err
    assert main([*RUN, "--logger", "none"]) == 0
    assert "loggers: []" in (tmp_path / "runs/a/config.yaml").read_text()
