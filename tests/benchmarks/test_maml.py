"""MAML on sine waves: one inner step by hand, and a very small run."""

from __future__ import annotations

import json

import pytest
import torch
from benchmarks.maml import drawn, main

from hypermnesia.data.benchmarks import BenchmarkSettings, make_tasks


def test_points_are_those_of_waves() -> None:
    tasks = make_tasks("sine", BenchmarkSettings(tasks=1), 0)
    generator = torch.Generator().manual_seed(0)
    for given in ((), tasks):
        x, y = drawn(given, 3, generator)
        assert x.shape == y.shape == (25, 6, 1)
        assert x.abs().max() <= 5
        assert y.abs().max() <= 5
    known = tasks[0].train.batch(torch.arange(len(tasks[0].train)))
    assert torch.isin(x, known.x).all()


def test_it_prints_a_line_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--iterations", "2", "--tasks", "2", "--unseen", "1", "--steps", "0,1"]
    main(["--seeds", "0,1", *small])
    main(["--seeds", "0", "--waves", "2", *small])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["seed"], line["waves"]) for line in lines] == [(0, 0), (1, 0), (0, 2)]
    assert all(line["mse"]["0"] != line["mse"]["1"] for line in lines)
