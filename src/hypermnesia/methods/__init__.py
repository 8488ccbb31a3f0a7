"""Methods of continual learning, behind one protocol, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Literal

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.methods.base import Method, Prediction, TaskSpec
from hypermnesia.registry import Registry
from hypermnesia.state_files import State

__all__ = ["METHODS", "Method", "MethodEntry", "Prediction", "State", "TaskSpec", "settings_of"]


@dataclass(frozen=True)
class MethodEntry:
    """A method as lists and commands know it.

    Attributes:
        name: what a user types.
        summary: one line.
        source: where it is published.
        scenarios: those in which it can answer.
        builder: (network, scenario, **settings) -> method, or where that is: `module:name`, a
            module of this package, imported when it is needed.
        settings: names of the keyword arguments that `build` takes.
        equation: what it minimises and how it infers the task; plain text, a line or two.
        needs: what it must be told, and what it keeps of earlier tasks.
        trained: `each` for a training of its own in each scenario; `once` if one training, with
            heads for each task, is evaluated in all of them.
        ignores: fields of these settings (`section.field`) that it does not read.
    """

    name: str
    summary: str
    source: str
    scenarios: tuple[ScenarioName, ...]
    builder: Callable[..., Method] | str
    settings: tuple[str, ...]
    equation: str
    needs: str
    trained: Literal["once", "each"] = "each"
    ignores: tuple[str, ...] = ()

    @cached_property
    def build(self) -> Callable[..., Method]:
        """(network, scenario, **settings) -> method."""
        if not isinstance(self.builder, str):
            return self.builder
        module, _, name = self.builder.partition(":")
        found: Callable[..., Method] = getattr(import_module(f"{__name__}.{module}"), name)
        return found


METHODS: Registry[MethodEntry] = Registry("method")
"""Every method, by name."""

_PLAIN = ("optimizer", "generators", "device", "head", "precision")
_HNET = (
    *_PLAIN,
    *("hypernet", "regularizer", "embedding_optimizer", "generated", "train_shared", "compile"),
)
_EVERY: tuple[ScenarioName, ...] = ("task", "domain", "class")
_MEMORY = ("vae", "vae_hypernet", "vae_regularizer", "vae_optimizer", "vae_embedding_optimizer")
_DGR = (*_PLAIN, "vae", "vae_optimizer", "replay")
_W = "w = 1/2, or 1 - 1/T where replay.share = tasks"
_OSWALD = "von Oswald et al. 2020, arXiv 1906.00695"
_SHIN = "Shin et al. 2017, arXiv 1705.08690"
_VEN = "van de Ven et al. 2022, Nat. Mach. Intell."

for _entry in (
    MethodEntry(
        "hnet",
        "one hypernetwork makes the weights of every task; the task is given",
        _OSWALD,
        ("task",),
        "hnet:HypernetMethod",
        _HNET,
        equation=(
            "L(θ, e_T) + β/(T-1) Σ_{t<T} ‖h(e_t; θ*) - h(e_t; θ + Δθ)‖²\n"
            "f(x; h(e_t; θ)) for a sample of task t"
        ),
        needs="the task of every sample; keeps θ and an embedding a task, no data",
    ),
    MethodEntry(
        "hnet-ent",
        "hnet; where the task is not given, the network that is surest answers",
        _OSWALD,
        _EVERY,
        "hnet:hnet_ent",
        (*_HNET, "inference"),
        trained="once",
        equation=(
            "hnet's loss\n"
            "task = argmin_t H(softmax(f(x; h(e_t; θ)) / τ)), τ the temperature;\n"
            "calibrated: logits first divided by the spread of a class's own training samples"
        ),
        needs="no task to answer; keeps θ and an embedding a task, no data",
    ),
    MethodEntry(
        "hnet-lik",
        "hnet; where the task is not given, that under whose autoencoder the sample is likeliest",
        "ours",
        _EVERY,
        "hnet:hnet_lik",
        (*_HNET, *_MEMORY, "bound", "likelihood"),
        trained="once",
        equation=(
            "hnet's loss, and for the autoencoders -ELBO_t(x) with the same regulariser\n"
            "task = argmax_t log p(x | t), by a bound on it; with an autoencoder for each class c\n"
            "p(x | t) = mean_c p(x | c)"
        ),
        needs="no task to answer; keeps two θ and embeddings of tasks and classes, no data",
    ),
    MethodEntry(
        "hnet-tir",
        "hnet; where the task is not given, a classifier taught with generated samples infers it",
        _OSWALD,
        _EVERY,
        "hnet:hnet_tir",
        (*_HNET, *_MEMORY, "replay"),
        trained="once",
        equation=(
            "hnet's loss, for classifiers and for the decoders of a generative memory\n"
            "task = argmax_t of a classifier trained on current against generated samples"
        ),
        needs="no task to answer; keeps two θ, two embeddings a task and a classifier, no data",
    ),
    MethodEntry(
        "finetune",
        "a plain network trained on each task in turn (lower bound)",
        _VEN,
        _EVERY,
        "plain:Finetune",
        _PLAIN,
        equation="L(θ) on the current task",
        needs="the task in the task scenario; keeps one network, no data",
    ),
    MethodEntry(
        "separate",
        "a plain network for each task",
        _VEN,
        ("task",),
        "plain:Separate",
        _PLAIN,
        equation="L(θ_T), a network of its own for each task",
        needs="the task of every sample; keeps a network a task",
    ),
    MethodEntry(
        "joint",
        "a plain network trained on all tasks at once (upper bound)",
        _VEN,
        _EVERY,
        "plain:Joint",
        _PLAIN,
        equation="Σ_t L_t(θ) on the data of all tasks",
        needs="the data of all tasks at once",
    ),
    MethodEntry(
        "ewc",
        "a plain network; parameters are held by their Fisher information, a term a task",
        "Kirkpatrick et al. 2017, arXiv 1612.00796",
        _EVERY,
        "penalties:Ewc",
        (*_PLAIN, "penalty"),
        ignores=("penalty.decay", "penalty.xi"),
        equation="L(θ) + λ/2 Σ_{t<T} Σ_i F_ti (θ_i - θ*_ti)²",
        needs="the task in the task scenario; keeps one network, its Fisher information and θ*",
    ),
    MethodEntry(
        "ewc-online",
        "a plain network; parameters are held by a running Fisher information that decays",
        "Schwarz et al. 2018, arXiv 1805.06370",
        _EVERY,
        "penalties:EwcOnline",
        (*_PLAIN, "penalty"),
        ignores=("penalty.xi",),
        equation="L(θ) + λ/2 Σ_i F_i (θ_i - θ*_i)²\nF ← γ F + F_T when task T ends",
        needs="the task in the task scenario; keeps one network, its Fisher information and θ*",
    ),
    MethodEntry(
        "si",
        "a plain network; parameters are held by how much they lowered earlier tasks' losses",
        "Zenke et al. 2017, arXiv 1703.04200",
        _EVERY,
        "penalties:Si",
        (*_PLAIN, "penalty"),
        ignores=("penalty.decay", "penalty.samples"),
        equation=(
            "L(θ) + c Σ_i Ω_i (θ_i - θ̃_i)²\n"
            "ω_i = -Σ g_i Δθ_i along the task; Ω_i ← max(0, Ω_i + ω_i / (Δ_i² + ξ)) when it ends"
        ),
        needs="the task in the task scenario; keeps one network, Ω and θ̃, no data",
    ),
    MethodEntry(
        "lwf",
        "a plain network that goes on answering new inputs as it did before the task",
        "Li and Hoiem 2016, arXiv 1606.09282",
        _EVERY,
        "lwf:Lwf",
        (*_PLAIN, "distillation"),
        equation="1/T L(θ) + (1 - 1/T) λ D(answers before the task, answers now)",
        needs="the task in the task scenario; keeps one network, no data",
    ),
    MethodEntry(
        "hnet-r",
        "a plain network replays samples that a hypernetwork's decoders remember, softly labelled",
        _OSWALD,
        _EVERY,
        "replay:hnet_r",
        (*_PLAIN, *_MEMORY, "replay", "distillation"),
        equation=(
            f"(1 - w) L on the task's data + w λ D(former logits) on generated samples, {_W}\n"
            "decoders: hnet's loss with -ELBO_T(x)"
        ),
        needs="the task in the task scenario; keeps one network, θ and an embedding a task",
    ),
    MethodEntry(
        "dgr",
        "a plain network and a plain generator, retrained on samples of their former selves",
        _SHIN,
        _EVERY,
        "replay:dgr",
        _DGR,
        equation=f"(1 - w) L on the task's data + w L on samples of the former self, {_W}",
        needs="the task in the task scenario; keeps one network and one generator, no data",
    ),
    MethodEntry(
        "dgr-distill",
        "dgr with soft labels",
        _VEN,
        _EVERY,
        "replay:dgr",
        (*_DGR, "distillation"),
        equation=f"(1 - w) L on the task's data + w λ D(former logits) on generated samples, {_W}",
        needs="the task in the task scenario; keeps one network and one generator, no data",
    ),
):
    METHODS.add(_entry.name, _entry)


def settings_of(methods: Iterable[str]) -> set[str]:
    """Names of the settings that any of `methods` takes."""
    return {setting for name in methods for setting in METHODS[name].settings}
