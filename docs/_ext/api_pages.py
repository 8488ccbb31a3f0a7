"""API reference: a page for each package, the front door first; no public name is left out."""

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

_ELSEWHERE = ("hypermnesia.__main__", "hypermnesia.cli")  # the command line has its own page
_WITHOUT_CONSTANTS = ("hypermnesia.experiments", "hypermnesia.report", "hypermnesia.settings")


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx reads them, and check them afterwards."""
    app.connect("builder-inited", _write)
    app.connect("autodoc-skip-member", _skip)
    app.connect("env-check-consistency", _check)
    return {"parallel_read_safe": True}


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Skip fields of a named tuple, which its attributes list already."""
    made_up = str(getattr(obj, "__doc__", "")).startswith("Alias for field number")
    return True if made_up else None


@cache
def modules() -> list[ModuleType]:
    """Import every documented module, packages before their contents."""
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
    index = (
        "# API reference\n\nShapes are in round brackets: `(batch, k)`.\n\n"
        f"`from hypermnesia import ...`: {', '.join(_front_door())}.\n\n{table}\n\n"
    )
    write_pages(Path(app.srcdir) / "api", {**pages, "index": index + contents(pages)})


def front_door() -> list[str]:
    """Return the full names of what `hypermnesia.__all__` lists."""
    names = [name for name in hypermnesia.__all__ if not name.startswith("_")]
    return [f"{_home(getattr(hypermnesia, name), name)}.{name}" for name in names]


def _home(value: Any, name: str) -> str:
    """Return the module that defines a public name."""
    own = inspect.isclass(value) or inspect.isfunction(value)  # an instance has its class's module
    if own and value.__module__ in [module.__name__ for module in modules()]:
        return str(value.__module__)
    return next(module.__name__ for module in modules() if _defines(module, name))


def _front_door() -> Iterator[str]:
    for name in front_door():
        yield f"{{py:obj}}`{name.rpartition('.')[2]} <{name}>`"


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
    """Yield names that a package re-exports, and the modules that define them."""
    for name in getattr(module, "__all__", ()):
        if not _defines(module, name):
            yield name, _home(getattr(module, name), name)


def public_names(module: ModuleType) -> Iterator[str]:
    """Yield the classes, functions and, in the library proper, constants that `module` defines."""
    with_constants = not module.__name__.startswith(_WITHOUT_CONSTANTS)
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
    names = {name for module in modules() for name in public_names(module)} | {*front_door()}
    left_out = sorted(names - documented)
    if left_out:
        raise ExtensionError(f"public names without documentation: {', '.join(left_out)}")
