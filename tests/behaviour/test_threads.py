"""A learner in several threads: answers beside a fit are right, fits queue, nothing breaks."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from threading import Barrier

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hypermnesia import ContinualLearner
from hypermnesia.seeding import Generators

THREADS, ASKED = 8, 500
QUICK = {"iterations": 40, "batch_size": 16, "lr": 0.01}
Answer = np.ndarray


class Recurrent(nn.Module):
    """Torch batches no GRU over tasks: it goes task by task."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.GRU(2, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(x.view(-1, 4, 2))[0][:, -1])


def convolutions() -> nn.Module:
    first = nn.Unflatten(1, (1, 8)), nn.Conv1d(1, 3, 3), nn.BatchNorm1d(3), nn.ReLU()
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(18, 2))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 2))


MODELS = {"MLP": mlp, "batch-norm CNN": convolutions, "GRU": Recurrent}


def clouds(task: int, n: int = 48) -> tuple[np.ndarray, np.ndarray]:
    rng, y = np.random.default_rng(task), np.arange(n) % 2
    centres = 2 * rng.standard_normal((2, 8))
    return (centres[y] + 0.3 * rng.standard_normal((n, 8))).astype(np.float32), y + 2 * task


@cache
def _taught(model: str, way: str | None, tasks: int) -> ContinualLearner:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = ContinualLearner(MODELS[model](), way, **QUICK)
    for task in range(tasks):
        made.fit(*clouds(task), task=task)
    return made


def taught(model: str = "MLP", way: str | None = "entropy", tasks: int = 2) -> ContinualLearner:
    return copy.deepcopy(_taught(model, way, tasks))


def questions(made: ContinualLearner) -> list[Callable[[], Answer]]:
    """Few rows, with the task given and inferred."""
    x = np.concatenate([clouds(task, 2)[0] for task in range(2)])
    tasks = [0, 1] if made.settings.infer_task is None else [0, None, 1, None]
    return [lambda task=task: made.predict_proba(x, task) for task in tasks]


def asked(made: ContinualLearner) -> list[Answer]:
    return [question() for question in questions(made)]


def close(one: Answer, other: Answer) -> bool:
    # A row of a new task's labels may follow.
    return bool(np.allclose(one[:, :2], other[:, :2], rtol=1e-5, atol=1e-6))


def together(*jobs: Callable[[], object]) -> list[object]:
    """What jobs give that begin at once, each in a thread."""
    barrier = Barrier(len(jobs))

    def begun(job: Callable[[], object]) -> object:
        barrier.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        futures: list[Future[object]] = [pool.submit(begun, job) for job in jobs]
        return [future.result() for future in futures]


@pytest.mark.parametrize("model", MODELS)
def test_eight_threads_ask_beside_a_fit(model: str) -> None:
    made, alone = taught(model), taught(model)
    before = asked(made)
    alone.fit(*clouds(2), task=2)
    after = asked(alone)

    def ask() -> int:
        kinds = questions(made)
        wrong = 0
        for turn in range(ASKED):
            found, kind = kinds[turn % 4](), turn % 4
            wrong += not (close(found, before[kind]) or close(found, after[kind]))
        return wrong

    wrong = together(*[ask] * THREADS, lambda: made.fit(*clouds(2), task=2))[:-1]
    assert wrong == [0] * THREADS
    # Bit by bit what the fit gives alone, and nothing is broken.
    assert all(map(np.array_equal, asked(made), after))
    for each in (made, alone):
        each.fit(*clouds(3), task=3)
    assert all(map(np.array_equal, asked(made), asked(alone)))


@pytest.mark.parametrize("way", [None, "likelihood"])
def test_other_evidence_too(way: str | None) -> None:
    made = taught(way=way)
    before = asked(made)

    def ask() -> bool:
        return all(all(map(close, asked(made), before)) for _ in range(25))

    assert together(*[ask] * 4) == [True] * 4


def test_fits_of_one_learner_queue() -> None:
    made = taught(tasks=0)
    together(*(lambda task=task: made.fit(*clouds(task), task=task) for task in range(3)))
    assert sorted(made.tasks) == [0, 1, 2]
    for task in range(3):
        assert made.score(*clouds(task), task=task) > 0.9


def test_two_learners_learn_what_they_learn_alone() -> None:
    """Dropout draws from torch's one global generator, in each learner's name."""
    state = torch.get_rng_state()
    alone, one, other = (taught(tasks=0) for _ in range(3))
    fits = [lambda each=each: each.fit(*clouds(0), task=0) for each in (one, other)]
    together(*fits)
    alone.fit(*clouds(0), task=0)
    for each in (one, other):
        assert np.array_equal(
            each.predict_proba(clouds(0)[0], 0), alone.predict_proba(clouds(0)[0], 0)
        )
    assert torch.equal(state, torch.get_rng_state())


def test_a_global_stream_is_one_thread_s() -> None:
    def draw(generators: Generators) -> Tensor:
        drawn = []
        for _ in range(300):
            with generators.as_global("dropout"):
                drawn += [torch.rand(1), torch.rand(1)]
        return torch.cat(drawn)

    found = together(*(lambda: draw(Generators(0)) for _ in range(4)))
    assert all(torch.equal(each, draw(Generators(0))) for each in found)


def test_saved_while_fitting_is_the_last_whole_knowledge(tmp_path) -> None:
    made = taught()
    before = asked(made)

    def save() -> list[ContinualLearner]:
        for turn in range(4):
            made.save(tmp_path / str(turn))
        return [ContinualLearner.load(tmp_path / str(turn), mlp()) for turn in range(4)]

    saved, _ = together(save, lambda: made.fit(*clouds(2), task=2))
    after = asked(made)
    for each in saved:
        assert all(map(np.array_equal, asked(each), after if 2 in each.tasks else before))


def pickled(made: ContinualLearner) -> ContinualLearner:
    return pickle.loads(pickle.dumps(made))  # noqa: S301


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_has_a_life_of_its_own(copied) -> None:
    made = taught()
    before = asked(made)
    other = copied(made)
    with made._knowledge.lock:  # as a thread that asks
        assert together(lambda: asked(other))[0] is not None
    assert all(map(np.array_equal, asked(other), before))
    other.fit(*clouds(2), task=2)
    assert made.tasks == [0, 1]
    assert all(map(np.array_equal, asked(made), before))
