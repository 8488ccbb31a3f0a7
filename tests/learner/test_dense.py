"""More than one label a sample: a class at each position, or any number of labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia import ConfigError, ContinualLearner, DataError, TargetError
from hypermnesia.learner.targets import positions_loss

SETTINGS = {"iterations": 150, "batch_size": 16, "lr": 0.01}


class Tagger(nn.Module):
    """(batch, tokens) ids to (batch, tokens, classes)."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(10, 16), nn.Linear(16, outputs)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.embed(ids).relu())


def tagged(shift: int = 0, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Ids, and classes 10, 20, ... of each but where an id is 0."""
    ids = torch.randint(10, (80, 5), generator=torch.Generator().manual_seed(shift))
    return ids, (10 * ((ids + shift) % classes + 1)).where(ids > 0, -100)


def learner(model: nn.Module, **settings: object) -> ContinualLearner:
    torch.manual_seed(0)
    return ContinualLearner(model, **{**SETTINGS, **settings})


def test_a_class_at_each_token(tmp_path: Path) -> None:
    made = learner(Tagger(), problem="positions")
    made.fit(*tagged(), task="a").fit(*tagged(1, classes=4), task="b")
    for task, data in (("a", tagged()), ("b", tagged(1, classes=4))):
        assert made.score(*data, task=task) > 0.95
    ids, y = tagged()
    found, some = made.predict(ids, "a"), y.numpy() != -100
    assert found.shape == (80, 5)
    assert (found == y.numpy())[some].mean() == made.score(ids, y, task="a")
    assert made.predict_proba(ids, "b").shape == (80, 5, 4)
    assert np.allclose(made.predict_proba(ids, "b").sum(axis=2), 1, atol=1e-5)
    assert list(made.classes("a")) == [10, 20, 30]
    made.save(tmp_path / "learner")
    loaded = ContinualLearner.load(tmp_path / "learner", Tagger())
    assert np.array_equal(loaded.predict(ids, "b"), made.predict(ids, "b"))
    assert set(made.drift_) == {"a"}


def test_the_loss_whichever_axis_has_the_classes() -> None:
    logits, y = torch.randn(4, 5, 3), torch.randint(3, (4, 5))
    y[0, 0] = -100
    rows = y.flatten() != -100
    expected = F.cross_entropy(logits.flatten(0, 1)[rows], y.flatten()[rows])
    assert torch.allclose(positions_loss(logits, y), expected)
    assert torch.allclose(positions_loss(logits.movedim(2, 1), y), expected)


def test_a_class_at_each_pixel() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    x = torch.rand(60, 1, 4, 6, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0.5).long()
    made = learner(model, problem="positions")
    for task in range(2):
        made.fit(x, y if task == 0 else 1 - y, task=task)
    assert made.score(x, y, task=0) > 0.9
    assert made.score(x, 1 - y, task=1) > 0.9
    assert made.predict(x, task=0).shape == (60, 4, 6)


def test_rows_of_several_lengths() -> None:
    def padded(items: list[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor]:
        ids, labels = zip(*items, strict=True)
        width = max(map(len, ids))
        fill = ((ids, 0), (labels, -100))
        return tuple(  # type: ignore[return-value]
            torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])
            for rows, value in fill
        )

    ids, y = tagged()
    items = [(i.tolist()[: 3 + n % 3], c.tolist()[: 3 + n % 3]) for n, (i, c) in
             enumerate(zip(ids, y, strict=True))]  # fmt: skip
    loader = torch.utils.data.DataLoader(items, 8, collate_fn=padded)
    made = learner(Tagger(), problem="positions").fit(loader, task="a")
    assert made.score(loader, task="a") > 0.95
    assert made.predict(loader, "a").shape == (80, 5)


def test_any_number_of_labels() -> None:
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    y = (x[:, :3] > 0).long()
    made = learner(nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3)),
                   problem="multilabel", iterations=300)  # fmt: skip
    made.fit(x, y, task="a").fit(x, 1 - y, task="b")
    assert made.score(x, y, task="a") > 0.8
    assert made.score(x, 1 - y, task="b") > 0.8
    assert made.predict(x, "a").dtype == bool
    proba = made.predict_proba(x, "a")
    assert proba.shape == (200, 3)
    assert np.array_equal(proba > 0.5, made.predict(x, "a"))


def test_what_is_refused() -> None:
    ids, y = tagged()
    with pytest.raises(ConfigError, match="tasks of problem='positions' must be named"):
        learner(Tagger(), infer_task="entropy", problem="positions").fit(ids, y, task="a")
    with pytest.raises(ConfigError, match="must be told them"):
        learner(Tagger(), problem="positions", iterations=1).fit(ids, y, task="a").predict(ids)
    with pytest.raises(DataError, match="must be whole numbers"):
        learner(Tagger(), problem="positions").fit(ids, y.float(), task="a")
    with pytest.raises(DataError, match="must be 0 or 1"):
        learner(nn.Linear(5, 5), problem="multilabel").fit(ids.float(), y, task="a")
    with pytest.raises(TargetError, match="or say problem='positions'"):
        learner(Tagger()).fit(ids, y, task="a")
    with pytest.raises(DataError, match="say problem='multilabel' or 'positions'"):
        learner(nn.Linear(5, 5)).fit(ids.float(), y, task="a")
    known = learner(Tagger(), problem="positions", iterations=1).fit(ids, y, task="a")
    with pytest.raises(DataError, match="first fitted with; got 50"):
        known.fit(ids, y.where(y < 0, 50), task="a")
