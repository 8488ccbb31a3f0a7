"""The benchmark of long streams, on a short one that is interrupted."""

from pathlib import Path

from benchmarks.long_stream import lines_of, main

TINY = ["train.iterations=3", "hypernet.hidden=[5]", "target.hidden=[6]", "train.batch_size=8"]


def test_a_stream_that_was_stopped_goes_on(tmp_path: Path, capsys) -> None:
    settings = [word for text in TINY for word in ("--set", text)]
    command = ["--tasks", "4", "--every", "2", "--out", str(tmp_path), *settings]
    main([*command, "--stop", "2"])
    assert "stopped within task 3" in capsys.readouterr().out
    main(command)
    lines = lines_of(tmp_path / "stream.jsonl")
    assert {*lines} >= {1, 2, 4}
    assert ["seen" in lines[task] for task in (1, 2, 4)] == [False, True, True]
    assert all(line["cpu_ms"] > 0 and line["mb"] > 50 for line in lines.values())
    assert "| 4 | " in capsys.readouterr().out
