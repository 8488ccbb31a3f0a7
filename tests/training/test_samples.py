"""Images of the generative memory after each task: which, when, and how they come back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny_run import make_tasks

from hypermnesia.data.benchmarks import Permutation
from hypermnesia.data.types import Part, Task
from hypermnesia.errors import RunError
from hypermnesia.training import Phase
from hypermnesia.training.logs import SampleLog, read_samples, samples_file, spread_out

SHAPE = (1, 2, 2)


class Memory:
    """Gives noise around the task's number, in tenths, or tells no tasks apart."""

    def __init__(self, shape: tuple[int, ...] = SHAPE, *, mixed: bool = False) -> None:
        self.shape, self.mixed = shape, mixed

    @property
    def sampler(self) -> Memory:
        return self

    def samples(self, tasks, n, generators):
        return {
            task: (task or 0) / 10 + torch.rand(n, *self.shape, generator=generators[f"{task}"]) / 9
            for task in ([None] if self.mixed else tasks)
        }


def image_tasks(count: int) -> list[Task]:
    def part(task: int) -> Part:
        order = torch.tensor([1, 2, 3, 0])
        transform = Permutation(order) if task else None
        return Part(torch.zeros(1, *SHAPE), torch.zeros(1, dtype=torch.int64), task, 1.0, transform)

    return [Task(t, f"t{t}", 2, part(t), None, part(t)) for t in range(count)]


def log_all(folder: Path, memory: object, tasks: list[Task], seed: int = 0) -> list[str]:
    """The names of the files after all tasks are learned."""
    log = SampleLog(folder, memory, seed)
    log.on_start(tasks, 1)
    for index, task in enumerate(tasks):
        log.on_task_end(Phase(index, (task,), 1, tuple(tasks[: index + 1])), {})
    return sorted(path.name for path in folder.glob("*"))


@pytest.mark.parametrize(
    ("tasks", "most", "chosen"),
    [
        (1, 10, (0,)),
        (10, 10, tuple(range(10))),
        (11, 2, (0, 10)),
        (100, 4, (0, 33, 66, 99)),
        (12, 10, (0, 1, 2, 4, 5, 6, 7, 9, 10, 11)),
    ],
)
def test_tasks_are_chosen_evenly_from_the_first_to_the_last(tasks, most, chosen) -> None:
    assert spread_out(tasks, most) == chosen


def test_every_task_known_is_kept_after_each_one(tmp_path: Path) -> None:
    tasks = image_tasks(3)
    assert log_all(tmp_path / "s", Memory(), tasks) == [
        f"after_task_{n}.safetensors" for n in (1, 2, 3)
    ]
    for row in range(3):
        stored = safetensors.torch.load_file(samples_file(tmp_path / "s", row))
        assert set(stored) == {f"task_{n + 1}" for n in range(row + 1)}
        for task, x in read_samples(samples_file(tmp_path / "s", row), range(row + 1)).items():
            assert x.shape == (8, *SHAPE)
            assert x.dtype == torch.uint8
            mean = x.float().mean() / 255
            assert abs(float(mean) - task / 10 - 1 / 18) < 0.03


def test_a_tasks_permutation_is_undone(tmp_path: Path) -> None:
    class Fixed(Memory):
        def samples(self, tasks, n, generators):
            image = torch.tensor([0.0, 0.2, 0.4, 2.0]).view(1, *SHAPE).expand(n, *SHAPE)
            return {
                task: image if task == 0 else tasks_[task].train.transform(image) for task in tasks
            }

    tasks_ = image_tasks(2)
    log_all(tmp_path, Fixed(), tasks_)
    for x in read_samples(samples_file(tmp_path, 1), (0, 1)).values():
        assert x.flatten(1).tolist() == [[0, 51, 102, 255]] * 8


def test_draws_are_the_same_after_every_task_and_others_with_another_seed(tmp_path: Path) -> None:
    tasks = [replace(task, train=replace(task.train, transform=None)) for task in image_tasks(2)]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        log_all(tmp_path / name, Memory(), tasks, seed)
    first, last = (read_samples(samples_file(tmp_path / "a", row), (0,)) for row in (0, 1))
    assert torch.equal(first[0], last[0])
    a, b, c = (samples_file(tmp_path / name, 1).read_bytes() for name in "abc")
    assert a == b != c


def test_of_many_tasks_ten_are_kept(tmp_path: Path) -> None:
    names = log_all(tmp_path, Memory(), image_tasks(30))
    assert len(names) == 10
    chosen = spread_out(30)
    stored = safetensors.torch.load_file(samples_file(tmp_path, chosen[-1]))
    assert set(stored) == {f"task_{task + 1}" for task in chosen}


def test_a_memory_that_mixes_tasks_is_kept_as_one(tmp_path: Path) -> None:
    log_all(tmp_path, Memory(mixed=True), image_tasks(2))
    found = read_samples(samples_file(tmp_path, 1), (0, 1))
    assert list(found) == [None]


@pytest.mark.parametrize("memory", [object(), Memory((6,)), Memory((2, 4, 4))])
def test_nothing_is_kept_of_what_is_no_image(tmp_path: Path, memory: object) -> None:
    assert log_all(tmp_path / "s", memory, make_tasks(2)) == []
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"short", "[Hh]eader"),
        (safetensors.torch.save({"task_2": torch.zeros(1)}), "task_1"),
        (safetensors.torch.save({"task_1": torch.zeros(8, 1, 2, 2)}), "torch.float32"),
        (safetensors.torch.save({"task_1": torch.zeros(7, 1, 2, 2).byte()}), "no 8 images"),
        (safetensors.torch.save({"mixed": torch.zeros(8).byte()}), "no 8 images"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes, got: str) -> None:
    path = tmp_path / "after_task_1.safetensors"
    path.write_bytes(content)
    with pytest.raises(RunError, match=f"must hold samples; got .*{got}.*"):
        read_samples(path, (0,))


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"samples must be readable: .*No such file"):
        read_samples(tmp_path / "none", (0,))


def test_images_of_two_sizes_are_refused(tmp_path: Path) -> None:
    sizes = {f"task_{n}": torch.zeros(8, 1, n, n, dtype=torch.uint8) for n in (1, 2)}
    (tmp_path / "f").write_bytes(safetensors.torch.save(sizes))
    with pytest.raises(RunError, match="several sizes"):
        read_samples(tmp_path / "f", (0, 1))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file")
    with pytest.raises(RunError, match="folder of samples must be writable"):
        log_all(tmp_path / "s", Memory(), image_tasks(1))
