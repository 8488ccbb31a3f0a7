"""Rows drawn over (task, chunk): unbiased, and repeatable from a saved run."""

from __future__ import annotations

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from regularizer_cases import Case, World, assert_close, cases, closed, judge
from torch import Tensor

from hypermnesia.errors import ConfigError
from hypermnesia.regularization import output
from hypermnesia.regularization import rows as rows_module
from hypermnesia.regularization.output import REGULARIZERS, ClosedFormRegularizer
from hypermnesia.regularization.output import RegularizerSettings as Settings
from hypermnesia.regularization.rows import RowDraws, RowsRegularizer, auto
from hypermnesia.seeding import Generators

SIX = Case((5,), "elu", "even", 9, 3, 3, (20, 7), (2, 3, 2, 4, 2, 5, 2), 0.3, 0)
LAYERS = Case((5,), "tanh", "layer", 9, 3, 3, (20, 7), (2, 3, 4), 0.3, 0, from_zero=True)


def of_rows(world: World, rows: int, seed: int = 0) -> RowsRegularizer:
    return RowsRegularizer(*world[:2], rows, Generators(seed))


def every_start(draws: RowDraws, seed: int = 0) -> list[Tensor]:
    """The rows drawn from each start, which are equally likely, at some turns of the tasks."""
    turns = torch.randint(100, (len(draws._sizes),), generator=torch.Generator().manual_seed(seed))
    return [draws.at(start, turns) for start in torch.arange(draws.weights)]


@pytest.mark.parametrize("case", [SIX, LAYERS], ids=["even", "layers, from zero"])
@pytest.mark.parametrize("rows", [1, 4])
def test_mean_over_all_starts_is_the_whole(case: Case, rows: int) -> None:
    world = case.world(torch.float64)
    regularizer, point = of_rows(world, rows), world[2]
    starts = every_start(regularizer.draws)
    value, pull = torch.zeros(()), {name: torch.zeros_like(p) for name, p in point.items()}
    for drawn in starts:
        part, gradient = judge(lambda *at, drawn=drawn: regularizer.of(drawn, *at), point)
        value = value + part / len(starts)
        pull = {name: pull[name] + gradient[name] / len(starts) for name in pull}
    assert_close((value, pull), closed(world), 1e-11)


@settings(max_examples=40, deadline=None)
@given(cases, st.integers(1, 40), st.integers(0, 99))
def test_draws_of_all_starts_together_are_the_whole(case: Case, rows: int, seed: int) -> None:
    """Also where tasks have chunks of several lengths, of which some are met several times."""
    world = case.world(torch.float64)
    regularizer = of_rows(world, rows)
    drawn = torch.cat(every_start(regularizer.draws, seed))
    assert_close(judge(lambda *at: regularizer.of(drawn, *at), world[2]), closed(world), 1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@settings(max_examples=25, deadline=None)
@given(cases, st.integers(1, 12), st.floats(0, 2))
def test_few_rows_one_by_one_are_what_their_products_make(
    dtype: torch.dtype, case: Case, rows: int, beta: float
) -> None:
    world = case.world(dtype)
    regularizer = of_rows(world, rows)
    drawn = regularizer.draws(Generators(1)["rows"])
    found = []
    for way in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(output, "few", lambda *_sizes, way=way: way)
            gradients = {name: torch.ones_like(p) for name, p in world[2].items()}
            found.append((regularizer.of(drawn, world[2], gradients, beta), gradients))
    assert_close(*found, 1e-11 if dtype is torch.float64 else 1e-4)


@pytest.mark.parametrize(("rows", "width", "is_few"), [(64, 701, True), (281, 701, False)])
def test_few_rows_are_fewer_than_features(rows: int, width: int, is_few: bool) -> None:
    assert output.few(rows, width) == is_few


def test_other_conditions_are_protected_in_the_same_way() -> None:
    hypernet, snapshot, point = world = SIX.world(torch.float64)
    regularizer, exact = of_rows(world, 5), ClosedFormRegularizer(hypernet, snapshot)
    drawn = torch.cat(every_start(regularizer.draws))
    for either in (regularizer, exact):
        either.protect(snapshot.conditions.flip(0) + 1)
    found = judge(lambda *at: regularizer.of(drawn, *at), point)
    assert_close(found, judge(exact, point), 1e-11)


def test_each_task_has_its_share() -> None:
    lengths = [(9, 9, 9, 3), (9, 9, 9, 9), (9, 9, 9, 6)]
    draws, generator = RowDraws(torch.tensor(lengths), 7), torch.Generator().manual_seed(0)
    for _ in range(50):
        found = torch.bincount(draws(generator) // 4, minlength=3)
        for number, used in zip(found.tolist(), lengths, strict=True):
            assert abs(number - 7 * sum(used) / 99) < 1


def test_a_call_judges_the_rows_drawn() -> None:
    world = SIX.world(torch.float64)
    regularizer, twin = of_rows(world, 5, seed=5), of_rows(world, 5)
    stream, values = Generators(5)["rows"], set()
    for _ in range(4):
        got, drawn = judge(regularizer, world[2]), twin.draws(stream)
        wanted = judge(lambda *at, drawn=drawn: twin.of(drawn, *at), world[2])
        assert torch.equal(got[0], wanted[0])
        values.add(got[0].item())
    assert len(values) == 4


@pytest.mark.parametrize("rows", [1000, "auto"])
def test_no_number_is_drawn_for_all_rows(rows: int | str) -> None:
    hypernet, snapshot, point = world = SIX.world(torch.float64)
    generators = Generators(0)
    made = REGULARIZERS["closed"](hypernet, snapshot, Settings(rows=rows), generators)
    assert_close(judge(made, point), closed(world), 0)
    assert not generators.state_dict()


def test_auto_draws_where_rows_are_many_and_says_so_once(monkeypatch, caplog) -> None:
    assert [auto(n, 7500) for n in (8192, 8193, 28116)] == [8192, 2048, 2048]
    assert auto(30_000, 42_000) == 30_000
    monkeypatch.setattr(rows_module, "DRAWN", 4)
    hypernet, snapshot, _ = SIX.world(torch.float64)  # 26 rows, 5 of the last task
    said = []
    for few in (26, 25, 20):
        monkeypatch.setattr(rows_module, "FEW", few)
        with caplog.at_level(logging.INFO):
            made = REGULARIZERS["closed"](hypernet, snapshot, Settings(rows="auto"), Generators(0))
        assert isinstance(made, RowsRegularizer) == (few < 26)
        said.append(caplog.text)
        caplog.clear()
    assert "4 of 26 rows" in said[1]
    assert said[0] == said[2] == ""


@pytest.mark.parametrize("wrong", [0, "some", 1.5])
def test_what_is_no_number_of_rows_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Settings).validate_python({"rows": wrong})


@pytest.mark.parametrize("kind", ["direct", "sampled"])
def test_rows_go_with_the_closed_form(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"regularizer\.rows goes with"):
        Settings(kind=kind, rows=8, subset=2 if kind == "sampled" else None)
