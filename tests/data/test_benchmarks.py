from dataclasses import replace

import pytest
import torch

from hypermnesia.data import benchmarks as split
from hypermnesia.data.benchmarks import (
    BENCHMARKS,
    BenchmarkSettings,
    Permutation,
    Rotation,
    make_tasks,
)
from hypermnesia.data.datasets import SOURCES, load
from hypermnesia.data.types import ImageData, Part, Task
from hypermnesia.errors import ConfigError
from hypermnesia.seeding import Generators

DEFAULT = BenchmarkSettings()


def everything(part: Part) -> torch.Tensor:
    return part.batch(torch.arange(len(part))).x


def original_classes(task: Task, part: Part, source_y: torch.Tensor) -> list[set[int]]:
    """Classes in the data set of the samples of each label."""
    assert part.rows is not None
    return [set(source_y[part.rows[part.y == label]].tolist()) for label in range(task.outputs)]


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """CIFAR-like data of four images a class instead of files; lists what was loaded."""
    loaded = []

    def fake(name: str, data_dir: object) -> ImageData:
        loaded.append(name)
        classes = SOURCES[name].classes
        y = torch.arange(4 * classes) % classes
        x = y.to(torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32)
        return ImageData(x, y, x[:classes], y[:classes], classes, 255.0)

    monkeypatch.setattr(split, "load", fake)
    return loaded


def test_split_digits_covers_every_sample_once() -> None:
    data, tasks = load("digits"), make_tasks("split-digits", DEFAULT, seed=0)
    assert [task.name for task in tasks] == [f"digits {c}-{c + 1}" for c in (0, 2, 4, 6, 8)]
    rows = torch.cat([task.train.rows for task in tasks])
    assert rows.sort().values.tolist() == list(range(len(data.train_y)))
    for index, task in enumerate(tasks):
        expected = [{2 * index}, {2 * index + 1}]
        assert original_classes(task, task.train, data.train_y) == expected
        assert original_classes(task, task.test, data.test_y) == expected
        assert (task.index, task.outputs, task.validation) == (index, 2, None)


def test_inputs_are_the_images_scaled_to_one_and_stored_once() -> None:
    data, tasks = load("digits"), make_tasks("split-digits", DEFAULT, seed=0)
    batch = tasks[2].train.batch(torch.tensor([0, 3]))
    assert torch.equal(batch.x, data.train_x[tasks[2].train.rows[[0, 3]]] / 16.0)
    assert batch.task.tolist() == [2, 2]
    assert len({task.train.x.data_ptr() for task in tasks}) == 1
    assert tasks[0].train.x.dtype == torch.uint8


def test_class_order_is_its_own_seed() -> None:
    data = load("digits")

    def order(class_order: int | None, seed: int) -> list[int]:
        tasks = make_tasks("split-digits", replace(DEFAULT, class_order=class_order), seed)
        groups = [original_classes(task, task.test, data.test_y) for task in tasks]
        return [label for task in groups for classes in task for label in classes]

    assert order(None, seed=5) == list(range(10))
    assert sorted(order(1, seed=0)) == list(range(10))
    assert order(1, seed=0) == order(1, seed=9) != order(None, seed=0)
    assert order(1, seed=0) != order(2, seed=0)


@pytest.mark.parametrize("name", ["split-digits", "perm-digits"])
def test_validation_is_disjoint_from_training_and_drawn_by_seed(name: str) -> None:
    settings = replace(DEFAULT, validation=30)
    plain = make_tasks(name, DEFAULT, seed=0)
    tasks, again, other = (make_tasks(name, settings, seed=seed) for seed in (0, 0, 1))
    for task, whole, same, different in zip(tasks, plain, again, other, strict=True):
        train, held_out = set(task.train.rows.tolist()), set(task.validation.rows.tolist())
        assert len(held_out) == 30
        assert not train & held_out
        assert train | held_out == set(whole.train.rows.tolist())
        assert held_out == set(same.validation.rows.tolist())
        assert held_out != set(different.validation.rows.tolist())
        assert task.validation.x.data_ptr() == task.train.x.data_ptr() != task.test.x.data_ptr()
        assert torch.equal(everything(task.test), everything(whole.test))


