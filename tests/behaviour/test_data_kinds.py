"""Every kind of data is as good as plain arrays, or refused in one line before training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from data_kinds import KINDS
from feeds import BITS, BYTES, VALUES, DataKind, Items, N, X, Y, padded, ragged
from frames import Frame, Series
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from hypermnesia import ContinualLearner
from hypermnesia.data.types import hold_out
from hypermnesia.errors import DataError, HypermnesiaError
from hypermnesia.learner import learner as learner_module
from hypermnesia.learner.inputs import source_of
from hypermnesia.learner.samples import SourceSamples, divided, stream_of
from hypermnesia.learner.targets import listed
from hypermnesia.learner.targets import plain as plain_label

EQUAL = [kind for kind in KINDS if kind.outcome == "as PyTorch"]
REFUSED = [kind for kind in KINDS if kind.outcome == "refused"]


def named(kinds: list[DataKind]) -> list[Any]:
    return [pytest.param(kind, id=f"{kind.kind}: {kind.name}") for kind in kinds]


def learner(**settings: Any) -> ContinualLearner:
    torch.manual_seed(0)
    few = {"infer_task": None, "iterations": 3, "batch_size": 8, "lr": 0.01}
    return ContinualLearner(nn.Linear(3, 2), **{**few, **settings})


def taught(kind: DataKind, data: tuple[Any, ...]) -> ContinualLearner:
    made = learner(**kind.settings)
    if kind.first is not None:
        made.fit(*kind.first(), task="a")
    return made.fit(*data, task="a")


def test_the_table() -> None:
    assert len(KINDS) >= 30
    assert len({(kind.kind, kind.name, kind.outcome) for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", named(EQUAL))
def test_as_good_as_plain_arrays(kind: DataKind) -> None:
    x, y = kind.plain()
    plain = taught(kind, (x, y))
    made = taught(kind, kind.make()) if kind.learned else plain
    answers = as_given(kind, plain.predict(x, "a"))
    data = kind.make()[0]
    for inputs in (x, data[0] if isinstance(data, tuple) else data):
        found = made.predict(inputs, "a").ravel().tolist()
        assert found == answers
        assert set(map(type, found)) == set(map(type, answers))
    score = plain.score(x, y, task="a")
    assert made.score(*kind.make(), task="a") == pytest.approx(score, abs=1e-9)


def as_given(kind: DataKind, answers: np.ndarray) -> list[Any]:
    """Answers, for labels of the table's own kind those instead of 0 and 1."""
    if kind.kind != "Targets" or answers.dtype.kind == "f":
        return answers.tolist()
    given = kind.make()[1]
    given = given.__array__() if isinstance(given, Series) else given
    of_class = dict(zip(Y.tolist(), map(plain_label, listed(given)), strict=True))
    return [of_class[answer] for answer in answers.tolist()]


@pytest.mark.parametrize("kind", named(REFUSED))
def test_refused_in_one_line_before_training(kind: DataKind, monkeypatch) -> None:
    made = learner(**kind.settings)
    if kind.first is not None:
        made.fit(*kind.first(), task="a")
    monkeypatch.setattr(learner_module, "learn", lambda *_: pytest.fail("it trains"))
    with pytest.raises(HypermnesiaError, match=kind.told) as found:
        made.fit(*kind.make(), task="a")
    assert "\n" not in str(found.value)
    assert found.value.rule


# Data that are drawn, more than once or not at all


def test_score_compares_what_was_drawn_together() -> None:
    x = np.concatenate([X + 5, X - 5])
    y = np.repeat([0, 1], N)
    made = learner(iterations=100).fit(x, y, task="a")
    data = TensorDataset(torch.as_tensor(x), torch.as_tensor(y))
    loaders = [
        DataLoader(data, 5, shuffle=True, drop_last=True),
        DataLoader(data, 5, sampler=RandomSampler(data, replacement=True)),
        DataLoader(data, 5, sampler=WeightedRandomSampler(1.0 + y, 60)),
    ]
    assert [made.score(loader, task="a") for loader in loaders] == [1.0, 1.0, 1.0]


class AtRandom(Items):
    """Draws its items, x and y together, anew whenever they are read."""

    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(int(np.random.default_rng().integers(len(self))))


