"""The benchmark of few-shot adaptation, very small."""

from __future__ import annotations

import json

import pytest
from benchmarks.few_shot import main

FEW = ["--tasks", "2", "--unseen", "2", "--iterations", "3", "--joint", "3", "--full", "3"]
WAYS = {"encoder", "gradient", "both", "nearest", "finetuned", "joint", "full", "encoder_ms"}


@pytest.mark.parametrize("benchmark", ["rotated-digits", "sine"])
def test_it_prints_a_line_a_seed_and_k(benchmark: str, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--chunk", "500", "--hidden", "8", "--steps", "2", "--samples", "20"]
    main(["--benchmark", benchmark, "--seeds", "0,1", "--k", "1,5", *FEW, *small])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["seed"], line["k"]) for line in lines] == [(0, 1), (0, 5), (1, 1), (1, 5)]
    assert all(line.keys() >= WAYS for line in lines)


def test_learned_embeddings_are_searched_alone(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--chunk", "500", "--hidden", "8", "--steps", "2", "--samples", "20", "--entries", "4"]
    learned = ["--method", "hnet", "--start", "nearest", "--embedding-rate", "0.01", "--k", "2"]
    main(["--benchmark", "sine", "--seeds", "0", *learned, *FEW, *small])
    (line,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert line.keys() & WAYS == WAYS - {"encoder", "both", "encoder_ms"}
    assert line["method"] == "hnet"
