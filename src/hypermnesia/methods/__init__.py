"""Methods of continual learning, behind one protocol, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass, replace
from functools import cached_property, partial
from importlib import import_module
from types import FunctionType, NoneType
from typing import Any, Literal, cast, get_args, get_type_hints

import torch
from torch import nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.evidence import EVIDENCE, Evidence
from hypermnesia.methods.base import Method, Prediction, TaskSpec
from hypermnesia.registry import Registry
from hypermnesia.seeding import Generators

__all__ = ["METHODS", "Method", "MethodEntry", "Prediction", "TaskSpec", "build_method"]

Build = Callable[..., Method]
"""A method's class, or a function that is called like one."""

_EVERY: tuple[ScenarioName, ...] = ("task", "domain", "class")


def _built(name: str) -> Build:
    """Import `module:name` of this package."""
    module, _, attribute = name.partition(":")
    return cast(Build, getattr(import_module(f"{__name__}.{module}"), attribute))


@dataclass(frozen=True)
class HypernetWith:
    """`hnet` with an evidence (a class, or a name in `EVIDENCE`), which infers the task.

    `networks` is a class like `hnet`'s, as `module:name` in this package; without an evidence tasks
    are given.
    """

    evidence: type[Evidence] | str | None
    networks: str = "hnet:HypernetMethod"

    @property
    def method_class(self) -> Build:
        """The class of the method."""
        return _built(self.networks)

    @property
    def evidence_class(self) -> type[Evidence]:
        """The class of the evidence."""
        assert self.evidence is not None  # noqa: S101 - the caller's case
        return EVIDENCE[self.evidence] if isinstance(self.evidence, str) else self.evidence

    def __call__(self, network: nn.Module, scenario: ScenarioName, **settings: Any) -> Method:
        """Build a method; its evidence takes those of the settings that it has parameters for."""

        def those_of(build: Callable[..., Any]) -> dict[str, Any]:
            return {name: settings[name] for name in parameters_of(build) if name in settings}

        if self.evidence is None:
            return self.method_class(network, scenario, **those_of(self.method_class))
        takes_network = "network" in inspect.signature(self.evidence_class).parameters
        own = those_of(self.evidence_class) | ({"network": network} if takes_network else {})
        evidence = partial(self.evidence_class, **own)
        own = those_of(self.method_class)
        return self.method_class(network, scenario, evidence=evidence, **own)


def parameters_of(build: Callable[..., Any]) -> dict[str, Any]:
    """The keyword parameters that `build` takes, with their annotations.

    `**others` of a class stands for the parameters of its bases, and of a function for those of
    the class that it returns.
    """
    if isinstance(build, HypernetWith):
        own = {} if build.evidence is None else parameters_of(build.evidence_class)
        return parameters_of(build.method_class) | own
    if isinstance(build, partial):
        inner = parameters_of(build.func)
        return {name: kind for name, kind in inner.items() if name not in build.keywords}
    found: dict[str, Any] = {}
    for function in _constructors(build):
        hints, parameters = (
            get_type_hints(function),
            inspect.signature(function).parameters.values(),
        )
        named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        found = {name: hints.get(name) for name in named} | found
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            break
    return {n: kind for n, kind in found.items() if n not in ("self", "network", "scenario")}


def _constructors(build: Callable[..., Any]) -> Iterator[FunctionType]:
    """The function itself, then the `__init__` of its class and of the bases."""
    if isinstance(build, FunctionType):
        yield build
        build = get_type_hints(build).get("return", object)
    for each in inspect.getmro(cast(type, build)):
        if isinstance(init := vars(each).get("__init__"), FunctionType):
            yield init


def sections_of(build: Callable[..., Any]) -> dict[str, type]:
    """The sections of a configuration that `build` takes: parameters that are dataclasses.

    Example:
        >>> from hypermnesia.methods import sections_of
        >>> from hypermnesia.methods.penalties import Ewc
        >>> [section.__name__ for section in sections_of(Ewc).values()]
        ['OptimizerSettings', 'PenaltySettings']
    """
    found: dict[str, type] = {}
    for name, annotation in parameters_of(build).items():
        first, *others = get_args(annotation) or (annotation,)
        kind = first if others == [NoneType] else annotation  # X for `X | None`
        if is_dataclass(kind):
            found[name] = cast(type, kind)
    return found


