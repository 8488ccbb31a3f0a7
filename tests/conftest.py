"""Shared by all tests: one thread, so that figures repeat, and real data where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import Phase, settings

from figure_runs import runs  # noqa: F401 (a fixture for all)
from hypermnesia.methods import METHODS, MethodEntry
from problems import Confident

torch.set_num_threads(1)
settings.register_profile("hypermnesia", deadline=None, derandomize=True)
settings.load_profile("hypermnesia")
# For mutation testing: that it fails is enough, the smallest example takes long to find.
settings.register_profile(
    "unshrunk", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data that HYPERMNESIA_DATA names."""
    folder = os.environ.get("HYPERMNESIA_DATA")
    if not folder:
        pytest.skip("needs real MNIST: set HYPERMNESIA_DATA to a folder that holds it")
    return Path(folder)


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """What a test draws from torch's global generator is the same every time."""
    torch.manual_seed(0)


@pytest.fixture
def double() -> None:
    """Double precision by default within a test."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def confident(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that is trained once, `confident`, among those there are."""
    scenarios = Confident.answers
    texts = {"equation": "-", "needs": "-", "trained": "once"}
    entry = MethodEntry("confident", "the surest network", "-", Confident, scenarios, **texts)
    monkeypatch.setitem(METHODS._entries, "confident", entry)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Campaigns are short unless asked to be long."""
    parser.addoption("--kills", type=int, default=2, help="how often tests/faults kills a run")
    parser.addoption("--device", default="cuda", help="where tests/device runs: cuda, or cpu")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device of `--device`, by default a GPU."""
    found = torch.device(request.config.getoption("--device"))
    if found.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU; --device cpu tries the tests themselves")
    return found
