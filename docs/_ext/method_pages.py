"""A page for each method, generated from the registry, the code and the recipes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from kept_results import summaries
from method_results import results
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from written_pages import contents, write_pages

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.experiments.config import ExperimentConfig, fields_read, nested
from hypermnesia.experiments.explain import about, answers_in, first_settings
from hypermnesia.experiments.resolve import EMPTY, Request, resolve
from hypermnesia.methods import METHODS, HypernetWith, MethodEntry
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.regularization.step import HypernetTrainer

_INDEX = """\
Each page says what a method does, when to use it, its equations, what it keeps, what it reached,
and which settings to look at first; `hypermnesia explain NAME` says the same on a terminal. With
a model and data of your own none of these names is needed: {py:class}`ContinualLearner
<hypermnesia.learner.learner.ContinualLearner>` is `hnet` with evidence that it chooses. To
compare: `finetune` and `joint` are the lower and the upper bound, `separate` what sharing nothing
gives. New to this? Begin with [concepts](../concepts/index.md)."""
_SOURCE = Path(__file__).parents[2]
_SHARED = (
    "hypermnesia.methods.base",
    "hypermnesia.evidence.autoencoders",
)  # protocols of all methods
_MADE_OF = (
    "hypermnesia.methods",
    "hypermnesia.evidence",
    "hypermnesia.hypernet",
    "hypermnesia.vae",
)


@dataclass(frozen=True)
class Link:
    """Where a class or function is defined.

    Attributes:
        name: of the class or function.
        file: its file, from the root of the source.
        lines: its first and its last line.
        page: its highlighted source, from the root of the documents.
    """

    name: str
    file: str
    lines: tuple[int, int]
    page: str

    def markdown(self) -> str:
        """A line of a list."""
        where = f"`{self.file}`, lines {self.lines[0]} to {self.lines[1]}"
        return f'- <a href="../{self.page}#{self.name}"><code>{self.name}</code></a>: {where}'


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx reads them, and check their links after the build."""
    app.connect("builder-inited", _write)
    app.connect("build-finished", _follow)
    return {"parallel_read_safe": True}


def _write(app: Sphinx) -> None:
    pages = {name: _page(METHODS[name]) for name in METHODS}
    rows = [
        f"| [`{name}`]({name}.md) | {METHODS[name].summary} | {METHODS[name].source} |"
        for name in METHODS
    ]
    table = "\n".join(["| method | what it is | source |", "|---|---|---|", *rows])
    index = f"# Methods\n\n{_INDEX}\n\n{table}\n\n"
    write_pages(Path(app.srcdir) / "methods", {**pages, "index": index + contents(pages)})