@dataclass(frozen=True)
class MethodEntry:
    """A method as lists and commands know it.

    Attributes:
        source: where it is published.
        builder: (network, scenario, **settings) -> method, see `build_method`; or `module:name` of
            it in this package, imported when it is needed.
        scenarios: those in which it can answer.
        equation: of a user's own method, what it minimises and how it infers the task; LaTeX or
            plain text, a line or two. The words of built-in methods are in about.yaml.
        needs: of a user's own method, what it must be told, and what it keeps of earlier tasks.
        trained: `each` for a training of its own in each scenario; `once` if one training, with
            heads for each task, is evaluated in all of them.
        ignores: settings (`section.field`) that it does not read.
        sizes: settings that make it smaller or larger, each `section.field=value`, or several with
            spaces between them; from the smallest.
    """

    name: str
    summary: str
    source: str
    builder: Build | str
    scenarios: tuple[ScenarioName, ...] = _EVERY
    equation: str = ""
    needs: str = ""
    trained: Literal["once", "each"] = "each"
    ignores: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()

    @cached_property
    def build(self) -> Build:
        """(network, scenario, **settings) -> method."""
        if not isinstance(self.builder, str):
            return self.builder
        return _built(self.builder)

    @property
    def documented(self) -> Callable[..., Any]:
        """The class or function whose docstring describes the method."""
        if isinstance(self.build, HypernetWith):
            return self.build.evidence_class
        return self.build.func if isinstance(self.build, partial) else self.build

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """What `build` takes, with annotations."""
        return parameters_of(self.build)

    @cached_property
    def sections(self) -> dict[str, type]:
        """The sections of its configuration, by name."""
        return sections_of(self.build)


def _entry_of(name: str, found: Any) -> MethodEntry:
    """The entry of a user's own: an entry, a method's class, or an evidence's for `hnet` with it.

    The first line of a class's docstring is the summary; class attributes `scenarios` (or
    `answers`), `trained`, `source`, `equation` and `needs` say what those of an entry do.
    """
    if isinstance(found, MethodEntry):
        return replace(found, name=name)
    protocol = ("begin_task", "update", "end_task", "predict", "state_dict", "load_state_dict")
    evidence = isinstance(found, type) and hasattr(found, "log_evidence")
    if not evidence and not all(hasattr(found, each) for each in protocol):
        raise TypeError(f"{name} must be a MethodEntry, or a class of the protocol Method")
    answers = _EVERY if evidence else getattr(found, "answers", ())
    about: Any = {each: getattr(found, each, "") for each in ("source", "equation", "needs")}
    return MethodEntry(
        name,
        summary=(inspect.getdoc(found) or name).splitlines()[0].rstrip("."),
        scenarios=getattr(found, "scenarios", answers) or _EVERY,
        builder=HypernetWith(found) if evidence else cast(Build, found),
        trained=getattr(found, "trained", "once" if len(answers) > 1 else "each"),
        **about,
    )


METHODS: Registry[MethodEntry] = Registry("method", "methods", _entry_of)
"""Every method, by name."""


def build_method(
    method: str | MethodEntry,
    network: nn.Module,
    scenario: ScenarioName,
    settings: Mapping[str, object],
    *,
    generators: Generators,
    device: torch.device,
    sample_shape: tuple[int, ...],
    **others: object,
) -> Method:
    """Build a method, by its name or its entry, for a template network, which is left unchanged.

    `settings` are its sections, by name, and `generated`, `head`, `train_shared`, `precision` and
    `compile`; `others` are further arguments, `criterion` among them. What the method does not take
    is left out; sections that it takes and that are not here have their defaults.
    """
    entry = METHODS[method] if isinstance(method, str) else method
    context = {"generators": generators, "device": device, "sample_shape": sample_shape}
    defaults = {name: kind() for name, kind in entry.sections.items() if name not in settings}
    given = {**defaults, **settings, **context, **others}
    taken = {name: value for name, value in given.items() if name in entry.parameters}
    return entry.build(network, scenario, **taken)


# Ridge regression on the features of images as they are.
_FEATURES = "posterior.width=0 posterior.views=0 posterior.ridge=5 posterior.density=4"
_PLAIN_VAE = ("vae.hypernet", "vae.regularizer", "vae.embedding_optimizer")
_OSWALD = "von Oswald et al. 2020, arXiv 1906.00695"
_SHIN = "Shin et al. 2017, arXiv 1705.08690"
_VEN = "van de Ven et al. 2022, Nat. Mach. Intell."

