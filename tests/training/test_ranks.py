import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hypermnesia.errors import ConfigError
from hypermnesia.methods import METHODS
from hypermnesia.parallel import NoDropout, Ranks, WholeDropout, check_network
from parted import CASES, losses

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
