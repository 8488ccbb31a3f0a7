"""Every evidence keeps the protocol's promises, a user's own too, and the check can fail."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from hypermnesia.data.types import Batch
from hypermnesia.evidence import EVIDENCE, Evidence
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.testing import check_evidence
from hypermnesia.vae import BoundSettings
from problems import CPU, SMALL_VAE, batches, blobs, learn, small_net

VAE = {"vae": SMALL_VAE, "sample_shape": (6,)}
OWN: dict[str, dict[str, Any]] = {
    "entropy": {},
    "gaussian": {},
    "ridge": {},
    "best": {},
    "sum": {},
    "likelihood": VAE | {"bound": BoundSettings(samples=2)},
    "agreement": {},
    "mutual-information": {},
    "classifier": VAE | {"network": small_net(), "optimizer": OptimizerSettings(lr=0.01)},
}


OF_DRAWS = ("agreement", "mutual-information")


def build(name: str, networks: AllTasks, generators: Generators) -> Evidence:
    takes = "generators" in inspect.signature(EVIDENCE[name]).parameters
    streams = {"generators": generators} if takes else {}
    return EVIDENCE[name](networks, **OWN[name], **streams)


@pytest.mark.parametrize("name", [*OWN])
def test_it_keeps_the_contract(name: str) -> None:
    """All but `filters`, which are for images and otherwise as `gaussian`."""
    assert {*EVIDENCE} - {*OWN} == {"filters"}
    check_evidence(partial(build, name), draws=3 if name in OF_DRAWS else 1)


@pytest.mark.parametrize(
    "settings", [{"calibrated": True}, {"criterion": "entropy"}, {"temperature": 3.0}]
)
def test_the_entropy_keeps_it_whatever_its_settings(settings: dict[str, Any]) -> None:
    inference = EntropySettings(**settings)
    entropy = EVIDENCE["entropy"]
    check_evidence(lambda networks, generators: entropy(networks, inference=inference))


class NearestMean(Evidence):
    """The task whose training inputs lie nearest on average: one a user might write."""

    def __init__(self, networks: AllTasks, generators: Generators) -> None:
        self.networks, self.generators = networks, generators
        self.means: list[Tensor] = []

    def end_task(self, batches: Iterable[Batch]) -> None:
        self.means.append(torch.cat([batch.x for batch in batches]).mean(dim=0))

    def continue_task(self, task: int, spec: object) -> None:
        self.means.append(self.means.pop(task))

    def log_evidence(self, x: Tensor, logits: Tensor) -> Tensor:
        means = [*self.means, *[torch.zeros_like(x[0])] * (len(logits) - len(self.means))]
        return -torch.cdist(torch.stack(means), x)

    def state_dict(self) -> dict[str, Any]:
        return {"means": self.means}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.means = [*state["means"]]


def method_with(evidence: Callable[[AllTasks, Generators], Evidence]) -> HypernetMethod:
    adam = OptimizerSettings(lr=0.01)
    return HypernetMethod(
        small_net(),
        "task",
        hypernet=SMALL_VAE.hypernet,
        regularizer=RegularizerSettings(),
        optimizer=adam,
        embedding_optimizer=adam,
        generators=Generators(0),
        device=CPU,
        evidence=lambda networks: evidence(networks, Generators(0)),
    )


def test_a_user_s_own_keeps_it_and_infers_the_task() -> None:
    check_evidence(NearestMean)
    method = method_with(NearestMean)
    for task in range(3):
        learn(method, blobs(task), 5)
    x = blobs(1).x
    nearest = torch.cdist(torch.stack([blobs(task).x.mean(dim=0) for task in range(3)]), x)
    assert torch.equal(method.predict(x, scenario="class").tasks, nearest.argmin(dim=0))


class WholeBatch(NearestMean):
    def log_evidence(self, x: Tensor, logits: Tensor) -> Tensor:
        return super().log_evidence(x, logits) * torch.arange(1.0, len(x) + 1)


class Disturbing(NearestMean):
    def update(self, batch: Batch) -> dict[str, Tensor]:
        torch.rand(1, generator=self.generators["dropout"])
        return {}


class Forgetful(NearestMean):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Changing(NearestMean):
    def log_evidence(self, x: Tensor, logits: Tensor) -> Tensor:
        found = super().log_evidence(x, logits)
        self.means = [mean + 1 for mean in self.means]
        return found


class OneNumber(NearestMean):
    def log_evidence(self, x: Tensor, logits: Tensor) -> Tensor:
        return super().log_evidence(x, logits) / 0


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (WholeBatch, "do not depend on others"),
        (Disturbing, "leaves the networks"),
        (Forgetful, "loading what was saved"),
        (Changing, "evaluating leaves the state"),
        (OneNumber, "a finite number"),
    ],
)
def test_a_broken_promise_is_named(broken: type[NearestMean], promise: str) -> None:
    with pytest.raises(AssertionError, match=promise):
        check_evidence(broken)


def test_what_an_evidence_reports_and_loses_is_among_the_method_s() -> None:
    method = method_with(partial(build, "likelihood"))
    assert {"loss", "vae_loss"} <= learn(method, blobs(0), 2)[0].keys()
    (batch,) = batches(blobs(0), 1)
    assert method.losses(batch).keys() == method.parts.keys() == {"loss", "vae_loss"}
    assert method.kept == method.memory.kept + method.evidence.kept
