"""The resolved configuration of a run, every field checked, and what makes two runs the same."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, make_dataclass
from functools import lru_cache, reduce
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from hypermnesia.compute import Precision
from hypermnesia.data.benchmarks import BENCHMARKS, BenchmarkSettings
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.launch import LAUNCHERS
from hypermnesia.hypernet.memory import StartName
from hypermnesia.methods import METHODS
from hypermnesia.nets import NETS, NetSettings, net_settings
from hypermnesia.registry import unknown_name
from hypermnesia.settings import Flag, Integer, Name, Seed, fields_of, named_in, sections_in
from hypermnesia.storage import canonical, sha256
from hypermnesia.training.phases import EvaluateOn, TrainSettings

Raw = dict[str, Any]
RunScenario = Literal["task", "domain", "class", "all"]


class RecipeRef(BaseModel):
    """Where the defaults came from, and whether a setting that changes numbers is another one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    source: Annotated[str, pydantic.Field(max_length=10_000)]
    changed: Flag = False


@dataclass(frozen=True)
class DataSettings(BenchmarkSettings):
    """The sequence of tasks, and the part of each that is evaluated on; raises if it is empty."""

    evaluate_on: EvaluateOn = TrainSettings.evaluate_on

    def __post_init__(self) -> None:
        if self.evaluate_on == "validation" and self.validation == 0:
            rule = "data.evaluate_on=validation needs held-out data"
            hint = "set data.validation to a number of samples"
            raise ConfigError(rule, got="data.validation=0", hint=hint)


@dataclass(frozen=True)
class TargetUse:
    """Which target network, and how a method uses it.

    Attributes:
        generated: name patterns of the parameters that a hypernetwork makes.
        head: name of the output layer; None for the last linear layer.
        train_shared: go on training parameters that are not generated after the first task.
        start: `pretrained` for generated weights that start at those of the network.
    """

    net: Annotated[Name, named_in(NETS)] = "mlp"
    generated: Annotated[tuple[Name, ...], pydantic.Field(min_length=1)] = ("*",)
    head: Name | None = None
    train_shared: Flag = False
    start: StartName = "scratch"


@dataclass(frozen=True)
class ComputeSettings:
    """How training computes; it changes the last digits of the numbers.

    Attributes:
        precision: number format of the target network's products.
        deterministic: use kernels that give the same bits every time, also on a GPU.
    """

    precision: Precision = "float32"
    compile: Flag = False
    deterministic: Flag = False


@dataclass(frozen=True)
class MachineSettings:
    """Where a run happens, and who watches; no part of its identity.

    Attributes:
        device: what computes; `auto` takes a GPU where there is one.
        threads: of the processor; None for torch's own number.
        data_dir: folder of data files; None for HYPERMNESIA_DATA, else the cache.
        loggers: further observers of training, by name.
        launcher: what trains the seeds of a comparison, by name.
    """

    device: Literal["cpu", "cuda", "auto"] = "cpu"
    threads: Annotated[Integer, pydantic.Field(ge=1, le=1024)] | None = None
    data_dir: str | None = None
    tensorboard: Flag = False
    loggers: tuple[Name, ...] = ()
    launcher: Annotated[Name, named_in(LAUNCHERS)] = "local"


LIKE = {"embedding_optimizer": "optimizer"}
"""Sections that start from another one beside them; nested ones start from that of their name."""

_OF_VAE = ("hypernet", "regularizer", "optimizer", "embedding_optimizer")
RENAMED = {f"vae_{name}": f"vae.{name}" for name in _OF_VAE}
"""Sections of format 1 -> where their fields are now."""

FIELDS = {
    "target": {"generated", "head", "train_shared", "start"},
    "compute": {"precision", "compile"},
}
"""Fields that are settings of some methods, in sections that all runs have."""


