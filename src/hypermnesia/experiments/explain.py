"""What a method does, for readers: its own words, and the settings that a recipe gives it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from textwrap import fill
from typing import Any, get_type_hints
from unicodedata import normalize

from hypermnesia import methods
from hypermnesia.experiments import config as schema
from hypermnesia.experiments.resolve import EMPTY, Request, in_yaml, load_recipe, resolve
from hypermnesia.experiments.resolve import settings_read as read_of
from hypermnesia.methods import METHODS, MethodEntry
from hypermnesia.settings import load_plain

_FILE = Path(methods.__file__).with_name("about.yaml")
_WIDTH = 92  # of a line of prose on a terminal


@dataclass(frozen=True)
class About:
    """A method in words; empty where nothing is said.

    Attributes:
        does: what it does, in plain English.
        use: when to use it, and when not.
        equation: what it minimises and how it answers, LaTeX or plain text, a line each.
        where: what the symbols are.
        keeps: what it keeps of earlier tasks, and what that costs.
        first: paths of the settings to look at first.
        picture: name of a drawing in the documents.
    """

    does: str = ""
    use: str = ""
    equation: str = ""
    where: str = ""
    keeps: str = ""
    first: Sequence[str] = ()
    picture: str = ""


@cache
def _texts() -> Mapping[str, Mapping[str, Any]]:
    return dict(load_plain(_FILE.read_text("utf-8")))


def about(entry: MethodEntry) -> About:
    """The words of methods/about.yaml; of a user's own method, those of its class.

    Example:
        >>> from hypermnesia.experiments.explain import about
        >>> from hypermnesia.methods import METHODS
        >>> about(METHODS["separate"]).keeps
        'One network for each task; no data.'
    """
    if entry.name in _texts():
        return About(**_texts()[entry.name])
    documented = (inspect.getdoc(entry.documented) or "").partition("\nArgs:")[0]
    return About(does=documented.strip(), equation=entry.equation, keeps=entry.needs)


@dataclass(frozen=True)
class Explanation:
    """A method for readers: what it is in a line, and (heading, text of one or more lines)."""

    title: str
    parts: Sequence[tuple[str, str]]


def explain(method: str, benchmark: str, recipe: str | None = None) -> Explanation:
    """What a method does, in its own words, and the settings that a recipe gives it."""
    entry = METHODS[method]
    words, chosen = about(entry), load_recipe(benchmark, recipe)
    request = Request(benchmark, (method,), recipe=recipe)
    first = (f"{path} = {value}: {use}" for path, value, use in first_settings(entry, request))
    parts = [
        ("What it does", _filled(words.does)),
        ("When to use it", _filled(words.use)),
        ("Equations", plain(words.equation)),
        ("Symbols", _filled(words.where)),
        ("What it keeps and costs", _filled(words.keeps)),
        ("Answers in", answers_in(entry)),
        ("Source", entry.source),
        ("Settings that matter first", "\n".join(map(_filled, first))),
        *_settings(entry, request, chosen.name),
        (f"Source of recipe {chosen.name}", _filled(chosen.source)),
    ]
    return Explanation(f"{method}: {entry.summary}", [part for part in parts if part[1].strip()])


def _filled(text: str) -> str:
    """Prose in lines that a terminal shows whole; text of several paragraphs is left as it is."""
    return text if "\n" in text else fill(text, _WIDTH, break_on_hyphens=False)


def answers_in(entry: MethodEntry) -> str:
    """The scenarios in which a method answers, and how often it is trained for them."""
    if len(entry.scenarios) == 1:
        return f"the {entry.scenarios[0]} scenario"
    how = "one training for all of them" if entry.trained == "once" else "a training for each"
    return f"{', '.join(entry.scenarios)}: {how}"


def first_settings(entry: MethodEntry, request: Request) -> Iterator[tuple[str, str, str]]:
    """Path, value and meaning of the settings to look at first, in the recipe of `request`."""
    config = resolve(replace(request, scenario=entry.scenarios[0]))[0]
    values, sections = schema.fields_read(config), schema.sections_for(entry.name)
    for path in about(entry).first:
        section, *names = path.split(".")
        value = values.get(path)
        yield path, "not set" if value is None else str(value), _meaning(sections[section], names)


def _meaning(kind: type, names: Sequence[str]) -> str:
    """What the docstring of a settings class says of a field, which may be nested."""
    for name in names[:-1]:
        kind = get_type_hints(kind)[name]
    for each in inspect.getmro(kind):
        _, _, attributes = (inspect.getdoc(each) or "").partition("Attributes:\n")
        for found in re.finditer(r"^    ([\w, ]+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE):
            if names[-1] in found[1].split(", "):
                return " ".join(found[2].split())
    return ""


def _settings(entry: MethodEntry, request: Request, recipe: str) -> Iterator[tuple[str, str]]:
    """The sections that the method reads, as YAML, and what differs by scenario, maybe nothing."""
    configs = [resolve(replace(request, scenario=name))[0] for name in entry.scenarios]
    first = schema.fields_read(configs[0])
    yield f"Settings on {request.benchmark}, recipe {recipe}", _as_lines(read_of(configs[0]))
    for scenario, config in zip(entry.scenarios, configs, strict=True):
        read = schema.fields_read(config).items()
        different = {path: value for path, value in read if value != first.get(path)}
        yield f"Where the {scenario} scenario differs", _as_lines(in_yaml(different))
    unset = ", ".join(path for path in first if first[path] in EMPTY)
    yield "Settings that are not set", fill(unset, _WIDTH, break_on_hyphens=False)


def _as_lines(sections: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {fields}" for name, fields in sections.items())


_WORDS = {
    r"\leftarrow": "←",
    r"\lVert ": "‖",
    r" \rVert": "‖",
    r"\,\|\,": " || ",
    r"\|": "||",
    r"\mid": "|",
    r"\sum": "Σ",
    r"\pm ": "±",
    r"^\top": "ᵀ",
    r"^{-1}": "⁻¹",
    r"^2": "²",
    r"^*": "*",
    r"\varepsilon": "ε",
    r"\quad": " ",
    r"\,": " ",
    "{}": "",
}
_NAMES = "alpha beta gamma epsilon theta kappa lambda mu xi rho tau omega Delta Lambda Sigma Omega"
_GREEK = dict(zip(_NAMES.split(), "αβγεθκλμξρτωΔΛΣΩ", strict=True))
_ACCENTS = {"hat": "\u0302", "tilde": "\u0303"}
_FACTOR = r"[^{}]*(?:\{[^{}]*\}[^{}]*)*"


def plain(equation: str) -> str:
    r"""LaTeX as the plain text that a terminal can show; other text is left as it is.

    Example:
        >>> from hypermnesia.experiments.explain import plain
        >>> plain(r"\frac{\beta}{T-1} \sum_{t<T} \lVert h(e_t) \rVert^2 \text{ for task } t")
        'β/(T-1) Σ_{t<T} ‖h(e_t)‖² for task t'
    """
    if "\\" not in equation:
        return equation.rstrip("\n")
    text = re.sub(r"\\(hat|tilde)\{(\\?\w+)\}", lambda m: f"{m[2]}{_ACCENTS[m[1]]}", equation)
    text = re.sub(r"\\(?:text|operatorname|mathcal|mathbb)\{([^{}]*)\}", r"\1", text)
    text = re.sub(rf"\\frac\{{({_FACTOR})\}}\{{({_FACTOR})\}}", _divided, text)
    for latex, shown in _WORDS.items():
        text = text.replace(latex, shown)
    text = re.sub(r"\\([A-Za-z]+)", lambda m: _GREEK.get(m[1], m[1]), text)
    text = re.sub(r"_\{(\w)\}", r"_\1", text)
    text = re.sub(r"\^\{([^{}]*)\}", r"^(\1)", text)
    return normalize("NFC", re.sub(r" {2,}", " ", text).strip())


def _divided(found: re.Match[str]) -> str:
    over, under = (
        each if re.fullmatch(r"\\?\w+", each) else f"({each})" for each in found.groups()
    )
    return f"{over}/{under}"
