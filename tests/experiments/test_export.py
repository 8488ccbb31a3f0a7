"""A task's network of a finished run, as files that other programs read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open

from hypermnesia.cli import main
from hypermnesia.data.datasets import load_digits
from hypermnesia.errors import ConfigError, HypermnesiaError, RunError
from hypermnesia.experiments.finished import export_task
from hypermnesia.experiments.run_folder import RunFolder

SHORT = ["--set", "train.iterations=40", "--tasks", "2", "--seeds", "3"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Runs of methods of every kind, whose folders are called by the method."""
    out = tmp_path_factory.mktemp("runs")
    for method, dropout in (("hnet", 0.2), ("separate", 0.0), ("finetune", 0.0)):
        command = ["run", "split-digits", "--method", method, "--out", str(out), "--name", method]
        assert main([*command, *SHORT, "--set", f"target.dropout={dropout}"]) == 0
    return out


def second_task() -> tuple[torch.Tensor, torch.Tensor]:
    """Test images of 2 and 3, and their classes in the task."""
    data = load_digits()
    rows = (data.test_y == 2) | (data.test_y == 3)
    return data.test_x[rows] / data.scale, data.test_y[rows] - 2


def accuracy(run: Path) -> float:
    """Of the second task, percent, as the run itself measured it."""
    matrix = RunFolder(run).seed(3).matrix("task").read_text().splitlines()
    return float(matrix[-1].split(",")[-1])


@pytest.mark.parametrize("method", ["hnet", "separate", "finetune"])
def test_both_files_answer_as_the_run_did(method, runs, tmp_path) -> None:
    run, (x, y) = runs / method, second_task()
    done = export_task(run, 2, "torch", tmp_path / "two.safetensors")
    assert (done.inputs, done.outputs) == ((1, 8, 8), 2)
    namespace: dict[str, torch.nn.Module] = {}
    exec("\n".join(done.how_to_load), namespace)  # noqa: S102
    with torch.no_grad():
        scores = namespace["network"](x)
    right = 100 * float((scores.argmax(1) == y).float().mean())
    assert right == pytest.approx(accuracy(run), abs=1e-4)
    export_task(run, 2, "onnx", tmp_path / "two.onnx")
    session = onnxruntime.InferenceSession(
        tmp_path / "two.onnx", providers=["CPUExecutionProvider"]
    )
    (through,) = session.run(["outputs"], {"inputs": x.numpy()})
    assert np.allclose(through, scores, rtol=1e-4, atol=1e-4)


def test_the_command_says_what_it_wrote(runs, tmp_path, capsys) -> None:
    out = tmp_path / "one.safetensors"
    command = ["export", str(runs / "hnet"), "--task", "1", "--out", str(out), "--to", "torch"]
    assert main(command) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{out}: from (batch, 1 x 8 x 8) inputs to (batch, 2) outputs"
    with safe_open(out, "pt") as file:
        assert file.metadata()["how_to_load"].splitlines() == told[1:]
    before = out.read_bytes()
    assert main(command) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert main([*command[:3], "2", *command[4:], "--overwrite"]) == 0
    assert out.read_bytes() != before


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"task": 0}, "--task counts from 1 to 2 here; got 0"),
        ({"task": 3}, "--task counts from 1 to 2 here; got 3"),
        ({"kind": "onx"}, "did you mean 'onnx'"),
        ({"seed": 0}, "whose training is finished.*: 3;"),
        ({"run": Path("nowhere")}, "a run folder holds"),
        ({"out": Path("nowhere/file")}, "must be writable"),
    ],
    ids=str,
)
def test_what_cannot_be_exported(runs, tmp_path, change, rule) -> None:
    given = {"run": runs / "hnet", "task": 1, "kind": "torch", "out": tmp_path / "f", "seed": 3}
    with pytest.raises(HypermnesiaError, match=rule):
        export_task(**{**given, **change})
    assert not (tmp_path / "f").exists()


def test_damaged_weights_are_told(runs, tmp_path) -> None:
    weights = RunFolder(runs / "separate").seed(3).weights
    content = weights.read_bytes()
    try:
        weights.write_bytes(content[:100])
        with pytest.raises(RunError, match="must hold weights as they were written"):
            export_task(runs / "separate", 1, "torch", tmp_path / "f")
    finally:
        weights.write_bytes(content)


def test_without_the_extra_it_says_which(runs, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("hypermnesia.onnx_files.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"no onnx and no onnxscript; .*hypermnesia\[onnx\]"):
        export_task(runs / "hnet", 1, "onnx", tmp_path / "f")
