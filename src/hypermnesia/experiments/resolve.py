"""From what a user says to resolved configurations, recipe, then method, then overrides, explained.

A recipe, the settings that a benchmark starts from, is a file `<benchmark>/<recipe>.yaml`: its
`source`, sections of the configuration, optionally `base` (a recipe that it changes) and `methods`
(sections that differ for a method and, under its `scenarios`, for a scenario too). `best` is ours,
`paper` is as published for this very benchmark, `derived` is what was published for a similar one;
the first of them that there is is the default. A file of the user's own is named by its path.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.data.scenarios import scenario_name
from hypermnesia.errors import ConfigError
from hypermnesia.experiments import config as schema
from hypermnesia.experiments.config import RENAMED, ExperimentConfig, Raw
from hypermnesia.experiments.run import benchmark_settings, machine_device
from hypermnesia.registry import unknown_name
from hypermnesia.settings import load_plain, sections_in

FOLDER = Path(__file__).parent / "recipes"
_DEFAULTS = ("best", "paper", "derived")
EMPTY: tuple[object, ...] = (None, {}, [])


@dataclass(frozen=True)
class Recipe:
    """A recipe with its base worked in: sections for every method, and what differs by method."""

    name: str
    source: str
    sections: Raw
    methods: dict[str, Raw]

    def sections_for(self, method: str, scenario: str) -> Raw:
        """The sections of the configuration for `method` in `scenario`."""
        own = dict(self.methods.get(method, {}))
        in_scenario = own.pop("scenarios", {}).get(scenario, {})
        return merged(merged(self.sections, own), in_scenario)


def recipe_names(benchmark: str) -> list[str]:
    """Names of the recipes of `benchmark`, the default one first."""
    names = sorted(path.stem for path in (FOLDER / benchmark).glob("*.yaml")) or ["defaults"]
    default = next((name for name in _DEFAULTS if name in names), None)
    return sorted(names, key=lambda name: name != default)


def load_recipe(benchmark: str, name: str | None = None) -> Recipe:
    """The recipe called `name`, or in the file `name`; its default for None; raises for others."""
    BENCHMARKS[benchmark]
    names = recipe_names(benchmark)
    name = names[0] if name is None else name
    if not name.endswith(".yaml") and name not in names:
        raise unknown_name(f"recipe of {benchmark}", name, names)
    own = FOLDER / ("" if name == "defaults" else benchmark) / f"{name}.yaml"
    file = Path(name) if name.endswith(".yaml") else own
    fields = {"source": f"the file {file.name}", **_read(file)}
    return Recipe(name, fields.pop("source"), methods=fields.pop("methods", {}), sections=fields)


def _read(path: Path) -> Raw:
    try:
        fields = load_plain(path.read_text("utf-8"), anchors=True)
    except (OSError, ValueError) as error:
        got = str(error).splitlines()[0]
        raise ConfigError("a recipe must be a YAML file that can be read", got=got) from error
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise ConfigError("a recipe must hold sections of settings", got=f"{path} without any")
    base = fields.pop("base", None)
    if base is None:
        return fields
    if not (FOLDER / f"{base}.yaml").is_file():
        known = [f"{each.parent.name}/{each.stem}" for each in FOLDER.glob("*/*.yaml")]
        raise unknown_name("base of the recipe", base, known)
    below = _read(FOLDER / f"{base}.yaml")
    methods, own = below.pop("methods", {}), fields.pop("methods", {})
    both = {name: merged(methods.get(name, {}), own.get(name, {})) for name in methods | own}
    return {**merged(below, fields), "methods": both}


def merged(below: Mapping[str, Any], above: Mapping[str, Any], *, top: bool = True) -> Raw:
    """`below` with the fields of `above` laid over it, section by section, nested ones too."""
    kinds = (kind for each in schema.known_sections().values() for kind in each)
    inner = {name for kind in kinds for name in sections_in(kind)}
    result = dict(below)
    for name, value in above.items():
        under = below.get(name)
        if (top or name in inner) and isinstance(value, Mapping) and isinstance(under, Mapping):
            value = merged(under, value, top=False)
        result[name] = value
    return result


def settable_paths(methods: Iterable[str] = (), nets: Iterable[str] = ()) -> list[str]:
    """The fields that `--set` reaches, those of further `methods` and target networks too."""
    sections = schema.known_sections(*methods)
    method = next(iter(methods), "hnet")
    sections["target"] += [schema.sections_for(method, net)["target"] for net in nets]
    pairs = ((name, schema.leaves(kind)) for name, kinds in sections.items() for kind in kinds)
    return list(dict.fromkeys(f"{name}.{leaf}" for name, each in pairs for leaf in each))


def parsed(assignments: Sequence[str], known: Sequence[str] | None = None) -> dict[str, Any]:
    """YAML values by path of `section.field=value` texts; raises where a path is not `known`."""
    known = settable_paths() if known is None else known
    result: dict[str, Any] = {}
    for path, text in map(_split, assignments):
        _check_known(path, known)
        try:
            result[path] = load_plain(text)
        except ValueError:
            raise ConfigError(f"the value of {path} must be YAML", got=repr(text)) from None
    return result


def _split(assignment: str) -> tuple[str, str]:
    path, equals, text = assignment.partition("=")
    if not equals:
        got, hint = f"'{assignment}'", "write for example --set hypernet.chunk=10000"
        raise ConfigError("a setting must read section.field=value", got=got, hint=hint)
    return path.strip(), text


def _check_known(path: str, paths: Sequence[str]) -> None:
    if path in paths:
        return
    section, _, rest = path.partition(".")
    if section in RENAMED:
        hint = f"write {RENAMED[section]}.{rest}"
        raise ConfigError(f"{section} has a new name", got=path, hint=hint)
    by_leaf = {p.rpartition(".")[2]: p for p in reversed(paths)}
    if "." not in path and (near := difflib.get_close_matches(path, by_leaf, n=1, cutoff=0.8)):
        hint = f"did you mean '{by_leaf[near[0]]}'?"
        raise ConfigError("the setting must be one that exists", got=f"'{path}'", hint=hint)
    raise unknown_name("setting", path, paths)


@dataclass(frozen=True)
class Request:
    """What to run, as a user says it.

    Attributes:
        scenario: a scenario's name or alias.
        recipe: its name or file; None for the benchmark's default.
        assignments: `section.field=value` texts, the last word on a field.
        options: fields that an option of their own sets, by section; None says nothing.
    """

    benchmark: str
    methods: Sequence[str] = ("hnet",)
    scenario: str = "task"
    seeds: Sequence[int] = (0,)
    recipe: str | None = None
    assignments: Sequence[str] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def assigned(self) -> Raw:
        """The sections that its assignments set; raises for a field that nothing reads."""
        recipe = load_recipe(self.benchmark, self.recipe)
        each = (recipe.sections, *recipe.methods.values())
        nets = [sections.get("target", {}).get("net") for sections in each]
        texts = map(_split, self.assignments)
        nets += [text.strip() for path, text in texts if path == "target.net"]
        known = settable_paths(self.methods, [name for name in nets if name])
        values = parsed(self.assignments, known)
        for path, value in values.items():
            # A recipe may say more than a method reads, and so may a setting for several methods.
            if not any(schema.reads(method, path) for method in self.methods):
                rule = f"{path} does nothing for {', '.join(self.methods)}"
                raise ConfigError(rule, got=f"{path}={value}", hint="leave it out")
        return schema.nested(values)


def resolve(request: Request) -> list[ExperimentConfig]:
    """A checked configuration for each method of `request`; raises `ConfigError`."""
    if len(set(request.methods)) != len(request.methods):
        raise ConfigError("a method can be named once", got=", ".join(request.methods))
    assigned = request.assigned()
    return [resolve_one(request, method, assigned) for method in request.methods]


def resolve_one(request: Request, method: str, assigned: Raw) -> ExperimentConfig:
    """The configuration for one method, with the `assigned` sections of its assignments."""
    scenario = schema.run_scenario(method, scenario_name(request.scenario))
    recipe = load_recipe(request.benchmark, request.recipe)
    given = {name: each.items() for name, each in request.options.items()}
    options = {name: {n: v for n, v in each if v is not None} for name, each in given.items()}
    names: Raw = {"benchmark": request.benchmark, "method": method, "scenario": scenario}
    used = {"name": recipe.name, "source": recipe.source}
    names |= {"recipe": used, "seeds": tuple(request.seeds)}
    fields = recipe.sections_for(method, scenario)
    unchanged = _checked(fields, names)
    config = _checked(merged(merged(fields, options), assigned), names)
    machine_device(config.machine)
    changed = {"changed": schema.first_difference(config, unchanged) is not None}
    return config.model_copy(update={"recipe": config.recipe.model_copy(update=changed)})


def _checked(fields: Raw, names: Raw) -> ExperimentConfig:
    """The configuration of a method, of whose sections alone others may say something."""
    known = schema.known_sections(names["method"])
    for name in fields:
        if name in RENAMED:
            new = RENAMED[name].replace(".", ": {") + ": ...}"
            raise ConfigError(f"{name} has a new name in recipes", got=name, hint=f"write {new}")
        if name not in known:
            raise unknown_name("section", name, known)
    config = schema.validated({**fields, **names}, others=True)
    count = BENCHMARKS[config.benchmark].count(benchmark_settings(config))
    return config.model_copy(update={"data": replace(config.data, tasks=count)})


def settings_read(config: ExperimentConfig) -> dict[str, str]:
    """The sections that the method of `config` reads, what is set of each in a line of YAML."""
    read = schema.fields_read(config).items()
    return in_yaml({path: value for path, value in read if value not in EMPTY})


def in_yaml(values: Raw) -> dict[str, str]:
    """Values by path as a line of YAML for each section."""
    sections = schema.nested({path: value for path, value in values.items() if "." in path})
    style: Any = {"default_flow_style": True, "sort_keys": False, "width": 10**6}
    return {name: yaml.safe_dump(each, **style).strip() for name, each in sections.items()}
