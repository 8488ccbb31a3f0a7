"""How deep the way is from what a user calls to the gradient, printed and bounded."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import hypermnesia
from hypermnesia import ContinualLearner
from hypermnesia.cli import main
from hypermnesia.hypernet import trial

HOME = Path(hypermnesia.__file__).parent
MOST_FRAMES_OF_FIT, MOST_FILES_OF_FIT = 6, 4
MOST_FRAMES_OF_RUN = 9


class ReachedError(BaseException):
    """The gradient is about to be taken."""


def frames(call: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Function and file of each of our frames between `call` and the gradient, in order."""

    def reached(*_: object, **__: object) -> None:
        raise ReachedError

    monkeypatch.setattr(trial, "check", lambda *_: None)  # which takes gradients of its own
    monkeypatch.setattr(torch.autograd, "grad", reached)
    with pytest.raises(ReachedError) as found:
        call()
    stack = traceback.extract_tb(found.value.__traceback__)
    ours = [each for each in stack if Path(each.filename).is_relative_to(HOME)]
    ours = [each for each in ours if each.name != "<listcomp>"]  # no frame from Python 3.12 on
    way = [(each.name, str(Path(each.filename).relative_to(HOME))) for each in ours]
    print("\n" + "\n".join(f"{name:20} {file}" for name, file in way))
    return way


@pytest.mark.parametrize("infer_task", ["likelihood", "entropy", None])
def test_from_fit_to_the_gradient(infer_task, monkeypatch) -> None:
    x, y = load_digits(return_X_y=True)
    model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 2))
    learner = ContinualLearner(model, infer_task)
    way = frames(lambda: learner.fit(x[y < 2] / 16, y[y < 2], task="a"), monkeypatch)
    assert way[0] == ("fit", "learner/learner.py")
    assert way[-1][0] == "step"
    assert len(way) <= MOST_FRAMES_OF_FIT
    assert len({file for _, file in way}) <= MOST_FILES_OF_FIT


def test_from_the_command_line_to_the_gradient(tmp_path, monkeypatch) -> None:
    words = ["run", "split-digits", "--method", "hnet", "--out", str(tmp_path)]
    monkeypatch.setattr("hypermnesia.experiments.run.rehearse", lambda *_: None)
    way = frames(lambda: main(words), monkeypatch)
    assert way[0][0] == "main"
    assert way[-1][0] == "step"
    assert len(way) <= MOST_FRAMES_OF_RUN
