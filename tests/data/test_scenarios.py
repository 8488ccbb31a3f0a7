from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch

from hypermnesia.data.scenarios import Scenario, scenario_name
from hypermnesia.errors import ConfigError

HEADS = (2, 3, 1)
Y = torch.tensor([1, 0, 2, 0])
TASK = torch.tensor([0, 1, 1, 2])


def scenario(name: str) -> Scenario:
    built = Scenario(scenario_name(name))
    for outputs in HEADS:
        built = built.add(outputs)
    return built


@contextmanager
def counting() -> Iterator[dict[str, int]]:
    """How often torch is asked for a new tensor."""
    made: dict[str, int] = {}

    def counted(name: str) -> Callable[..., torch.Tensor]:
        real = getattr(torch, name)

        def call(*args: object, **kwargs: object) -> torch.Tensor:
            made[name] = made.get(name, 0) + 1
            return real(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("tensor", "zeros", "full"):
            patch.setattr(torch, name, counted(name))
        yield made


@pytest.mark.parametrize(
    ("name", "columns", "labels", "active"),
    [
        ("task", 6, [1, 2, 4, 5], ["110000", "001110", "001110", "000001"]),
        ("domain", 3, [1, 0, 2, 0], ["110", "111", "111", "100"]),
        ("class", 6, [1, 2, 4, 5], ["111111"] * 4),
    ],
)
def test_columns_labels_and_active_with_unequal_heads(name, columns, labels, active) -> None:
    built = scenario(name)
    assert built.heads == HEADS
    assert built.columns == columns
    assert built.labels(Y, TASK).tolist() == labels
    rows = ["".join(str(int(cell)) for cell in row) for row in built.active(TASK)]
    assert rows == active


@pytest.mark.parametrize("name", ["task", "domain", "class"])
def test_right_answer_is_always_a_candidate(name: str) -> None:
    built = scenario(name)
    columns, active = built.labels(Y, TASK), built.active(TASK)
    assert active.gather(1, columns[:, None]).all()
    for index, task in enumerate(TASK.tolist()):
        candidates = torch.arange(built.columns)[built.candidates(task)]
        assert active[index].nonzero().squeeze(1).tolist() == candidates.tolist()


@pytest.mark.parametrize("name", ["task", "domain", "class"])
def test_a_later_task_moves_no_earlier_label(name: str) -> None:
    before, after = scenario(name), scenario(name).add(4)
    assert torch.equal(before.labels(Y, TASK), after.labels(Y, TASK))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("task", [[1, 2, None, None, None, None], [None, None, 4, 5, 6, None]]),
        ("domain", [[1, 2, None], [4, 5, 6]]),
        ("class", [[1, 2, None, None, None, None], [None, None, 4, 5, 6, None]]),
    ],
)
def test_scores_of_own_heads_are_placed_and_the_rest_is_no_answer(name, expected) -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0, 9.0], [4.0, 5.0, 6.0, 9.0]])
    placed = scenario(name).place(scores, torch.tensor([0, 1]))
    wanted = [[-torch.inf if value is None else float(value) for value in row] for row in expected]
    assert placed.tolist() == wanted


@pytest.mark.parametrize("name", ["domain", "class"])
def test_what_is_placed_is_labelled_as_the_scenario_labels(name: str) -> None:
    built = scenario(name)
    own = torch.nn.functional.one_hot(Y, 3).float()
    assert torch.equal(built.place(own, TASK).argmax(1), built.labels(Y, TASK))


def test_the_same_heads_under_another_name() -> None:
    assert scenario("task").named("class") == scenario("class")
    one = scenario("domain")
    assert one.named("domain") is one


def test_no_task_no_columns() -> None:
    assert [Scenario(name).columns for name in ("task", "domain", "class")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("alias", "name"),
    [("CL1", "task"), ("til", "task"), ("2", "domain"), ("Domain-IL", "domain"), ("CIL", "class")],
)
def test_aliases(alias: str, name: str) -> None:
    assert scenario_name(alias) == name


@pytest.mark.parametrize(("typo", "meant"), [("tsak", "task"), ("domian", "domain")])
def test_typo_gets_a_suggestion(typo: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{meant}'"):
        scenario_name(typo)


def test_tables_are_made_once_and_are_no_part_of_the_identity() -> None:
    asked, fresh = scenario("task"), scenario("task")
    with counting() as made:
        for _ in range(3):
            asked.labels(Y, TASK)
            asked.active(TASK)
            asked.place(torch.rand(4, 3), TASK)
    assert made == {"tensor": 1, "zeros": 1, "full": 1}
    assert asked == fresh
    assert hash(asked) == hash(fresh)
    assert asked.add(4) == fresh.add(4)