def test_a_target_belongs_to_the_input_that_was_drawn_with_it() -> None:
    x, y = np.concatenate([X + 5, X - 5]), np.repeat([0, 1], N)
    made = learner(iterations=100, validation=0.2).fit(AtRandom(x, y), task="a")
    assert made.score(x, y, task="a") == made.score(AtRandom(x, y), task="a") == 1.0


def test_values_of_a_shuffled_loader() -> None:
    made = learner(iterations=300, lr=0.05).fit(X, VALUES, task="a")
    data = TensorDataset(torch.as_tensor(X), torch.as_tensor(VALUES))
    assert made.score(DataLoader(data, 5, shuffle=True, drop_last=True), task="a") > 0.95


def test_a_score_of_other_numbers_of_values_is_refused() -> None:
    made = learner().fit(X, VALUES, task="a")
    assert made.score(X, VALUES[:, None], task="a") == made.score(X, VALUES, task="a")
    for y, told in ((np.eye(2)[Y], "as many values"), (VALUES * np.nan, "finite targets")):
        with pytest.raises(DataError, match=told):
            made.score(X, y, task="a")


def drawn(loader: DataLoader, updates: int, size: int = 8, held: float = 0.0) -> tuple[Any, Any]:
    """Rows (an input is its row) of each update of a fit, and the held-out ones."""
    source = source_of(loader, draws=updates * size)
    y = torch.as_tensor(source.targets())
    rows, device = torch.arange(len(source)), torch.device("cpu")
    samples = SourceSamples(source, torch.as_tensor, y, rows, 0, device, source.order)
    samples, apart = divided(samples, held, torch.Generator().manual_seed(0))
    stream = stream_of(samples, size, torch.Generator().manual_seed(0))
    batches = [stream.next() for _ in range(updates)]
    assert all(torch.equal(batch.x[:, 0].long() % 3, batch.y) for batch in batches)
    held_rows = [] if apart is None else apart.batch(torch.arange(len(apart))).x[:, 0].tolist()
    return [batch.x[:, 0].long().tolist() for batch in batches], held_rows


def counted(n: int = 60) -> TensorDataset:
    return TensorDataset(torch.arange(n)[:, None].float(), torch.arange(n) % 3)


def test_a_weighted_sampler_is_drawn_anew_in_every_epoch() -> None:
    weights = torch.ones(60)
    weights[::3], weights[:6] = 8.0, 0.0  # class 0, of which no row below 6
    sampler = WeightedRandomSampler(weights, 16, generator=torch.Generator().manual_seed(0))
    batches, held = drawn(DataLoader(counted(), 4, sampler=sampler), updates=200, held=0.2)
    rows = np.bincount(np.concatenate(batches), minlength=60)
    assert not rows[:6].any()
    assert len(held) == 54 // 5
    assert not {int(row) for row in held} & set(rows.nonzero()[0].tolist())
    assert (rows[6:] > 0).sum() == 54 - 54 // 5  # all but those that are held out
    assert rows[::3].sum() / rows.sum() == pytest.approx(0.8, abs=0.1)
    assert np.mean([row % 3 == 0 for row in held]) > 0.5  # held-out ones as often as drawn


def test_rows_of_a_sampler_of_one_s_own_come_in_its_order() -> None:
    order = [4, 1, 8, 8, 30]
    batches, held = drawn(DataLoader(counted(), 2, sampler=order), updates=2, size=4)
    assert batches == [[4, 1, 8, 8], [30, 4, 1, 8]]
    assert held == []
    batches, _ = drawn(DataLoader(counted(), batch_sampler=[[3, 0], [5]]), updates=2, size=2)
    assert batches == [[3, 0], [5, 3]]


def test_a_sampler_without_end_is_drawn_from_as_long_as_needed() -> None:
    class Endless:
        def __iter__(self):
            while True:
                yield from (7, 9)

    assert drawn(DataLoader(counted(), 2, sampler=Endless()), updates=2, size=3)[0] == [
        [7, 9, 7],
        [9, 7, 9],
    ]


def test_loaders_that_shuffle_are_shuffled_by_the_learner() -> None:
    plain = DataLoader(counted(), 7)
    shuffled = [
        DataLoader(counted(), 7, shuffle=True, drop_last=True),
        DataLoader(counted(), batch_sampler=BatchSampler(RandomSampler(counted()), 7, False)),
    ]
    assert all(drawn(loader, 20, held=0.2) == drawn(plain, 20, held=0.2) for loader in shuffled)