class ExperimentConfig(BaseModel):
    """One benchmark, one method, one scenario and all their settings.

    `_config_type` adds the sections of a method (`hypermnesia.methods.sections_of`). The scenario
    `all` is that of the methods that are trained once and evaluated in every one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[2] = 2
    benchmark: Name
    method: Name
    scenario: RunScenario
    recipe: RecipeRef
    seeds: Annotated[tuple[Seed, ...], pydantic.Field(min_length=1, max_length=100_000)]
    data: DataSettings = DataSettings()
    target: TargetUse = TargetUse()
    train: TrainSettings
    compute: ComputeSettings = ComputeSettings()
    machine: MachineSettings = MachineSettings()

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return self.data.tasks or BENCHMARKS[self.benchmark].default_tasks


_SHARED = ("data", "train", "compute", "machine")  # and `target`, which depends on the network
COMMON: dict[str, Any] = {name: ExperimentConfig.model_fields[name].annotation for name in _SHARED}
"""Sections that every run has."""


@lru_cache(maxsize=128)
def _target_type(settings: type) -> type:
    return make_dataclass("TargetSettings", (), bases=(TargetUse, settings), frozen=True)


@lru_cache(maxsize=512)
def _config_type(sections: tuple[tuple[str, type], ...]) -> type[ExperimentConfig]:
    def default(kind: Any) -> Any:
        needed = [f for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
        return ... if needed else kind()

    named: dict[str, Any] = {name: (kind, default(kind)) for name, kind in sections}
    return create_model("ExperimentConfig", __base__=ExperimentConfig, **named)


def sections_for(method: str, net: str = "mlp") -> dict[str, type]:
    """The sections of a run of `method` with the target network `net`, by name."""
    target = _target_type(net_settings(net))
    return {"data": COMMON["data"], "target": target, **METHODS[method].sections, **COMMON}


def known_sections(*methods: str) -> dict[str, list[type]]:
    """The sections of all registered methods and of `methods`; one name may have several types."""
    known: dict[str, list[type]] = {name: [kind] for name, kind in COMMON.items()}
    known["target"] = [_target_type(NetSettings)]
    for method in dict.fromkeys([*METHODS, *methods]):
        for name, kind in METHODS[method].sections.items():
            kinds = known.setdefault(name, [])
            kinds += [kind] if kind not in kinds else []
    return known


def leaves(kind: type) -> Iterator[str]:
    """The fields of a settings class as `field` or `section.field`."""
    for name in fields_of(kind):
        nested = sections_in(kind).get(name)
        yield from [name] if nested is None else [f"{name}.{leaf}" for leaf in leaves(nested)]


def validated(raw: Mapping[str, Any], *, others: bool = False) -> ExperimentConfig:
    """The configuration in `raw`; raises `ConfigError` for the first thing wrong with it.

    Where `others` may be there, sections that the method does not take are left out.
    """
    method, target = raw.get("method"), raw.get("target")
    net = target.get("net", TargetUse.net) if isinstance(target, Mapping) else TargetUse.net
    if not isinstance(method, str) or not isinstance(net, str):
        raise ConfigError("method and target.net must be names", got=reprlib.repr((method, net)))
    sections = sections_for(method, net)
    model = _config_type(tuple(sections.items()))
    try:
        fields = _like_others(raw, sections, {})
        own = {*ExperimentConfig.model_fields, *sections} if others else {*fields}
        return model.model_validate({name: fields[name] for name in fields if name in own})
    except ValidationError as error:
        raise _as_config_error(error, sections) from None


def _like_others(raw: Mapping[str, Any], sections: Mapping[str, type], outer: Raw) -> Raw:
    """Fields that a section leaves out are those of the section that it is like."""
    filled = dict(raw)
    for name, kind in sorted(sections.items(), key=lambda each: each[0] in LIKE):
        other = filled.get(LIKE[name]) if name in LIKE else outer.get(name)
        own = filled.get(name, {})
        if isinstance(own, Mapping):
            own = {**other, **own} if isinstance(other, Mapping) else own
            own = _like_others(own, sections_in(kind), outer or filled)
        if own != {}:
            filled[name] = own
    return filled


def _as_config_error(error: ValidationError, sections: Mapping[str, type]) -> ConfigError:
    """The first problem that pydantic found, in one line: field, rule, value and what helps."""
    # A name that was mistyped is missing too, and that is not what to say.
    every = error.errors(include_url=False)
    first = min(every, key=lambda found: found["type"] == "missing")
    path = _path(first["loc"])
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return unknown_name("field", path, _beside(first["loc"][:-1], sections))
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return _in_section(cause, path)
    if first["type"] == "missing":
        return ConfigError(f"{path} must be set", hint=f"add it: --set {path}=VALUE")
    got = reprlib.repr(first["input"])
    if first["type"] == "tuple_type":
        entries = reprlib.repr(str(first["input"]).strip("()[]{} "))[1:-1]
        return ConfigError(f"{path} must be a list", got=got, hint=f"write {path}=[{entries}]")
    rule = first["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    words = [
        found["ctx"]["expected"]
        for found in every
        if found["type"] == "literal_error" and found is not first and _path(found["loc"]) == path
    ]
    return ConfigError(", or ".join([f"{path} {rule[0].lower()}{rule[1:]}", *words]), got=got)


def _path(where: tuple[int | str, ...]) -> str:
    """The dotted path of a field, without what pydantic adds of the kinds that it may be of."""
    return ".".join(str(part) for part in where if "[" not in str(part))


def _beside(where: tuple[int | str, ...], sections: Mapping[str, type]) -> list[str]:
    """The paths of the fields in a section, or of everything at the top."""
    if not where:
        return [*ExperimentConfig.model_fields, *sections]
    if where[0] not in sections:
        return [f"recipe.{name}" for name in RecipeRef.model_fields]
    kind = sections[str(where[0])]
    for part in where[1:]:
        kind = sections_in(kind)[str(part)]
    return [".".join([*map(str, where), name]) for name in fields_of(kind)]


def _in_section(cause: ConfigError, path: str) -> ConfigError:
    """`cause`, which names fields by their section's own name, with the whole path to it."""
    old, new = f"{path.rpartition('.')[2]}.", f"{path}."
    got = None if cause.got is None else str(cause.got).replace(old, new)
    hint = cause.hint and cause.hint.replace(old, new)
    return ConfigError(cause.rule.replace(old, new), got=got, hint=hint)


