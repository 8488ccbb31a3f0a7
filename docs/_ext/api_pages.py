"""A page of the API reference for each package, and a check that no public name is left out."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from written_pages import contents, write_pages

import hypermnesia

_ELSEWHERE = ("hypermnesia.__main__", "hypermnesia.cli")  # the command line has a page of its own


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before they are read, and check them afterwards."""
    app.connect("builder-inited", _write)
    app.connect("autodoc-skip-member", _skip)
    app.connect("env-check-consistency", _check)
    return {"parallel_read_safe": True}


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Fields of a named tuple are among its attributes already."""
    made_up = str(getattr(obj, "__doc__", "")).startswith("Alias for field number")
    return True if made_up else None


@cache
def modules() -> list[ModuleType]:
    """Every documented module, packages before what is in them."""
    names = [found.name for found in pkgutil.walk_packages(hypermnesia.__path__, "hypermnesia.")]
    return [import_module(name) for name in names if not name.startswith(_ELSEWHERE)]


def _write(app: Sphinx) -> None:
    by_page: dict[str, list[ModuleType]] = {}
    for module in modules():
        by_page.setdefault(module.__name__.split(".")[1], []).append(module)
    pages = {name: "\n".join(map(_section, found)) for name, found in by_page.items()}
    rows = [
        f"| [`{found[0].__name__}`]({name}.md) | {_about(found[0])} |"
        for name, found in by_page.items()
    ]
    table = "\n".join(["| | |", "|---|---|", *rows])
    index = f"# API reference\n\nShapes are in round brackets: `(batch, k)`.\n\n{table}\n\n"
    write_pages(Path(app.srcdir) / "api", {**pages, "index": index + contents(pages)})


def _section(module: ModuleType) -> str:
    level = "#" if module.__name__.count(".") == 1 else "##"
    lines = [
        f"{level} `{module.__name__}`",
        "",
        "```{eval-rst}",
        f".. automodule:: {module.__name__}",
    ]
    lines += ["   :ignore-module-all:", "```", ""]
    elsewhere = list(_handed_on(module))
    if elsewhere:
        names = ", ".join(f"{{py:obj}}`{name} <{home}.{name}>`" for name, home in elsewhere)
        lines += [f"From its modules, `from {module.__name__} import ...`: {names}.", ""]
    return "\n".join(lines)


def _about(module: ModuleType) -> str:
    return (module.__doc__ or "").partition("\n")[0].replace("|", r"\|")


def _handed_on(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Names that a package offers, and the modules that they are from."""
    for name in getattr(module, "__all__", ()):
        if not _defines(module, name):
            home = next(m for m in modules() if m is not module and _defines(m, name))
            yield name, home.__name__


def public_names(module: ModuleType) -> Iterator[str]:
    """Classes, functions and, below the experiments, constants that `module` defines."""
    with_constants = not module.__name__.startswith("hypermnesia.experiments")
    for name, value in vars(module).items():
        if name.startswith("_") or isinstance(value, TypeVar) or not _defines(module, name):
            continue
        if with_constants or inspect.isclass(value) or inspect.isfunction(value):
            yield f"{module.__name__}.{name}"


def _defines(module: ModuleType, name: str) -> bool:
    pattern = rf"^(class|def) {name}\b|^(\w+, )*{name}(, \w+)*( =|: )"
    return re.search(pattern, _source(module), re.MULTILINE) is not None


@cache
def _source(module: ModuleType) -> str:
    return inspect.getsource(module)


def _check(app: Sphinx, env: Any) -> None:
    documented = {name for name, *_ in env.get_domain("py").get_objects()}
    names = {name for module in modules() for name in public_names(module)}
    left_out = sorted(names - documented)
    if left_out:
        raise ExtensionError(f"public names without documentation: {', '.join(left_out)}")
