"""What a user says about how to train, and what is told of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from hypermnesia import ContinualLearner, StopTask
from hypermnesia.errors import ConfigError, DataError
from learner.learners import QUICK, clouds, held, learner, mlp, same, words


def made(infer_task: str | None = None, **settings: Any) -> ContinualLearner:
    return ContinualLearner(mlp(), infer_task, **{**QUICK, "beta": 0.1, **settings})


class Told:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.losses: list[float] = []
        self.looks: list[int] = []
        self.ended: list[Any] = []

    def on_fit_begin(self, task, iterations) -> None:
        self.begun.append((task, iterations))

    def on_update(self, iteration, metrics) -> None:
        assert iteration == len(self.losses) + 1
        self.losses.append(float(metrics["loss"]))

    def on_validation(self, iteration, losses) -> None:
        self.looks.append(iteration)
        assert losses["loss"] >= 0

    def on_fit_end(self, history) -> None:
        self.ended.append(history)


def test_callbacks_and_history() -> None:
    told, trained = Told(), made()
    trained.fit(*clouds(0), task="a", callbacks=told)
    assert told.begun == [("a", 60)]
    assert told.looks == [50, 60]
    (history,) = trained.history_
    assert told.ended == [history]
    assert history.updates == 60
    assert history.seconds > 0
    assert history.losses["loss"] == pytest.approx(
        [np.mean(told.losses[:50]), np.mean(told.losses[50:])], rel=1e-5
    )
    assert [at for at, _ in history.validation] == [50, 60]
    trained.fit(*clouds(1), task="b")
    assert len(trained.history_[1].losses["penalty"]) == 2


class Enough:
    """Has seen enough after ten updates."""

    def on_update(self, iteration, metrics) -> None:
        if iteration == 10:
            raise StopTask


class Fails:
    def on_update(self, iteration, metrics) -> None:
        raise OSError("a full disk")


def test_a_callback_ends_a_fit() -> None:
    trained = made().fit(*clouds(0), task="a", callbacks=[Told(), Enough()])
    assert trained.history_[0].updates == 10
    before = held(trained)
    with pytest.raises(OSError, match="a full disk"):
        trained.fit(*clouds(1), task="b", callbacks=Fails())
    assert trained.tasks == ["a"]
    assert same(held(trained), before)
    assert len(trained.history_) == 1
    with pytest.raises(ConfigError, match="a callback must have one or more of on_fit_begin"):
        trained.fit(*clouds(1), task="b", callbacks=print)


def test_watching_changes_nothing() -> None:
    watched = made("entropy").fit(*clouds(0), task="a", callbacks=Told())
    assert same(held(watched), held(made("entropy").fit(*clouds(0), task="a")))


def test_settings_of_one_fit() -> None:
    trained = made().fit(*clouds(0), task="a", iterations=7, batch_size=5)
    trained.fit(*clouds(1), task="b")
    trained.fit(*clouds(2), task="c", lr=1e-9)
    assert [each.updates for each in trained.history_] == [7, 60, 60]
    assert trained.settings.iterations == 60
    assert trained.history_[0].losses["loss"][0] > 0
    for wrong in ({"iterations": 0}, {"lr": -1.0}, {"batch_size": 2.5}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            trained.fit(*clouds(2), task="d", **wrong)


def test_the_same_fit_by_settings_and_by_its_own_arguments() -> None:
    one = made(iterations=30, lr=0.02).fit(*clouds(0), task="a")
    other = made().fit(*clouds(0), task="a", iterations=30, lr=0.02)
    assert same(held(one), held(other))


def smoothed(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(outputs, targets, label_smoothing=0.5)


def test_a_criterion_of_one_s_own() -> None:
    x, y = clouds(0)
    sure = made().fit(x, y, task="a").predict_proba(x, "a").max()
    smooth = made(criterion=smoothed).fit(x, y, task="a").predict_proba(x, "a")
    assert smooth.max() < sure
    assert (smooth.argmax(axis=1) == y).mean() > 0.9
    with pytest.raises(ConfigError, match="criterion must be a function"):
        made(criterion="mse")


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.SGD, lr=0.01, momentum=0.9),
        partial(torch.optim.AdamW, lr=0.01),
        partial(torch.optim.NAdam, lr=0.01),
        partial(torch.optim.Adagrad, lr=0.05),
    ],
)
@pytest.mark.parametrize("method", ["hnet", "ewc"])
def test_optimizers_of_torch(optimizer, method) -> None:
    trained = made(optimizer=optimizer, method=method)
    for task in range(2):
        x, y = clouds(task)
        trained.fit(x, words(y, task), task="ab"[task])
    for task in range(2):
        x, y = clouds(task)
        assert trained.score(x, words(y, task), task="ab"[task]) > 0.85


class Mine(torch.optim.SGD):
    """Which may step in any way."""


@pytest.mark.parametrize(
    ("optimizer", "got"),
    [
        (torch.optim.LBFGS, "LBFGS"),
        (torch.optim.SparseAdam, "SparseAdam"),
        (partial(Mine, lr=0.1), "Mine"),
        (lambda parameters: None, "NoneType"),
        (torch.optim.Muon, "Muon"),
        (partial(torch.optim.SGD, rate=1), "unexpected keyword"),
    ],
)
def test_other_optimizers_are_refused(optimizer, got) -> None:
    with pytest.raises(ConfigError, match=f"makes an optimiser of torch.optim; got .*{got}"):
        made(optimizer=optimizer).fit(*clouds(0), task="a")


def test_the_step_size_is_the_optimizer_s() -> None:
    with pytest.raises(ConfigError, match="sets its own step size; got lr"):
        made(optimizer=torch.optim.Adam).fit(*clouds(0), task="a", lr=0.1)


def test_functions_are_not_saved_and_this_is_told(tmp_path) -> None:
    own: dict[str, Any] = {"criterion": smoothed, "optimizer": partial(torch.optim.SGD, lr=0.05)}
    trained = made(**own).fit(*clouds(0), task="a")
    trained.save(tmp_path / "saved")
    loaded = ContinualLearner.load(tmp_path / "saved", mlp())
    told = "saved without its criterion and optimizer; the default is used"
    with pytest.warns(UserWarning, match=told):
        loaded.fit(*clouds(1), task="b")
    again = ContinualLearner.load(tmp_path / "saved", mlp(), **own).fit(*clouds(1), task="b")
    assert same(held(again), held(trained.fit(*clouds(1), task="b")))
    assert again.settings == trained.settings


def test_to_a_device() -> None:
    trained = learner()
    before = held(trained)
    assert trained.to("cpu") is trained
    assert same(held(trained), before)
    assert made().to("cpu").device == torch.device("cpu")
    with pytest.raises(ConfigError, match="the device must be one"):
        trained.to("abacus")


def test_weights_of_samples() -> None:
    x, y = clouds(0, n=100)
    wrong = np.where(np.arange(100) < 30, 1 - y, y)
    weight = np.where(np.arange(100) < 30, 0.01, 1.0)
    for method in ("hnet", "finetune"):
        trained = made(method=method).fit(x, wrong, task="a", sample_weight=weight)
        assert trained.score(x, y, task="a") > 0.95
        assert trained.predict_proba(x, "a").max() > 0.9
    rule = "sample_weight must be a number of 0 or more"
    for bad in (-weight, weight[1:], 0 * weight, weight * np.nan):
        with pytest.raises(DataError, match=rule):
            made().fit(x, y, task="a", sample_weight=bad)
    with pytest.raises(DataError, match="sample_weight is for arrays; got FromDataset"):
        made().fit(Counted(x, y), task="a", sample_weight=weight)


def test_equal_weights_are_none() -> None:
    x, y = clouds(0)
    one = made().fit(x, y, task="a", sample_weight=np.full(len(x), 7.0))
    assert held(one)[0] == pytest.approx(held(made().fit(x, y, task="a"))[0], abs=1e-4)


class Counted(Dataset):
    """Counts what is read of it, and by which process."""

    def __init__(self, x, y) -> None:
        self.x, self.y = x, y
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index):
        self.read.append(index)
        return self.x[index], self.y[index]


def test_told_classes_save_reading() -> None:
    x, y = clouds(0, n=6000)
    data = Counted(x, y)
    trained = made().fit(data, task="a", classes=[0, 1], iterations=20)
    assert len(set(data.read)) < 3000
    assert trained.classes("a").tolist() == [0, 1]
    with pytest.raises(DataError, match="got 1, where it has 0, 5"):
        made().fit(data, task="a", classes=[0, 5])
    trained.fit(data, task="a", classes=[0, 1, 2], iterations=1)  # which extends the task
    assert trained.classes("a").tolist() == [0, 1, 2]


class Shared(Counted):
    """Counts what this process reads, and what workers do."""

    def __init__(self, x, y) -> None:
        super().__init__(x, y)
        self.count = torch.zeros(2, dtype=torch.int64).share_memory_()

    def __getitem__(self, index):
        self.count[int(get_worker_info() is not None)] += 1
        return self.x[index], self.y[index]


@pytest.mark.parametrize("shuffle", [True, False])
def test_workers_read_the_same_batches(shuffle) -> None:
    x, y = clouds(0)
    plain = made().fit(DataLoader(Counted(x, y), 8, shuffle=shuffle), task="a")
    ahead = made().fit(DataLoader(Counted(x, y), 8, shuffle=shuffle, num_workers=2), task="a")
    assert same(held(ahead), held(plain))
    later = [each.fit(*clouds(1), task="b") for each in (ahead, plain)]
    assert same(*map(held, later))


def test_workers_read_what_is_learned() -> None:
    data = Shared(*clouds(0))
    loader = DataLoader(data, 8, shuffle=True, num_workers=1)
    made(validation=0).fit(loader, task="a")
    here, there = data.count.tolist()
    assert here <= 8  # to see what the model makes of two of them
    assert there >= 90 + 60 * 16


class Stream(IterableDataset):
    """Points without end, or so many; counts those that were read."""

    def __init__(self, task: int, most: int | None = None, classes: int = 2) -> None:
        self.task, self.most, self.classes, self.read = task, most, classes, 0

    def __iter__(self):
        while True:
            for x, y in zip(*clouds(self.task, classes=self.classes), strict=True):
                if self.read == self.most:
                    return
                self.read += 1
                yield x, f"class {y}"


def test_a_stream_is_read_as_it_goes() -> None:
    stream = Stream(0)
    trained = made("likelihood").fit(stream, task="a", steps=100)
    assert trained.history_[0].updates == 100
    assert len(trained.history_[0].validation) == 2
    assert stream.read == 1024 + (100 - (1024 - 102) // 16) * 16  # of the first, 102 are held out
    x, y = clouds(0)
    trained.fit(Stream(1), task="b", steps=50)
    assert trained.score(x, np.array([f"class {each}" for each in y]), task="a") > 0.9
    assert trained.tasks == ["a", "b"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_of_a_stream(workers) -> None:
    loader = DataLoader(Stream(0, most=2000), batch_size=20, num_workers=workers)
    trained = made(validation=0).fit(loader, task="a", steps=1000, batch_size=10)
    history = trained.history_[0]
    assert history.updates == 1040 // 10 + (2000 - 1040) // 20  # and the stream ends
    assert "2000" in trained.summary()


def test_streams_that_cannot_be_learned() -> None:
    with pytest.raises(DataError, match=r"how many updates to take of it \(steps=...\)"):
        made().fit(Stream(0), task="a")
    with pytest.raises(ConfigError, match="steps are of a stream"):
        made().fit(*clouds(0), task="a", steps=10)
    with pytest.raises(DataError, match="a stream must have samples"):
        made().fit(Stream(0, most=0), task="a", steps=10)
    trained = made().fit(Stream(0), task="a", steps=10, classes=["class 0", "class 1", "class 2"])
    assert len(trained.classes("a")) == 3


def test_a_short_stream_is_all_learned() -> None:
    trained = made(validation=0).fit(Stream(0, most=11), task="a", steps=10)
    assert trained.history_[0].updates == 1


def test_a_value_is_weighed_too() -> None:
    x = np.linspace(-1, 1, 60, dtype="float32")[:, None]
    y = np.where(np.arange(60) % 2, 1.0, -1.0)
    model = nn.Sequential(nn.Linear(1, 4), nn.Linear(4, 1))
    trained = ContinualLearner(model, None, **QUICK)
    trained.fit(x, y, task="a", sample_weight=np.where(y > 0, 1.0, 0.01))
    assert trained.predict(x, "a").mean() > 0.5


def test_settings_of_one_fit_leave_what_auto_has_chosen() -> None:
    x, y = clouds(0)
    made = ContinualLearner(mlp(), validation=0).fit(x, y, task="a", iterations=2)
    made.fit(x, y, task="a", iterations=2, batch_size=8)
    assert made.predict(x).shape == y.shape
    assert made.inference.startswith("gaussian")