def reads(method: str, path: str) -> bool:
    """Whether the field at `path` (`section.field`) changes what `method` does."""
    entry = METHODS[method]
    section, _, field = path.partition(".")
    if section in COMMON or section == "target":
        return field not in FIELDS.get(section, ()) or field in entry.parameters
    ignored = any(f"{path}.".startswith(f"{each}.") for each in entry.ignores)
    return section in entry.sections and not ignored


def run_scenario(method: str, scenario: ScenarioName) -> RunScenario:
    """The scenario of the run for `method`, `all` if trained once; raises if it cannot do it."""
    entry = METHODS[method]
    if scenario not in entry.scenarios:
        able = [name for name in METHODS if scenario in METHODS[name].scenarios]
        rule = f"the method {method} works in the scenarios {', '.join(entry.scenarios)}"
        hint = f"methods for it: {', '.join(able) or 'none'}"
        raise ConfigError(rule, got=f"'{scenario}'", hint=hint)
    return "all" if entry.trained == "once" else scenario


def evaluated(config: ExperimentConfig) -> tuple[ScenarioName, ...]:
    """The scenarios that a run of `config` has accuracies in."""
    return METHODS[config.method].scenarios if config.scenario == "all" else (config.scenario,)


def net_of(config: ExperimentConfig) -> object:
    """The settings of the target network, of its own type."""
    kind: Any = net_settings(config.target.net)
    return kind(**{each.name: getattr(config.target, each.name) for each in fields(kind)})


def trained(config: ExperimentConfig) -> ScenarioName:
    """The scenario that the method of `config` is built for: own heads, if it is for all."""
    return "task" if config.scenario == "all" else config.scenario


_NEUTRAL: dict[str, Any] = dict.fromkeys(("format", "recipe", "seeds", "machine"), True)
_NEUTRAL["train"] = {"checkpoint_seconds"}
_STATED = ("net", "task_embedding", "beta", "lr")
"""Fields that had no default in format 1, and so are in the identity whatever they are."""


def identity(config: ExperimentConfig) -> str:
    """A stable name (sha256, 64 hexadecimal digits) of everything that changes numbers.

    Fields at their default are left out, so that one added later changes no run's identity. Nested
    sections have the names of format 1, `vae_hypernet` for `vae.hypernet`.
    """
    stated: Raw = {}
    for path, (value, counts) in _read(config).items():
        *sections, name = path.split(".")
        old = ["_".join(sections[:2])] if sections else []
        stated |= {".".join([*old, *sections[2:], name]): value} if counts else {}
    return checksum(nested(stated))


def nested(values: Mapping[str, Any]) -> Raw:
    """Sections of values by path: `{"vae.latent": 3}` is `{"vae": {"latent": 3}}`."""
    result: Raw = {}
    for path, value in values.items():
        *sections, name = path.split(".")
        reduce(lambda inner, section: inner.setdefault(section, {}), sections, result)[name] = value
    return result


def owner(config: ExperimentConfig, seed: int) -> str:
    """Whose the checkpoints and the result of a training are."""
    return f"{identity(config)}/seed-{seed}"


def checksum(fields: Raw) -> str:
    """sha256 of plain fields, whatever their order; others are a `TypeError` or `ValueError`."""
    return sha256(canonical(fields))


def fields_read(config: ExperimentConfig) -> Raw:
    """The plain value of every field that changes a seed's numbers, by path."""
    return {path: value for path, (value, _) in _read(config).items()}


def _read(config: ExperimentConfig) -> dict[str, tuple[Any, bool]]:
    """By path, the value and whether it is in the identity: not the default, or always stated."""

    def within(section: Any, dumped: Raw, path: str) -> Iterator[tuple[str, tuple[Any, bool]]]:
        for field in fields(section):
            here, value = f"{path}.{field.name}", getattr(section, field.name)
            if field.name not in dumped or not reads(config.method, here):
                continue
            if is_dataclass(value):
                yield from within(value, dumped[field.name], here)
                continue
            default = field.default if field.default_factory is MISSING else field.default_factory()
            yield here, (dumped[field.name], field.name in _STATED or value != default)

    found: dict[str, tuple[Any, bool]] = {}
    for name, value in config.model_dump(mode="json", exclude=_NEUTRAL).items():
        section = getattr(config, name)
        found |= within(section, value, name) if is_dataclass(section) else {name: (value, True)}
    return found


def first_difference(ours: ExperimentConfig, theirs: ExperimentConfig) -> str | None:
    """`field: our value, their value` of the first field in which the identities differ."""
    found = differences(ours, theirs).items()
    return next((f"{path} = {mine} here and {other} there" for path, (mine, other) in found), None)


def differences(ours: ExperimentConfig, theirs: ExperimentConfig) -> dict[str, tuple[Any, Any]]:
    """Our value and their value of the fields in which the identities differ, by path."""
    mine, other = fields_read(ours), fields_read(theirs)
    pairs = {path: (mine.get(path), other.get(path)) for path in mine | other}
    return {path: (here, there) for path, (here, there) in pairs.items() if here != there}
