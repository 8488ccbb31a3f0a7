"""How drawn networks differ, by hand; and what needs them is refused without them."""

from __future__ import annotations

import math

import pytest
import torch

from hypermnesia.errors import ConfigError
from hypermnesia.evidence.disagreement import Agreement, MutualInformation
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.hypernet.noise import NoiseSettings
from problems import batches, blobs, build, learn

SURE, UNSURE = [math.log(0.9), math.log(0.1), -math.inf], [0.0, 0.0, -math.inf]
DRAWS = torch.tensor([[[SURE, SURE]], [[SURE, SURE[1::-1] + SURE[2:]]], [[UNSURE, UNSURE]]])


def networks(draws: int = 3) -> AllTasks:
    return build("hnet-bayes", noise=NoiseSettings(draws=draws)).all_tasks


def test_the_agreement_is_the_variance_of_probabilities() -> None:
    found = Agreement(networks()).of_draws(DRAWS)
    # Of 0.9 and 0.1 the mean is 0.5 and the variance 0.16, in each of two classes.
    torch.testing.assert_close(found, torch.tensor([[0.0], [-0.32], [0.0]]))


def test_the_mutual_information_is_what_the_mean_has_more_entropy() -> None:
    found = MutualInformation(networks()).of_draws(DRAWS)
    own = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    wanted = torch.tensor([[0.0], [own - math.log(2)], [0.0]])
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["entropy", "agreement", "mutual-information"])
def test_the_task_is_inferred_by_it(name: str) -> None:
    method = build("hnet-bayes", noise=NoiseSettings(draws=4, evidence=name))
    for task in range(2):
        learn(method, blobs(task), 10)
    x = blobs(0).x
    logits, evidence = method.logits_and_evidence(x)
    torch.testing.assert_close(evidence, method.evidence.log_evidence(x, logits))
    torch.testing.assert_close(logits, method.all_tasks(x))
    assert torch.equal(method.predict(x, scenario="class").tasks, evidence.argmax(dim=0))


def test_one_network_a_task_is_refused() -> None:
    for asked in (build("hnet").all_tasks, networks(draws=1)):
        with pytest.raises(ConfigError, match="two or more networks of a task must be drawn"):
            Agreement(asked)


def test_classes_are_needed() -> None:
    method = build("hnet-bayes", noise=NoiseSettings(draws=2, evidence="agreement"))
    with pytest.raises(ConfigError, match="of which each needs two or more"):
        learn(method, blobs(0), 1, outputs=1)
    (batch,) = batches(blobs(0), 1)
    values = type(batch)(batch.x, batch.x[:, :2], batch.task)
    with pytest.raises(ConfigError, match="an entropy needs classes"):
        method.evidence.update(values)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"inference": EntropySettings(screen="bf16")}, "asked for their mean prediction"),
        ({"inference": EntropySettings("entropy-gradient")}, "asked for their mean prediction"),
        (
            {
                "inference": EntropySettings(calibrated=True),
                "noise": NoiseSettings(evidence="agreement"),
            },
            "inference is for noise.evidence=entropy",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, object], rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        build("hnet-bayes", **change)
