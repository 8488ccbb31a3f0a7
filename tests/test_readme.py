"""What the README says a program prints is what it prints."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
PAIR = re.compile(r"^```python\n(?P<code>.*?)^```\n\n```text\n(?P<out>.*?)^```", re.M | re.S)


def test_the_learner_s_example_prints_what_it_says(tmp_path, capsys, monkeypatch) -> None:
    (pair,) = PAIR.finditer(README.read_text("utf-8"))
    monkeypatch.chdir(tmp_path)
    exec(compile(pair["code"], str(README), "exec"), {"__name__": "__main__"})  # noqa: S102
    assert capsys.readouterr().out == pair["out"]