def test_no_validation_image_is_a_test_image() -> None:
    tasks = make_tasks("split-digits", replace(DEFAULT, validation=30), seed=0)
    held_out = {x.numpy().tobytes() for task in tasks for x in everything(task.validation)}
    test = {x.numpy().tobytes() for task in tasks for x in everything(task.test)}
    assert len(held_out) == 150
    assert not held_out & test


@pytest.mark.parametrize("name", ["split-digits", "perm-digits"])
def test_labels_belong_to_their_images(name: str) -> None:
    data, tasks = load("digits"), make_tasks(name, replace(DEFAULT, validation=30), seed=0)
    for task in tasks:
        first = 2 * task.index if name == "split-digits" else 0
        expected = [{first + label} for label in range(task.outputs)]
        assert original_classes(task, task.train, data.train_y) == expected
        assert original_classes(task, task.validation, data.train_y) == expected


def test_permutations_of_the_padded_image() -> None:
    tasks = make_tasks("perm-digits", BenchmarkSettings(tasks=3, padding=2), seed=4)
    data = load("digits")
    first = everything(tasks[0].test)
    assert first.shape == (355, *BENCHMARKS["perm-digits"].sample_shape(2)) == (355, 1, 12, 12)
    assert torch.equal(first[:, :, 2:-2, 2:-2], data.test_x / 16.0)
    assert first.sum() == (data.test_x / 16.0).sum()
    for task in tasks[1:]:
        for part, plain in ((task.test, tasks[0].test), (task.train, tasks[0].train)):
            order = task.test.transform.order
            assert order.sort().values.tolist() == list(range(144))
            assert torch.equal(everything(part).flatten(1), everything(plain).flatten(1)[:, order])
            assert torch.equal(part.y, plain.y)
    assert not torch.equal(tasks[1].train.transform.order, tasks[2].train.transform.order)


def test_a_permutation_is_undone_by_its_inverse() -> None:
    x = torch.arange(24.0).view(2, 3, 2, 2)
    permutation = Permutation(torch.randperm(12))
    assert not torch.equal(permutation(x), x)
    assert torch.equal(permutation.inverse(permutation(x)), x)


def test_permutations_do_not_depend_on_how_many_tasks_follow() -> None:
    few = make_tasks("perm-digits", BenchmarkSettings(tasks=2), seed=4)
    many = make_tasks("perm-digits", BenchmarkSettings(tasks=12, validation=10), seed=4)
    other = make_tasks("perm-digits", BenchmarkSettings(tasks=2), seed=5)
    assert len(many) == 12
    named = torch.randperm(64, generator=Generators(4)["permutation/1"])
    assert torch.equal(few[1].train.transform.order, named)
    assert torch.equal(few[1].train.transform.order, many[1].train.transform.order)
    assert not torch.equal(few[1].train.transform.order, other[1].train.transform.order)


def test_permuted_tasks_share_one_uint8_storage() -> None:
    tasks = make_tasks("perm-digits", replace(DEFAULT, validation=10), seed=0)
    assert {task.train.x.dtype for task in tasks} == {torch.uint8}
    assert len({part.x.data_ptr() for t in tasks for part in (t.train, t.validation)}) == 1
    assert len({task.test.x.data_ptr() for task in tasks}) == 1


def test_paper_sequence_is_cifar10_then_half_of_cifar100(colours: list[str]) -> None:
    tasks = make_tasks("split-cifar10-100", DEFAULT, seed=0)
    assert [len(task.train) for task in tasks] == [40] * 6
    assert [task.outputs for task in tasks] == [10] * 6
    assert tasks[3].name == "cifar100 20-29"
    values = (everything(tasks[3].train) * 255).round().unique().tolist()
    assert values == list(range(20, 30))
    assert colours == ["cifar10", "cifar100"]


def test_only_the_data_that_are_needed_are_loaded(colours: list[str]) -> None:
    make_tasks("split-cifar10-100", replace(DEFAULT, tasks=1), seed=0)
    assert colours == ["cifar10"]