def test_one_answer_for_each_row_drawn_in_the_loader_s_order() -> None:
    made = learner(problem="regression", iterations=1).fit(X, VALUES, task="a")
    every = made.predict(X, "a")
    alone = Items(torch.as_tensor(X))
    for order in ([5, 3, 3, 20], [*range(N - 1, -1, -1)]):
        found = made.predict(DataLoader(alone, 3, sampler=order), "a")
        assert np.allclose(found, every[order], rtol=0, atol=1e-6)
    found = made.predict(DataLoader(alone, 3, shuffle=True), "a")  # whose order nobody knows
    assert np.allclose(found, every, rtol=0, atol=1e-6)


# Held-out samples


@pytest.mark.parametrize("seed", range(20))
def test_no_class_vanishes_from_training(seed) -> None:
    classes = torch.tensor([0] * 57 + [1, 2, 2])
    rows = torch.arange(60)
    learned, held = hold_out(rows, 30, torch.Generator().manual_seed(seed), classes)
    assert held is not None
    assert len(held) == 30
    assert sorted([*learned.tolist(), *held.tolist()]) == rows.tolist()
    assert set(classes[learned].tolist()) == {0, 1, 2}


def test_a_draw_that_leaves_every_class_its_share_stays_what_it_was() -> None:
    rows, classes = torch.arange(100), torch.arange(100) % 2
    for seed in range(5):
        before, after = (
            hold_out(rows, 10, torch.Generator().manual_seed(seed), some)
            for some in (None, classes)
        )
        assert all(map(torch.equal, before, after))


def test_single_samples_are_all_learned_from() -> None:
    rows = torch.arange(10)
    learned, held = hold_out(rows, 3, torch.Generator().manual_seed(0), torch.arange(10))
    assert held is None
    assert torch.equal(learned, rows)


# Numbers


def test_values_that_vary_little_about_a_large_mean() -> None:
    y = 1.7e9 + 50 * VALUES
    made = learner(iterations=300, lr=0.05).fit(X, y, task="a")
    answers = made.predict(X, "a")
    assert answers.dtype == np.float64
    assert made.score(X, y, task="a") > 0.99
    with torch.no_grad():
        alone = made.export("a")(torch.as_tensor(X))[:, 0].numpy()
    assert np.allclose(alone, answers, rtol=0, atol=1e-3)


def test_they_come_back_from_a_file(tmp_path) -> None:
    made = learner(iterations=3).fit(X, 1.7e9 + 50 * VALUES, task="a")
    made.save(tmp_path / "saved")
    again = ContinualLearner.load(tmp_path / "saved", nn.Linear(3, 2))
    assert np.array_equal(again.predict(X, "a"), made.predict(X, "a"))


@pytest.mark.parametrize("iterations", [70, 30])
def test_the_last_updates_of_a_fit_count(iterations) -> None:
    """The look at 50 would throw away the twenty after it; of 30, none would be looked at."""
    made = learner(iterations=iterations, lr=0.003, validation=0.25)
    made.fit(X, VALUES, task="a", validation=(X, VALUES))
    whole = learner(iterations=iterations, lr=0.003, validation=0).fit(X, VALUES, task="a")
    assert np.array_equal(made.predict(X, "a"), whole.predict(X, "a"))


def test_a_large_held_out_set_is_looked_at_once() -> None:
    made = learner(iterations=20, batch_size=2, lr=10.0)
    many = np.repeat(X, 10, axis=0), np.repeat(VALUES, 10)
    before = made.fit(X, VALUES, task="a", validation=many)
    assert before.summary().splitlines()[1].split()[-1] == "20"


def test_flags_in_bytes_can_be_learned() -> None:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 20, np.uint8)
    y = x[:, 0] ^ x[:, 1]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    made = ContinualLearner(model, None, iterations=400, lr=0.02).fit(x, y, task="a")
    assert made.score(x, y, task="a") == 1.0


