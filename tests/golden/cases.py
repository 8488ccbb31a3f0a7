"""What is run, as plain values: names and settings as a user types them."""

from __future__ import annotations

from dataclasses import dataclass

Settings = dict[str, str]

TASKS = 3
ITERATIONS = 20

_BASE = {
    "data.tasks": f"{TASKS}",
    "train.iterations": f"{ITERATIONS}",
    "train.batch_size": "32",
    "target.hidden": "[12]",
    "optimizer.lr": "0.01",
}
_HYPERNET = {
    "hypernet.hidden": "[6]",
    "hypernet.chunk": "150",
    "hypernet.task_embedding": "4",
    "hypernet.chunk_embedding": "4",
}
_VAE = {"vae.encoder": "[12]", "vae.decoder": "[12]", "vae.latent": "3", "vae_optimizer.lr": "0.01"}
_VAE_HYPERNET = {
    "vae_hypernet.hidden": "[6]",
    "vae_hypernet.chunk": "150",
    "vae_hypernet.task_embedding": "4",
    "vae_hypernet.chunk_embedding": "4",
}
_SUM = {"patches.number": "5", "posterior.rank": "3"}

SIZES: dict[str, Settings] = {
    "hnet": _HYPERNET,
    "hnet-ent": _HYPERNET,
    "hnet-bayes": _HYPERNET,
    "hnet-lik": _HYPERNET | _VAE | _VAE_HYPERNET,
    "hnet-tir": _HYPERNET | _VAE | _VAE_HYPERNET,
    "hnet-r": _VAE | _VAE_HYPERNET,
    "dgr": _VAE,
    "dgr-distill": _VAE,
    "ranpac": {"projection.width": "20"},
    "patches": {"patches.number": "5"},
    "patch-sum": _SUM,
    "hnet-sum": _HYPERNET | _SUM,
    "gen-classifier": _VAE,
}
"""Small sizes of the networks of a method, where it has others than the target."""

UNTRAINED = ("ncm", "slda", "ranpac", "patches", "patch-sum", "gen-classifier")
"""Methods that train no target network."""


@dataclass(frozen=True)
class Case:
    """A run: `settings` are laid over the small sizes of its method."""

    method: str
    scenario: str
    settings: tuple[tuple[str, str], ...] = ()
    benchmark: str = "split-digits"

    def assignments(self) -> list[str]:
        """`section.field=value` texts."""
        fields = _BASE | SIZES.get(self.method, {}) | dict(self.settings)
        if self.method in UNTRAINED:
            del fields["optimizer.lr"]
        return [f"{name}={value}" for name, value in fields.items()]


def _case(
    method: str, scenario: str = "task", benchmark: str = "split-digits", **settings: str
) -> Case:
    given = {name.replace("__", "."): value for name, value in settings.items()}
    return Case(method, scenario, tuple(given.items()), benchmark)


_FULL = {"hypernet__plan": "full", "hypernet__chunk": "null"}
_SUBSET = {"regularizer__kind": "sampled", "regularizer__subset": "1"}
_STRONG = {"regularizer__beta": "1"}

