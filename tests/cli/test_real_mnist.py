"""The published benchmark in small, on the official files, by the command that a user types."""

from __future__ import annotations

import json
from pathlib import Path

from hypermnesia.cli import main


def test_split_mnist_is_learned_and_kept(real_data: Path, tmp_path: Path) -> None:
    arguments = ["run", "split-mnist", "--tasks", "2", "--set", "train.iterations=200"]
    folders = ["--data-dir", str(real_data), "--out", str(tmp_path), "--threads", "1"]
    assert main([*arguments, *folders]) == 0
    summary = json.loads((tmp_path / "split-mnist_hnet_task" / "summary.json").read_text())
    assert summary["scenarios"]["task"]["acc"]["mean"] >= 97.5
    assert summary["scenarios"]["task"]["bwt"]["mean"] >= -1.0
    assert summary["compression"]["mean"] <= 0.98