for _entry in (
    MethodEntry(
        "hnet",
        "a hypernetwork generates a network for each task; the task must be given",
        _OSWALD,
        "hnet:HypernetMethod",
        scenarios=("task",),
    ),
    MethodEntry(
        "hnet-data",
        "hnet makes a task's network from an encoding of a few of its labelled samples",
        "ours; after Zhmoginov et al. 2022, arXiv 2201.04182",
        "task_data:DataHypernet",
        scenarios=("task",),
        ignores=("hypernet.embedding_start", "embedding_optimizer"),
    ),
    MethodEntry(
        "hnet-ent",
        "hnet picks the task whose network is most certain of its answer, unless the task is given",
        _OSWALD,
        HypernetWith("entropy"),
        trained="once",
    ),
    MethodEntry(
        "hnet-bayes",
        "hnet draws networks of each task and picks the task whose mean prediction is surest",
        "Henning et al. 2021, arXiv 2103.01133",
        "bayes:hnet_bayes",
        trained="once",
    ),
    MethodEntry(
        "hnet-lik",
        "hnet picks the task whose autoencoder gives the input the highest likelihood",
        "ours",
        HypernetWith("likelihood"),
        trained="once",
    ),
    MethodEntry(
        "hnet-sum",
        "hnet adds up evidence for each class: networks, patches, densities, autoencoders",
        "ours",
        HypernetWith("hypermnesia.methods.sums:SumEvidence"),
        trained="once",
        sizes=tuple(f"patches.number={number}" for number in (30, 60, 125, 200, 300)),
    ),
    MethodEntry(
        "hnet-tir",
        "hnet infers the task with a classifier that is trained on generated samples",
        _OSWALD,
        HypernetWith("classifier"),
        trained="once",
    ),
    MethodEntry(
        "finetune",
        "a plain network is trained on one task after another (lower bound)",
        _VEN,
        "plain:Finetune",
    ),
    MethodEntry(
        "separate",
        "every task has a plain network of its own",
        _VEN,
        "plain:Separate",
        scenarios=("task",),
    ),
    MethodEntry(
        "joint",
        "a plain network is trained on all tasks at once (upper bound)",
        _VEN,
        "plain:Joint",
    ),
    MethodEntry(
        "ewc",
        "a penalty weighted by each task's Fisher information holds parameters near old values",
        "Kirkpatrick et al. 2017, arXiv 1612.00796",
        "penalties:Ewc",
        ignores=("penalty.decay", "penalty.xi"),
    ),
    MethodEntry(
        "ewc-online",
        "a penalty weighted by a decaying Fisher information holds parameters near old values",
        "Schwarz et al. 2018, arXiv 1805.06370",
        "penalties:EwcOnline",
        ignores=("penalty.xi",),
    ),
    MethodEntry(
        "si",
        "a penalty holds each parameter as strongly as it lowered the losses of earlier tasks",
        "Zenke et al. 2017, arXiv 1703.04200",
        "penalties:Si",
        ignores=("penalty.decay", "penalty.samples"),
    ),
    MethodEntry(
        "lwf",
        "a plain network learns a new task while it keeps its former answers to the new inputs",
        "Li and Hoiem 2016, arXiv 1606.09282",
        "lwf:Lwf",
    ),
    MethodEntry(
        "hnet-r",
        "a plain network replays softly labelled samples from decoders that a hypernetwork makes",
        _OSWALD,
        "replay:hnet_r",
    ),
    MethodEntry(
        "dgr",
        "a plain network and a generator are retrained on samples from their former selves",
        _SHIN,
        "replay:dgr",
        ignores=_PLAIN_VAE,
    ),
    MethodEntry(
        "dgr-distill",
        "dgr labels the replayed samples softly",
        _VEN,
        "replay:dgr_distill",
        ignores=_PLAIN_VAE,
    ),
    MethodEntry(
        "gen-classifier",
        "every class has an autoencoder of its own, and the likeliest class answers",
        "van de Ven et al. 2021, arXiv 2104.10093",
        "generative:GenerativeClassifier",
        trained="once",
        ignores=(*_PLAIN_VAE, "bound.kind", "bound.divergence"),
        sizes=tuple(f"vae.encoder=[{n},{n}] vae.decoder=[{n},{n}]" for n in (20, 85, 200)),
    ),
    MethodEntry(
        "ncm",
        "the class with the nearest mean answers",
        "Mensink et al. 2013, doi 10.1109/TPAMI.2013.83",
        "analytic:NearestMean",
    ),
    MethodEntry(
        "slda",
        "linear discriminants of class means and one shrunk covariance",
        "Hayes and Kanan 2020, arXiv 1909.01520",
        "analytic:Slda",
    ),
    MethodEntry(
        "ranpac",
        "ridge regression on random features",
        "McDonnell et al. 2023, arXiv 2307.02251",
        "analytic:Ranpac",
        sizes=tuple(f"projection.width={width}" for width in (500, 1000, 2000, 4000)),
    ),
    MethodEntry(
        "patches",
        "ridge regression on responses to whitened patches of the first task's images",
        "Coates and Ng 2011, ICML",
        "patches:Patches",
        sizes=tuple(f"patches.number={number}" for number in (50, 125, 250, 400)),
    ),
    MethodEntry(
        "patch-sum",
        "patches and a density of each class's features, added up",
        "ours; parts: Coates and Ng 2011, Tipping and Bishop 1999",
        "posterior:PatchPosterior",
        trained="once",
        sizes=tuple(
            f"patches.number={number} posterior.rank={rank} {_FEATURES}"
            for number, rank in ((60, 15), (100, 20), (200, 30), (300, 40))
        ),
    ),
):
    METHODS.add(_entry.name, _entry)
