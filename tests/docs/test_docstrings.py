"""Docstrings of public functions tell errors and shapes; that there are any, the build checks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src/hypermnesia"
CALLED = ("__init__", "__post_init__", "__call__")
BARE = re.compile(r"Tensor( \| None)?")  # a type that says no shape, as those of jaxtyping do
SHAPE = re.compile(r"\([^)]*,[^)]*\)|scalar|shape")

Found = tuple[str, ast.FunctionDef, str]


def functions(node: ast.AST, owner: str = "", about: str = "") -> Iterator[Found]:
    """Public functions below a node, with names and docstrings: their own and their class's."""
    for each in node.body:
        if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
            yield from functions(each, f"{each.name}.", ast.get_docstring(each) or "")
        elif isinstance(each, ast.FunctionDef) and (
            each.name in CALLED or not each.name.startswith("_")
        ):
            own = ast.get_docstring(each) or ""
            yield owner + each.name, each, own + about


def public() -> list[Found]:
    return [
        (f"{path.relative_to(SOURCE)}: {name}", function, about)
        for path in sorted(SOURCE.rglob("*.py"))
        if "cli" not in path.parts
        for name, function, about in functions(ast.parse(path.read_text("utf-8")))
    ]


def hides_an_error(function: ast.FunctionDef, about: str) -> bool:
    raised = [each for each in ast.walk(function) if isinstance(each, ast.Raise) and each.exc]
    return bool(raised) and "aise" not in about


def hides_a_shape(function: ast.FunctionDef, about: str) -> bool:
    types = [each.annotation for each in (*function.args.args, *function.args.kwonlyargs)]
    written = [ast.unparse(each) for each in (*types, function.returns) if each is not None]
    return any(map(BARE.fullmatch, written)) and not SHAPE.search(about)


def test_errors_are_told() -> None:
    assert [name for name, function, about in public() if hides_an_error(function, about)] == []


def test_shapes_are_told() -> None:
    hidden = [name for name, function, about in public() if hides_a_shape(function, about)]
    assert hidden == []


@pytest.mark.parametrize(
    ("text", "errors", "shapes"),
    [
        ('def f(x: Tensor): "Doubles."\n', False, True),
        ('def f(x: Tensor):\n "(n,) inputs."\n raise ValueError\n', True, False),
        ('def f(x: Tensor):\n "(n,) inputs. Raises: it."\n raise ValueError\n', False, False),
        ('def f(x: Float[Tensor, "n"]): "Doubles."\n', False, False),
    ],
)
def test_what_is_hidden_is_found(text, errors, shapes) -> None:
    ((_, function, about),) = functions(ast.parse(text))
    assert (hides_an_error(function, about), hides_a_shape(function, about)) == (errors, shapes)
