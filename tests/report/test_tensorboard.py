import json
import sys
from io import BytesIO

import pytest
import safetensors.torch
import torch
from matplotlib.image import imread
from numpy.testing import assert_array_equal
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hypermnesia.cli import main
from hypermnesia.errors import RunError
from hypermnesia.report.tensorboard import TensorBoard
from hypermnesia.training import Evaluation, Phase
from hypermnesia.training.logs import MetricsLog

SHORT = ["--set", "train.iterations=60", "--tasks", "2"]
RUN = ["run", "split-digits", *SHORT, "--method", "finetune", "--name"]
PHASE = Phase(1, (), 10, (None, None), before=20)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def opened(folder):
    """The event files of a folder, as TensorBoard reads them."""
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()


def shown(folder):
    """The scalars: by tag, (step, value) in the order of the files."""
    found = opened(folder)
    tags = found.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in tags}


def pictures(folder):
    """The images: by tag, (step, height, width, PNG)."""
    found = opened(folder)
    return {
        tag: [(e.step, e.height, e.width, e.encoded_image_string) for e in found.Images(tag)]
        for tag in found.Tags()["images"]
    }


def test_the_scalars_are_those_of_the_log_and_the_accuracies_of_the_matrix(tmp_path):
    assert main([*RUN[:-3], "--name", "a", "--tensorboard"]) == 0
    seed = tmp_path / "runs/a/seed-0"
    log = [json.loads(line) for line in (seed / "metrics.jsonl").read_text().splitlines()]
    updates = [line for line in log if line["kind"] == "update"]
    scalars = shown(seed / "tensorboard")
    for name in ("loss", "accuracy", "penalty"):
        logged = [
            (60 * line["task"] + line["iteration"], pytest.approx(line[name]))
            for line in updates
            if name in line
        ]
        assert scalars[f"training/{name}"] == logged
    assert [step for step, _ in scalars["training/loss"]] == [1, 50, 60, 61, 110, 120]
    first, second = (line["accuracy"] for line in log if line["kind"] == "evaluation")
    assert scalars["accuracy in task/task 1"] == [
        (60, pytest.approx(first[0])),
        (120, pytest.approx(second[0])),
    ]
    assert scalars["accuracy in task/task 2"] == [(120, pytest.approx(second[1]))]
    means = scalars["accuracy in task/mean of the tasks seen"]
    assert means == [(60, pytest.approx(first[0])), (120, pytest.approx(sum(second) / 2))]


def test_an_interrupted_run_goes_on_without_a_step_missing_or_doubled(tmp_path, monkeypatch):
    command = ["--tensorboard", "--set", "train.checkpoint_seconds=1e9"]
    assert main([*RUN, "whole", *command]) == 0
    update, calls = MetricsLog.on_update, []

    def interrupt(self, *arguments):
        calls.append(1)
        update(self, *arguments)
        if len(calls) == 111:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MetricsLog, "on_update", interrupt)
        assert main([*RUN, "cut", *command]) == 130
    cut, whole = (tmp_path / "runs" / name / "seed-0/tensorboard" for name in ("cut", "whole"))
    assert shown(cut)["training/loss"][-1][0] == 110
    assert main(["resume", "runs/cut"]) == 0
    assert len(list(cut.iterdir())) == 2
    assert shown(cut) == shown(whole)
    assert pictures(cut) == pictures(whole)
    heat_map = pictures(cut)["Accuracy matrix, task scenario"]
    assert [step for step, *_ in heat_map] == [60, 120]


def test_a_run_that_is_begun_anew_shows_nothing_of_the_one_before(tmp_path):
    for values in ((1.0, 2.0), (3.0,)):
        board = TensorBoard(tmp_path / "board", tmp_path / "samples")
        for iteration, value in enumerate(values, start=1):
            board.add_metrics(PHASE, iteration, {"loss": value})
        board.close()
    assert shown(tmp_path / "board") == {"training/loss": [(21, 3.0)]}