def test_the_scale_of_bytes_is_settled_by_the_first_fit_and_kept_in_the_file(tmp_path) -> None:
    images = learner().fit(BYTES, Y, task="a")
    assert np.array_equal(images.predict(BITS, "a"), images.predict(BITS / 255, "a"))
    flags = learner().fit(BITS, Y, task="a")
    images.save(tmp_path / "images")
    flags.save(tmp_path / "flags")
    again = ContinualLearner.load(tmp_path / "images", nn.Linear(3, 2))
    with pytest.raises(DataError, match="bytes, divided by 255"):
        again.predict(BYTES.astype(np.float32), "a")
    again = ContinualLearner.load(tmp_path / "flags", nn.Linear(3, 2))
    with pytest.raises(DataError, match="flags"):
        again.predict(BYTES, "a")
    measured = learner().fit(BYTES.astype(np.float32), Y, task="a")  # at once on a scale of 255
    assert np.array_equal(
        measured.predict(BYTES, "a"), measured.predict(BYTES.astype(np.float32), "a")
    )


def test_labels_that_no_one_format_holds_come_back_as_integers() -> None:
    y = np.array([-1, 2**63], dtype=object)[Y]
    made = learner().fit(X, y, task="a").fit(X, Y.astype(np.uint64) + 2**63, task="b")
    assert {type(label) for label in made.predict(X, "a").tolist()} == {int}
    assert {type(label) for label in made.predict(X, "b").tolist()} == {int}
    assert made.classes().tolist() == [-1, 2**63, 2**63 + 1]


def test_columns_are_found_by_name_where_they_are_asked(tmp_path) -> None:
    made = learner().fit(Frame.of(X, "abc"), Y, task="a")
    made.save(tmp_path / "saved")
    for each in (made, ContinualLearner.load(tmp_path / "saved", nn.Linear(3, 2))):
        other = Frame.of(X[:, [1, 2, 0]], "bca")
        assert np.array_equal(each.predict_proba(other, "a"), made.predict_proba(X, "a"))
        with pytest.raises(DataError, match="missing: c"):
            each.predict(Frame.of(X, "abd"), "a")
        with pytest.raises(DataError, match="must be numbers; got 'a' of object"):
            each.predict(Frame({"a": X[:, 0].astype(object), "b": X[:, 1], "c": X[:, 2]}), "a")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_of_libraries(library) -> None:
    frames = pytest.importorskip(library)
    table = {name: X[:, place] for place, name in enumerate("abc")}
    made = learner().fit(frames.DataFrame(table), frames.Series(Y), task="a")
    assert np.array_equal(
        made.predict(frames.DataFrame(table)[["c", "a", "b"]], "a"), made.predict(X, "a")
    )
    with pytest.raises(DataError, match="must be numbers; got 'b' of"):
        made.predict(frames.DataFrame({**table, "b": ["x"] * N}), "a")


# Likelihoods


def test_a_later_task_out_of_the_first_one_s_range_is_learned(tmp_path) -> None:
    low, rng = X.min(axis=0), np.random.default_rng(0)
    scaled = (X - low) / (X.max(axis=0) - low)
    later = scaled + [1.5, -0.7, 0.0] + 0.01 * rng.standard_normal(X.shape)
    made = learner(infer_task="likelihood", iterations=60)
    made.fit(scaled, Y, task="a").fit(later, Y, task="b")
    made.save(tmp_path / "saved")
    for each in (made, ContinualLearner.load(tmp_path / "saved", nn.Linear(3, 2))):
        assert set(each.predict_task(scaled).tasks) == {"a"}
        assert set(each.predict_task(later).tasks) == {"b"}
        with pytest.raises(DataError, match="range of the first ones"):
            each.fit(later + 50, Y, task="b")


class OfAnyLength(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x.mean(dim=1, keepdim=True))


def test_lengths_that_differ_are_told_under_likelihood_and_learned_without() -> None:
    several = DataLoader(ragged(), 5, collate_fn=padded)
    few = {"iterations": 3, "batch_size": 8}
    without = ContinualLearner(OfAnyLength(), None, **few).fit(several, task="a")
    assert without.predict(several, "a").shape == (N,)
    made = ContinualLearner(OfAnyLength(), "likelihood", **few)
    with pytest.raises(DataError, match=r"one shape; got \(2,\), where they had \(3,\)"):
        made.fit(several, task="a")
    made.fit(X, Y, task="a").fit(X + 9, Y, task="b")
    with pytest.raises(DataError, match=r"one shape; got \(6,\), where they had \(3,\)"):
        made.predict(np.concatenate([X, X], axis=1))
