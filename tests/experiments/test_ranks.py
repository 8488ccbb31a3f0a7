import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parted import CASES, losses
from small_config import small
from torch import nn

from hypermnesia import parallel
from hypermnesia.cli import main
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.experiments.run import prepared, rehearse
from hypermnesia.methods import METHODS
from hypermnesia.methods.base import not_in_parts
from hypermnesia.nets import NetSettings
from hypermnesia.optimizers import identity
from hypermnesia.parallel import Ranks
from hypermnesia.state_files import pack
from hypermnesia.training.checkpoint import steps_in
from hypermnesia.training.ranks import parts_taker

HERE = Path(__file__).parent


def start(rank, world, port, arguments, **options):
    """A process as torchrun starts it."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world}
    own |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    environment = {**os.environ, **{name: str(value) for name, value in own.items()}}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen([sys.executable, *arguments], env=environment, text=True, **options)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_two_ranks_have_the_losses_of_one_process(tmp_path):
    port, file = free_port(), tmp_path / "losses.json"
    ranks = [start(rank, 2, port, [str(HERE / "parted.py"), str(file)]) for rank in (0, 1)]
    alone = [losses(*case) for case in CASES]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    for case, one, two in zip(CASES, alone, json.loads(file.read_text()), strict=True):
        assert len(one) == len(two) == 100
        furthest = np.abs(np.array(one) - np.array(two)).max()
        assert furthest <= (1e-10 if case[1] == torch.float64 else 1e-5), case


class Noise(nn.Module):
    def forward(self, x):
        return x + 0.1 * torch.randn_like(x)


def noisy(sample_shape, outputs, settings: NetSettings):
    return nn.Sequential(nn.Flatten(), Noise(), nn.Linear(64, outputs))


RUN = ["split-digits", "--method", "hnet", "--tasks", "2", "--threads", "1"]
RUN += ["--set", "train.iterations=200", "--set", "train.checkpoint_seconds=0.05"]


def test_a_run_whose_rank_was_killed_goes_on_with_another_number_of_ranks(tmp_path):
    command = ["-m", "hypermnesia", "run", *RUN, "--out", str(tmp_path)]
    port, said = free_port(), subprocess.PIPE
    ranks = [start(rank, 2, port, command, stderr=said) for rank in (0, 1)]
    folder = tmp_path / "split-digits_hnet_task"
    deadline = time.monotonic() + 100
    while max(steps_in(folder / "seed-0/checkpoints"), default=0) < 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ranks[1].kill()
    errors = [rank.communicate(timeout=100)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [2, -9]
    assert "error: every rank must go on" in errors[0].splitlines()[-1]
    assert 20 <= max(steps_in(folder / "seed-0/checkpoints")) < 400
    assert main(["resume", str(folder)]) == 0
    assert main(["run", *RUN, "--out", str(tmp_path / "alone")]) == 0
    both = [finished_seed(path) for path in (folder, tmp_path / "alone" / folder.name)]
    assert np.array_equal(*(each.result.accuracy["task"] for each in both), equal_nan=True)
    parted, alone = (pack(each.method.state_dict())[1] for each in both)
    for name, tensor in alone.items():
        torch.testing.assert_close(parted[name], tensor, rtol=1e-3, atol=1e-4)
    noted = json.loads((folder / "seed-0/environment.json").read_text())
    assert noted["ranks"] == 2
    assert "ranks" not in noted["continued"][-1]


def takes_parts(method):
    try:
        parts_taker(method)(identity)
    except ConfigError as error:
        return "with several ranks" not in str(error)
    return True


def test_every_method_takes_parts_or_says_that_it_cannot():
    able = set()
    for name in METHODS:
        config = small(method=name, scenario=METHODS[name].scenarios[0])
        with prepared(config, 0) as (method, _):
            able |= {name} if takes_parts(method) else set()
    named = not_in_parts("x").hint.removeprefix("use ").replace(" or ", ", ")
    assert able == {*named.split(", ")}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (("train.batch_size=1",), "a sample for each rank; got 1 samples for 2 ranks"),
        (("compute.compile=true",), "without torch.compile"),
        (("target.net=test_ranks:noisy",), "must draw nothing but dropout"),
        (("target.net=resnet32",), "samples of a batch must not depend on each other"),
        (("target.dropout=0.5",), None),
    ],
)
def test_what_ranks_cannot_share_is_refused_before_training(settings, expected, monkeypatch):
    monkeypatch.setattr(parallel, "_here", Ranks(0, 2))
    if expected is None:
        rehearse(small(*settings, method="hnet"))
        return
    with pytest.raises(ConfigError) as caught:
        rehearse(small(*settings, method="hnet"))
    assert expected in str(caught.value)


def test_outliers_of_whole_batches_are_refused():
    config = small("inference.outliers=shuffled", method="hnet-ent", scenario="class")
    with prepared(config, 0) as (method, _), pytest.raises(ConfigError, match="whole mini-batch"):
        parts_taker(method)(identity)


def test_commands_that_start_processes_are_refused(monkeypatch, capsys):
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "x", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    assert main(["compare", "split-digits"]) == 2
    assert "torchrun is for the commands run and resume; got compare" in capsys.readouterr().err
    assert main(["run", "split-digits", "--launcher", "local"]) == 2
    assert "leave one of them out" in capsys.readouterr().err


def test_parts_are_a_division_and_dropout_is_that_of_the_whole_batch():
    x = torch.rand(7, 5)
    torch.manual_seed(1)
    whole, found = F.dropout(x, 0.4), []
    for rank in range(3):
        ranks = Ranks(rank, 3)
        rows = ranks.part(7)
        torch.manual_seed(1)
        with ranks.drawing():
            found.append(nn.Dropout(0.4)(x[rows]))
        assert ranks.share == len(found[-1]) / 7
    assert torch.equal(torch.cat(found), whole)