def test_a_run_that_goes_back_to_its_checkpoint_shows_each_step_once(tmp_path):
    board = TensorBoard(tmp_path / "board", tmp_path / "samples")
    board.on_start((), 10)
    for iteration in (1, 5, 9):
        board.add_metrics(PHASE, iteration, {"loss": 1.0})
    board.on_start((), 10)
    board.on_resume(25, ())
    board.add_metrics(PHASE, 9, {"loss": 2.0})
    board.close()
    assert shown(tmp_path / "board") == {"training/loss": [(21, 1.0), (25, 1.0), (29, 2.0)]}


def test_it_can_be_turned_on_and_off_where_a_run_goes_on(tmp_path, monkeypatch):
    assert main([*RUN, "a"]) == 0
    seed = tmp_path / "runs/a/seed-0"
    assert not (seed / "tensorboard").exists()
    for option, there in (("--tensorboard", True), ("--no-tensorboard", False)):
        (seed / "result.json").unlink()
        for checkpoint in (seed / "checkpoints").iterdir():
            if checkpoint.name > "step-000000000060":
                for file in checkpoint.iterdir():
                    file.unlink()
                checkpoint.rmdir()
        assert main(["resume", "runs/a", option]) == 0
        scalars = shown(seed / "tensorboard")
        assert [step for step, _ in scalars["training/loss"]] == [61, 110, 120]
        assert len(list((seed / "tensorboard").iterdir())) == 1
        assert f"tensorboard: {str(there).lower()}" in (seed.parent / "config.yaml").read_text()


def test_what_is_inferred_is_shown_too(tmp_path):
    board = TensorBoard(tmp_path, tmp_path / "samples")
    board.on_task_end(PHASE, {"class": [Evaluation(50.0, 80.0, (4, 1)), Evaluation(25.0, 75.0)]})
    board.close()
    scalars = shown(tmp_path)
    assert scalars["accuracy in class/task 2"] == [(30, 25.0)]
    assert scalars["task inference in class/task 1"] == [(30, 80.0)]


@pytest.mark.parametrize(
    ("method", "tags"),
    [
        ("hnet-lik", {"samples/task 1": [2, 4], "samples/task 2": [4]}),
        ("dgr", {"samples/all tasks, mixed": [2, 4]}),
    ],
)
def test_what_a_memory_remembers_is_shown_after_each_task(method, tags, tmp_path):
    short = ["--set", "train.iterations=2", "--tasks", "2", "--tensorboard", "--name", "a"]
    command = ["run", "split-digits", "--method", method, "--scenario", "class", *short]
    assert main(command) == 0
    images = pictures(tmp_path / "runs/a/seed-0/tensorboard")
    for tag, steps in tags.items():
        assert [step for step, *_ in images[tag]] == steps
        # Eight images of eight pixels in a row, enlarged.
        assert {(height, width) for _, height, width, _ in images[tag]} == {(56, 8 * 56)}
    first = safetensors.torch.load_file(tmp_path / "runs/a/seed-0/samples/after_task_1.safetensors")
    (samples,) = first.values()
    pixels = imread(BytesIO(images[next(iter(tags))][0][3]), format="png")
    assert_array_equal((255 * pixels[::7, ::7, 0]).round(), torch.cat([*samples[:, 0]], dim=1))


def test_a_missing_package_is_told_before_work_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    for command in (["run", "split-digits"], ["compare", "split-digits", "--seeds", "0"]):
        assert main([*command, "--tensorboard", *SHORT]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("error: --tensorboard needs the package tensorboard")
        assert "pip install tensorboard" in line
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    board = TensorBoard(tmp_path / "file", tmp_path / "samples")
    for call in (
        lambda: board.add_metrics(PHASE, 1, {"loss": 1.0}),
        lambda: board.on_task_end(PHASE, {"task": [Evaluation(1.0, None)]}),
        board.state_dict,
    ):
        with pytest.raises(RunError, match="TensorBoard must be writable"):
            call()
    board.close()


def test_a_comparison_hands_it_to_its_processes():
    from hypermnesia.cli.options import machine
    from hypermnesia.experiments.compare import Question, plan

    options = {"machine": machine(None, None, tensorboard=True)}
    (cell,) = plan(Question(("split-digits",), ("task",), ("hnet",), (0,), options=options))
    assert cell.config.machine.tensorboard
