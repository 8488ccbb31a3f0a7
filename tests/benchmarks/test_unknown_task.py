"""Unknown-task inference: all ways agree, and the command says how fast and how near they are."""

from __future__ import annotations

import re

import pytest
import torch
from benchmarks.inference import main, time_in_turn
from benchmarks.spec import CannotMeasure, Spec
from benchmarks.unknown_task import infer_batched, infer_one_by_one, trained_or_not

TINY = ("target.hidden=[80, 70]", "hypernet.hidden=[6, 5]", "hypernet.chunk=9000")
SPEC = Spec("closed", 3, outputs=5, assignments=TINY)


@pytest.mark.parametrize("screen", [None, "bf16"])
def test_batched_inference_gives_the_answers_of_the_loop(screen: str | None) -> None:
    method = trained_or_not(SPEC, tasks=3, weights=None, screen=screen)
    x = torch.rand(40, *SPEC.shape(), generator=torch.Generator().manual_seed(0))
    single_answers = infer_one_by_one(method.memory, x)
    for batched, single in zip(infer_batched(method, x), single_answers, strict=True):
        assert batched.tolist() == single.tolist()


def test_ways_take_turns_and_loops_share_the_few_samples() -> None:
    calls: list[tuple[str, int]] = []
    ways = {name: lambda x, name=name: calls.append((name, len(x))) for name in ("all", "loop")}
    rates = time_in_turn(ways, torch.rand(50, 1), torch.rand(5, 1), rounds=2)
    assert calls[2:] == [("all", 50), ("loop", 3), ("all", 50), ("loop", 2)]
    assert [len(each) for each in rates.values()] == [2, 2]


def test_the_command_tells_rates_and_whether_answers_are_the_same(capsys, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise CannotMeasure("not here")

    monkeypatch.delenv("HYPERMNESIA_DATA", raising=False)
    monkeypatch.setattr("benchmarks.inference.build_networks", refuse)
    few = ["--samples", "60", "--one-by-one", "4", "--rounds", "2"]
    main(["--tasks", "2", *few, "--screen", "bf16"])
    told = capsys.readouterr().out
    assert "one by one, hypnettorch: left out, not here" in told
    assert re.search(r"batched, screen bf16: [\d,]+ \([\d,]+ to [\d,]+\) samples a second", told)
    assert re.search(r"one by one, our networks: .* times fewer", told)
    assert "same task and class batched and one by one for 4 of 4" in told
    assert "same task and class as float32 for 60 of 60" in told
    assert "99.9 % of the scores are less than" in told