def _page(entry: MethodEntry) -> str:
    words = about(entry)
    parts = [f"# `{entry.name}`", words.does]
    if words.picture:
        parts.append(f"```{{drawing}} {words.picture}\n```")
    parts += ["## When to use it", words.use, "## Equations", *_typeset(words.equation)]
    parts += [_symbols(words.where), "## What it keeps and costs", words.keeps]
    parts += [f"Answers in {answers_in(entry)}.", "## Results", results(entry.name)]
    parts += ["## Settings", *_settings(entry)]
    parts += ["## Source and code", f"Source: {_linked(entry.source)}."]
    parts.append("\n".join(link.markdown() for link in links(entry)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _typeset(equation: str) -> Iterator[str]:
    for line in equation.splitlines():
        yield f"$$\n{line}\n$$" if "\\" in equation else f"```text\n{line}\n```"


def _symbols(where: str) -> str:
    return re.sub(r"([^\W_]\u0303?)_(\w+)", r"\1<sub>\2</sub>", where)


def _linked(source: str) -> str:
    source = re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", source)
    return re.sub(r"doi (\S+)", r"[doi \1](https://doi.org/\1)", source)


def _settings(entry: MethodEntry) -> Iterator[str]:
    """Those that matter first as a table; all of them, folded; what other benchmarks change."""
    first, *others = BENCHMARKS
    request = Request(first, (entry.name,))
    rows = [
        f"| `{path}` | {value} | {meaning.replace('|', '/')} |"
        for path, value, meaning in first_settings(entry, request)
    ]
    if rows:
        heading = f"Look at these first; values are those of {first}, recipe `best`."
        yield "\n".join([heading, "", "| setting | value | what it is |", "|---|---|---|", *rows])
    yield (
        f"`hypermnesia explain {entry.name} --benchmark NAME` shows all that a recipe sets; "
        "`--set SECTION.FIELD=VALUE` changes one."
    )
    config, *by_scenario = _configs(entry, request)
    yield _folded(f"All settings on {first}", _yaml(_set(config)))
    differ = [f"# {c.scenario} scenario\n{_yaml(_set(c, config))}" for c in by_scenario]
    differ = [text for text in differ if not text.endswith("scenario\n")]
    measured = {run.config.benchmark for run in summaries()}
    for name in (name for name in others if name in measured):
        other = _configs(entry, replace(request, benchmark=name))[0]
        differ.append(f"# {name}, recipe {other.recipe.name}\n{_yaml(_set(other, config))}")
    yield _folded("What is different elsewhere", "\n".join(differ))
    unset = [path for path, value in fields_read(config).items() if value in EMPTY]
    yield _folded("Settings that are not set", ", ".join(f"`{path}`" for path in unset))


def _configs(entry: MethodEntry, request: Request) -> list[ExperimentConfig]:
    return [resolve(replace(request, scenario=name))[0] for name in entry.scenarios]


def _set(config: ExperimentConfig, base: ExperimentConfig | None = None) -> dict[str, Any]:
    """What a configuration sets, by path; with a `base`, only what is different there."""
    below = fields_read(base) if base else {}
    found = fields_read(config).items()
    return {
        path: value
        for path, value in found
        if value not in (EMPTY if not base else ())
        and (path not in below or below[path] != value)
        and "." in path
    }


def _yaml(values: dict[str, Any]) -> str:
    """Format settings in lines that fit a page."""
    fields = nested(values)
    style: Any = {"default_flow_style": None, "sort_keys": False, "width": 76}
    return str(yaml.safe_dump(fields, **style)) if fields else ""


def _folded(title: str, text: str) -> str:
    shown = text if text.startswith("`") else f"```yaml\n{text.strip()}\n```"
    return f"<details><summary>{title}</summary>\n\n{shown}\n\n</details>" if text else ""


def links(entry: MethodEntry) -> Iterator[Link]:
    """Link to what builds the method, and to the classes it uses."""
    built: Any = entry.documented
    bases = inspect.getmro(built)[1:] if inspect.isclass(built) else ()
    module = inspect.getmodule(built)
    used = [v for v in vars(module).values() if inspect.isclass(v) and "forward" not in vars(v)]
    hypernet = [HypernetMethod, HypernetTrainer] if isinstance(entry.build, HypernetWith) else []
    for found in dict.fromkeys([built, *bases, *hypernet, *used]):
        ours = found.__module__.startswith(_MADE_OF) and found.__module__ not in _SHARED
        if ours and not found.__name__.startswith("_") and not found.__name__.endswith("Settings"):
            yield _link(found)


def _link(found: Any) -> Link:
    file = Path(inspect.getsourcefile(found) or "").relative_to(_SOURCE)
    lines, first = inspect.getsourcelines(found)
    page = f"_modules/{found.__module__.replace('.', '/')}.html"
    return Link(found.__qualname__, str(file), (first, first + len(lines) - 1), page)


def _follow(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.name != "html":
        return
    for link in (link for name in METHODS for link in links(METHODS[name])):
        page = Path(app.outdir) / link.page
        if not page.is_file() or f'id="{link.name}"' not in page.read_text():
            raise ExtensionError(f"a page of a method leads nowhere: {link.page}#{link.name}")
