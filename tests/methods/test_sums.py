"""`hnet-sum`: scores of three kinds added up, by hand; the contract with autoencoders, too."""

from __future__ import annotations

import torch

from hypermnesia.evidence.likelihood import LikelihoodSettings
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.methods.patches import PatchSettings
from hypermnesia.methods.sums import SumEvidence, SumSettings
from hypermnesia.testing import check_method
from problems import blobs, build, learn

KINDS = SumSettings(classifier=0.5, bound=0.25)
SMALL = PatchSettings(4)


def test_scores_are_the_weighed_sum() -> None:
    settings = {"kinds": KINDS, "patches": SMALL, "likelihood": LikelihoodSettings(of="class")}
    method = build("hnet-sum", **settings)
    for task, classes in enumerate((2, 3)):
        learn(method, blobs(task, classes), 5, classes)
    assert isinstance(method, HypernetMethod)
    evidence, x = method.evidence, blobs(1).x[:7]
    assert isinstance(evidence, SumEvidence)
    found, of_task = method.logits_and_evidence(x)
    patches, bounds = evidence.patches.scores(x).float(), evidence.bounds.bounds(x)
    for task, classes in enumerate((slice(0, 2), slice(2, 5))):
        heads = classes.stop - classes.start
        known = method.predict(x, task, "task").logits.log_softmax(dim=1)
        wanted = 0.5 * known + patches[:, classes] + 0.25 * bounds[classes].T
        torch.testing.assert_close(found[task, :, :heads], wanted, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(of_task[task], wanted.logsumexp(dim=1), rtol=1e-4, atol=1e-4)
    assert torch.equal(method.predict(x, scenario="class").tasks, of_task.argmax(dim=0))
    assert method.kept == method.memory.kept + evidence.patches.kept + evidence.bounds.kept
    others = 4 * (method.memory.kept + evidence.bounds.kept)
    assert method.kept_bytes == others + evidence.patches.kept_bytes


def test_it_keeps_the_contract_with_autoencoders() -> None:
    check_method(lambda g: build("hnet-sum", kinds=KINDS, patches=SMALL, generators=g))
