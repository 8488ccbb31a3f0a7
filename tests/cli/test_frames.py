"""How deep the command line is: the functions of ours between `main` and the gradient."""

import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import torch

import hypermnesia
from hypermnesia.cli import main


def test_the_command_line_adds_two_frames(tmp_path, monkeypatch):
    stacks = []

    def grad(*_, **__):
        stacks.append(traceback.extract_stack())
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.autograd, "grad", grad)
    short = ["--set", "train.iterations=2", "--tasks", "2", "--out", str(tmp_path)]
    monkeypatch.setattr("hypermnesia.experiments.run.rehearse", lambda config: None)
    assert main(["run", "split-digits", *short]) == 130
    package = Path(hypermnesia.__file__).parent
    ours = [frame for frame in stacks[0] if Path(frame.filename).is_relative_to(package)]
    print("\n".join(f"{Path(f.filename).relative_to(package)}:{f.name}" for f in ours))
    assert [frame.name for frame in ours[:3]] == ["main", "run_command", "run_all"]


@pytest.mark.parametrize("command", ["run", "compare", "list", "doctor"])
def test_help_loads_no_torch(command):
    code = f"import sys; from hypermnesia.cli import main; main(['{command}', '--help']); "
    done = subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"])
    assert done.returncode == 0