@pytest.mark.parametrize("name", ["split-cifar10", "split-cifar100"])
def test_other_colour_benchmarks(colours: list[str], name: str) -> None:
    tasks = make_tasks(name, replace(DEFAULT, class_order=3), seed=0)
    assert tuple(task.outputs for task in tasks) == BENCHMARKS[name].classes
    seen = torch.cat([everything(task.train).mul(255).round().unique() for task in tasks])
    assert seen.sort().values.tolist() == list(range(SOURCES[colours[0]].classes))


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_facts_known_before_loading(name: str) -> None:
    benchmark = BENCHMARKS[name]
    assert benchmark.name == name
    assert benchmark.count(DEFAULT) == benchmark.default_tasks
    if "padding" in benchmark.used:
        channels, height, width = benchmark.sample_shape()
        assert benchmark.sample_shape(3) == (channels, height + 6, width + 6)


@pytest.mark.parametrize("shape", [(), (5,), (7, 2)])
def test_samples_need_not_be_images(shape: tuple[int, ...]) -> None:
    benchmark = replace(BENCHMARKS["split-digits"], shape=shape)
    assert benchmark.sample_shape() == shape
    assert benchmark.count(DEFAULT) == 5


@pytest.mark.parametrize("name", ["split-digits", "perm-digits"])
def test_facts_are_those_of_the_tasks(name: str) -> None:
    settings = replace(DEFAULT, tasks=4)
    tasks = make_tasks(name, settings, seed=0)
    assert tuple(task.outputs for task in tasks) == BENCHMARKS[name].classes[:4]
    assert everything(tasks[1].test).shape[1:] == BENCHMARKS[name].sample_shape()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("split-mnist", BenchmarkSettings(tasks=6), "from 1 to 5; got 6"),
        ("perm-mnist", BenchmarkSettings(tasks=0), "at least 1; got 0"),
        ("split-mnist", BenchmarkSettings(validation=-1), "at least 0; got -1"),
        ("perm-mnist", BenchmarkSettings(padding=-1), "from 0 to 28; got -1"),
        ("split-cifar10", BenchmarkSettings(padding=2), "no use for 'padding'"),
        ("perm-mnist", BenchmarkSettings(class_order=0), "no use for 'class_order'"),
        ("split-digits", BenchmarkSettings(validation=289), "289 of the 289"),
        ("perm-digits", BenchmarkSettings(validation=1442), "1442 of the 1442"),
        ("split-mnst", DEFAULT, "did you mean 'split-mnist'"),
    ],
)
def test_impossible_settings_are_refused(name: str, settings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_tasks(name, settings, seed=0)


def test_all_but_one_sample_can_be_held_out() -> None:
    [task] = make_tasks("split-digits", BenchmarkSettings(tasks=1, validation=288), seed=0)
    assert (len(task.train), len(task.validation)) == (1, 288)


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    make_tasks("perm-digits", BenchmarkSettings(tasks=2, validation=5), seed=0)
    make_tasks("split-digits", BenchmarkSettings(class_order=1, validation=5), seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_rotations_turn_against_the_clock_and_back() -> None:
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Rotation(90.0)(x), torch.rot90(x, 1, (2, 3)), atol=1e-5, rtol=0)
    wide = x[:, :, :4]
    torch.testing.assert_close(Rotation(180.0)(wide), wide.flip(2, 3), atol=1e-5, rtol=0)
    assert torch.equal(Rotation(0.0)(x), x)


@pytest.mark.parametrize("name", ["rotated-digits", "sine"])
def test_what_a_task_draws_depends_on_the_seed_and_its_place(name: str) -> None:
    few = make_tasks(name, BenchmarkSettings(tasks=2), seed=4)
    many = make_tasks(name, BenchmarkSettings(tasks=12), seed=4)
    other = make_tasks(name, BenchmarkSettings(tasks=2), seed=5)
    assert [task.name for task in many[:2]] == [task.name for task in few]
    assert len({task.name for task in (*many, *other)}) == 14
    assert torch.equal(everything(many[1].train), everything(few[1].train))


def test_sine_waves_are_those_of_their_names() -> None:
    for task in make_tasks("sine", BenchmarkSettings(tasks=3, validation=100), seed=0):
        amplitude, phase = map(float, task.name.removesuffix(")").split(" sin(x - "))
        assert 0.1 <= amplitude <= 5.0
        assert 0.0 <= phase <= 3.15
        assert task.validation is not None
        for part in (task.train, task.validation, task.test):
            assert part.x.abs().max() <= 5.0
            wanted = amplitude * torch.sin(everything(part) - phase)
            assert torch.allclose(part.y, wanted, atol=0.06)  # a name has two digits
