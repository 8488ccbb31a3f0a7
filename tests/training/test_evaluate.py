from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import Tensor

from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Part
from hypermnesia.methods.base import Method, Prediction
from hypermnesia.training import Evaluation, evaluate

# Task 1 of two tasks with 2 and 3 classes; the input of a sample is its own row number.
LABELS = torch.tensor([0, 1, 2, 0, 1])
PART = Part(torch.arange(5.0)[:, None], LABELS, task=1)


def answering(
    scenario: ScenarioName, columns: list[int], tasks: list[int] | None
) -> tuple[Method, list[int | None]]:
    """A method that gives hand-made answers, and the tasks it is told."""
    told: list[int | None] = []
    width = max(columns) + 1

    def predict(x: Tensor, task: int | None, asked: ScenarioName) -> Prediction:
        assert asked == scenario
        told.append(task)
        rows = x[:, 0].long()
        scores = torch.nn.functional.one_hot(torch.tensor(columns)[rows], width).float()
        return Prediction(scores, None if tasks is None else torch.tensor(tasks)[rows])

    method = SimpleNamespace(scenario=Scenario(scenario, (2, 3)), predict=predict)
    return cast(Method, method), told


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_task_scenario_gives_the_task_and_counts_within_the_head(batch_size: int) -> None:
    method, told = answering("task", [0, 1, 2, 1, 1], [1] * 5)
    assert evaluate(method, PART, "task", batch_size) == Evaluation(80.0, None)
    assert set(told) == {1}


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_class_scenario_counts_over_all_classes(batch_size: int) -> None:
    method, told = answering("class", [2, 3, 4, 0, 1], [1, 1, 1, 0, 0])
    assert evaluate(method, PART, "class", batch_size) == Evaluation(60.0, 60.0, (2, 3))
    assert set(told) == {None}


def test_a_scenario_of_its_own_is_asked_for_whatever_the_training() -> None:
    method, told = answering("domain", [0, 1, 2, 0, 1], [0, 1, 0, 1, 0])
    method.scenario = Scenario("task", (2, 3))
    assert evaluate(method, PART, "domain") == Evaluation(100.0, 40.0, (3, 2))
    assert set(told) == {None}


def test_domain_scenario_shares_labels_whichever_task_answers() -> None:
    method, told = answering("domain", [0, 1, 2, 0, 1], [0, 1, 0, 1, 0])
    assert evaluate(method, PART, "domain") == Evaluation(100.0, 40.0, (3, 2))
    assert set(told) == {None}


def test_a_network_that_knows_no_tasks_has_no_inference() -> None:
    method, _ = answering("class", [2, 3, 4, 2, 3], None)
    assert evaluate(method, PART, "class") == Evaluation(100.0, None)


def test_no_graph_is_built() -> None:
    method, _ = answering("class", [2, 3, 4, 2, 3], None)
    answer, enabled = method.predict, []

    def predict(x: Tensor, task: int | None, asked: ScenarioName) -> Prediction:
        enabled.append(torch.is_grad_enabled())
        return answer(x, task, asked)

    method.predict = predict  # type: ignore[method-assign]
    evaluate(method, PART, "class")
    assert enabled == [False]
