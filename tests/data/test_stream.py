from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hypermnesia.data.stream import BatchStream, each_once, flip_and_crop
from hypermnesia.data.types import Batch, Part
from hypermnesia.errors import ConfigError, DataError
from hypermnesia.seeding import Generators
from hypermnesia.tree import Tree

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=3)


def parts(lengths: list[int]) -> list[Part]:
    """Parts whose images are all different, each pixel naming its image."""
    made, first = [], 1
    for task, length in enumerate(lengths):
        x = torch.arange(first, first + length, dtype=torch.uint8)
        x = x[:, None, None, None].expand(length, 1, 4, 4).contiguous()
        made.append(Part(x, x[:, 0, 0, 0].long() % 3, task, scale=255.0))
        first += length
    return made


def names(batch: Batch) -> list[int]:
    return (batch.x.flatten(1).amax(1) * 255).round().int().tolist()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(lengths=sizes, batch_size=st.integers(1, 30), seed=st.integers(0, 99))
def test_every_sample_at_most_once_an_epoch_and_labels_stay_with_inputs(
    lengths: list[int], batch_size: int, seed: int
) -> None:
    total = sum(lengths)
    stream = BatchStream(parts(lengths), batch_size, generator(seed))
    task_of = [task for task, length in enumerate(lengths) for _ in range(length)]
    expected = min(batch_size, total)
    for _ in range(3):
        seen: Counter[int] = Counter()
        for _ in range(total // expected):
            batch = stream.next()
            assert len(batch) == expected
            assert batch.y.tolist() == [name % 3 for name in names(batch)]
            assert batch.task.tolist() == [task_of[name - 1] for name in names(batch)]
            seen.update(names(batch))
        assert set(seen.values()) == {1}
        assert len(seen) == total // expected * expected


def test_a_whole_epoch_is_drawn_when_batches_fit() -> None:
    stream = BatchStream(parts([8, 4]), 4, generator())
    assert sorted(name for _ in range(3) for name in names(stream.next())) == list(range(1, 13))


def test_epochs_are_shuffled_anew_and_by_seed() -> None:
    stream, other = (BatchStream(parts([20]), 20, generator(seed)) for seed in (0, 1))
    first, second = names(stream.next()), names(stream.next())
    assert first != second
    assert first != sorted(first)
    assert first != names(other.next())


@given(
    lengths=sizes,
    batch_size=st.integers(1, 12),
    before=st.integers(0, 8),
    seed=st.integers(0, 99),
    augmented=st.booleans(),
    order=st.sampled_from(["stream alone", "generators first", "generators last"]),
)
def test_restored_stream_continues_bit_equal(
    lengths: list[int], batch_size: int, before: int, seed: int, augmented: bool, order: str
) -> None:
    augment = flip_and_crop if augmented else None
    generators = Generators(seed)
    stream = BatchStream(parts(lengths), batch_size, generators["batches"], augment)
    for _ in range(before):
        stream.next()
    saved, saved_generators = stream.state_dict(), generators.state_dict()
    expected = [stream.next() for _ in range(10)]

    fresh = Generators(seed)
    if order == "generators first":
        fresh.load_state_dict(saved_generators)
    restored = BatchStream(parts(lengths), batch_size, fresh["batches"], augment)
    restored.load_state_dict(saved)
    if order == "generators last":
        fresh.load_state_dict(saved_generators)
    for batch in expected:
        again = restored.next()
        assert torch.equal(again.x, batch.x)
        assert torch.equal(again.y, batch.y)
        assert torch.equal(again.task, batch.task)
        assert again.x.dtype == torch.float32


def test_augmentation_goes_on_drawing_from_the_given_generator() -> None:
    stream = BatchStream(parts([1]), 1, generator(), flip_and_crop)  # nothing to shuffle
    assert len({stream.next().x.numpy().tobytes() for _ in range(20)}) > 1


def test_saving_and_restoring_leave_the_generator_where_it_was() -> None:
    own = generator()
    stream = BatchStream(parts([10]), 3, own)
    stream.next()
    position = own.get_state()
    stream.load_state_dict(stream.state_dict())
    assert torch.equal(own.get_state(), position)


def test_saved_state_does_not_follow_the_stream() -> None:
    stream = BatchStream(parts([10]), 3, generator())
    stream.next()
    saved = stream.state_dict()
    copy = {name: value.clone() for name, value in saved.items()}
    for _ in range(5):
        stream.next()
    assert all(torch.equal(saved[name], copy[name]) for name in copy)


def test_state_of_other_data_is_refused() -> None:
    saved = BatchStream(parts([10]), 3, generator()).state_dict()
    with pytest.raises(DataError, match="of 10 samples for 11 samples"):
        BatchStream(parts([11]), 3, generator()).load_state_dict(saved)


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    BatchStream(parts([10]), 3, generator(), flip_and_crop).next()
    assert torch.equal(before, torch.get_rng_state())


def test_impossible_streams_are_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size 0"):
        BatchStream(parts([10]), 0, generator())
    with pytest.raises(DataError, match="samples to draw from"):
        BatchStream([], 1, generator())


def test_each_once_is_every_sample_in_order_read_when_asked_for():
    read = []

    def note(x):
        read.append(len(x))
        return x

    parts = [
        Part(torch.arange(5.0)[:, None], torch.zeros(5, dtype=torch.int64), 0, transform=note),
        Part(torch.arange(5.0, 8.0)[:, None], torch.ones(3, dtype=torch.int64), 1, transform=note),
    ]
    batches = each_once(parts, 2)
    assert read == []
    first = next(batches)
    assert (first.x[:, 0].tolist(), read) == ([0.0, 1.0], [2])
    rest = list(batches)
    assert torch.cat([batch.x[:, 0] for batch in rest]).tolist() == [2, 3, 4, 5, 6, 7]
    assert [set(batch.task.tolist()) for batch in rest] == [{0}, {0}, {1}, {1}]


def texts(task: int, n: int = 10) -> Part:
    """Ids, a mask and measurements of each sample, which name it."""
    first = torch.arange(10 * task, 10 * task + n)
    x: Tree = {
        "ids": first[:, None].expand(n, 3).contiguous(),
        "more": (first % 2 == 0, first.double(), (first * 2).to(torch.uint8)),
    }
    return Part(x, first % 3, task, scale=2.0)


def test_samples_of_several_tensors_stay_together() -> None:
    stream = BatchStream([texts(0), texts(1)], 5, generator())
    for _ in range(4):
        batch = stream.next()
        mask, floats, images = batch.x["more"]
        names = batch.x["ids"][:, 0]
        assert batch.x["ids"].shape == (5, 3)
        assert torch.equal(batch.y, names % 3)
        assert torch.equal(batch.task, names // 10)
        assert torch.equal(mask, names % 2 == 0)
        assert torch.equal(floats, names / 2)  # floats and bytes are scaled, ids are not
        assert torch.equal(images, names.float())
        assert {x.dtype for x in (floats, images)} == {torch.float32}
        assert (batch.x["ids"].dtype, mask.dtype) == (torch.int64, torch.bool)


def test_every_sample_of_several_tensors_is_given_once_and_again_after_a_pause() -> None:
    ids = [batch.x["ids"][:, 0] for batch in each_once([texts(0), texts(1)], 4)]
    assert torch.cat(ids).tolist() == list(range(20))
    stream = BatchStream([texts(0), texts(1)], 3, generator())
    stream.next()
    saved = stream.state_dict()
    expected = [stream.next().x["ids"] for _ in range(9)]
    other = BatchStream([texts(0), texts(1)], 3, generator(7))
    other.load_state_dict(saved)
    assert all(torch.equal(other.next().x["ids"], ids) for ids in expected)


def test_several_tensors_are_not_augmented() -> None:
    stream = BatchStream([texts(0)], 4, generator(), flip_and_crop)
    with pytest.raises(DataError, match="an augmentation needs inputs that are one tensor; got a"):
        stream.next()