VARIANTS: dict[str, Case] = {
    # regularisers and lookaheads, strong enough to matter
    "closed": _case("hnet", **_STRONG),
    "closed-sgd-lookahead": _case("hnet", **_STRONG, regularizer__lookahead="sgd"),
    "closed-no-lookahead": _case("hnet", **_STRONG, regularizer__lookahead="none"),
    "direct": _case("hnet", **_STRONG, regularizer__kind="direct"),
    "direct-sgd-lookahead": _case(
        "hnet", **_STRONG, regularizer__kind="direct", regularizer__lookahead="sgd"
    ),
    "direct-no-lookahead": _case(
        "hnet", **_STRONG, regularizer__kind="direct", regularizer__lookahead="none"
    ),
    "sampled": _case("hnet", **_STRONG, **_SUBSET),
    "sampled-sgd-lookahead": _case("hnet", **_STRONG, **_SUBSET, regularizer__lookahead="sgd"),
    "sampled-no-lookahead": _case("hnet", **_STRONG, **_SUBSET, regularizer__lookahead="none"),
    "no-regularizer": _case("hnet", regularizer__beta="0"),
    # hypernetworks
    "plan-full": _case("hnet", **_FULL, **_STRONG),
    "plan-full-unchunked": _case("hnet", **_FULL, hypernet__chunk_embedding="0"),
    "plan-layer": _case("hnet", hypernet__plan="layer", hypernet__chunk="null", **_STRONG),
    "plan-layer-direct": _case(
        "hnet", hypernet__plan="layer", hypernet__chunk="null", regularizer__kind="direct"
    ),
    "hyperfan": _case("hnet", hypernet__init="hyperfan", hypernet__activation="elu"),
    "mean-embedding": _case("hnet", hypernet__embedding_start="mean", hypernet__hidden="[6, 5]"),
    "no-hidden-layer": _case("hnet", hypernet__hidden="[]"),
    # target networks
    "lenet": _case("hnet", target__net="lenet", hypernet__chunk="2000", train__iterations="4"),
    "zenke": _case(
        "hnet",
        benchmark="perm-digits",
        target__net="zenke",
        hypernet__chunk="8000",
        data__padding="4",
        data__tasks="2",
        train__iterations="2",
        train__batch_size="8",
    ),
    "resnet32": _case(
        "hnet",
        target__net="resnet32",
        hypernet__chunk="20000",
        train__iterations="2",
        data__tasks="2",
        train__batch_size="8",
    ),
    "lenet-plain": _case(
        "ewc", "class", target__net="lenet", train__iterations="4", penalty__samples="50"
    ),
    "dropout": _case("hnet", target__hidden="[12, 10]", target__dropout="0.3"),
    "dropout-plain": _case("si", "domain", target__hidden="[12, 10]", target__dropout="0.3"),
    "generated-head": _case("hnet", target__generated="['3.*']", target__head="'3'"),
    "generated-head-shared-trained": _case(
        "hnet", target__generated="['3.*']", target__train_shared="true"
    ),
    # optimisers
    "adamw": _case("hnet", optimizer__name="adamw", optimizer__weight_decay="0.1"),
    "sgd-momentum": _case(
        "hnet", optimizer__name="sgd", optimizer__momentum="0.9", optimizer__lr="0.05"
    ),
    "rmsprop": _case("hnet", optimizer__name="rmsprop", optimizer__lr="0.001"),
    "schedule-clip": _case(
        "hnet", optimizer__schedule="{0.5: 0.1}", optimizer__clip="0.5", **_STRONG
    ),
    "embedding-sgd": _case(
        "hnet", embedding_optimizer__name="sgd", embedding_optimizer__lr="0.1", **_STRONG
    ),
    "clip-plain": _case("finetune", "class", optimizer__clip="0.5"),
    # data
    "augmented": _case("hnet", train__augment="shift"),
    "epochs": _case("finetune", "class", train__iterations="null", train__epochs="1"),
    "class-order": _case("hnet-ent", "class", data__class_order="7"),
    "validation": _case("hnet", data__validation="40", data__evaluate_on="validation"),
    "five-tasks": _case("hnet-ent", "class", data__tasks="5", **_STRONG),
    "permuted": _case("hnet-ent", "class", "perm-digits", data__padding="1"),
    "permuted-domain": _case("lwf", "domain", "perm-digits"),
    # how training computes
    "bf16": _case("hnet", compute__precision="bf16"),
    # settings of methods
    "entropy-gradient": _case("hnet-ent", "class", inference__criterion="entropy-gradient"),
    "entropy-calibrated": _case(
        "hnet-ent", "class", inference__calibrated="true", inference__temperature="2"
    ),
    "entropy-screened": _case("hnet-ent", "class", inference__screen="bf16"),
    "likelihood-answers": _case(
        "hnet-lik", "class", likelihood__of="class", likelihood__answer="likelihood"
    ),
    "importance-bound": _case("hnet-lik", "class", bound__kind="importance", bound__samples="3"),
    "gaussian-likelihood": _case(
        "hnet-lik", "class", vae__likelihood="gaussian", bound__divergence="2"
    ),
    "vae-direct": _case(
        "hnet-tir", "class", vae_regularizer__kind="direct", vae_regularizer__beta="1"
    ),
    "vae-sampled": _case(
        "hnet-lik", "class", vae_regularizer__kind="sampled", vae_regularizer__subset="1"
    ),
    "tir-replay-tasks": _case("hnet-tir", "class", replay__share="tasks"),
    "r-replay-tasks": _case("hnet-r", "class", replay__share="tasks"),
    "dgr-half": _case("dgr", "class", replay__share="half"),
    "soft-labels": _case(
        "dgr-distill", "class", distillation__temperature="1", distillation__strength="0.5"
    ),
    "lwf-soft": _case("lwf", "class", distillation__temperature="4", distillation__strength="2"),
    "fisher-of-some": _case("ewc", "class", penalty__samples="20", penalty__strength="10"),
    "fisher-decays": _case("ewc-online", "task", penalty__decay="0.5", penalty__strength="10"),
    "path-integral": _case("si", "task", penalty__xi="0.01", penalty__strength="1"),
}
"""Runs for what else can be set, by name."""
