"""How tasks are inferred: what `auto` chooses, probabilities, rejection, groups, features."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from benchmarks.learner.models import TokenTransformer
from learners import QUICK, clouds, learner, mlp, words
from sklearn.neighbors import KernelDensity
from torch import nn

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError, DataError, RunError
from hypermnesia.evidence.best import BestEvidence
from hypermnesia.evidence.densities import TaskDensities
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.learner.calibration import Calibration, quantiles, share_below, sharpest


def both() -> tuple[np.ndarray, np.ndarray]:
    """Clouds of the two tasks of `learner`, and their tasks."""
    return np.concatenate([clouds(0)[0], clouds(1, classes=3)[0]]), np.repeat(["a", "b"], 90)


@pytest.fixture(scope="module")
def taught() -> ContinualLearner:
    return learner("auto")


def test_real_numbers_have_gaussians_by_default(taught) -> None:
    x, tasks = both()
    assert taught.settings.infer_task == "auto"
    assert isinstance(taught._learned.method.evidence, BestEvidence)
    assert taught.inference.startswith("gaussian: inputs are real numbers")
    assert "nats lost on held-out samples: gaussian 0.0, entropy " in taught.inference
    assert "inferred by gaussian: inputs" in taught.summary()
    assert taught.inference.endswith("; held-out samples recognised: 100%, 100%")
    assert (taught.predict_task(x).tasks == tasks).all()


def test_tasks_that_look_the_same_are_warned_of() -> None:
    made = ContinualLearner(mlp(), **QUICK).fit(*clouds(0), task="a")
    with pytest.warns(UserWarning, match="'b' should be told from the others; got"):
        made.fit(*clouds(0), task="b")


def test_ids_are_told_apart_by_entropy_and_values_must_be_named() -> None:
    ids = np.random.default_rng(0).integers(0, 9, (40, 12))
    made = ContinualLearner(TokenTransformer(), iterations=2).fit(ids, ids[:, 0] > 4, task="a")
    assert made.inference.startswith("entropy: inputs are ids, which have no density")
    values = ContinualLearner(TokenTransformer(), iterations=2).fit(ids, ids[:, 0] / 9, task="a")
    assert "tasks must be named" in values.inference
    with pytest.raises(ConfigError, match="infers no tasks"):
        values.predict(ids)


def test_probabilities_are_the_tasks_own_weighed_by_those_of_the_tasks(taught) -> None:
    x, _ = both()
    known, shares = taught._learned, taught.predict_proba(x)
    logits, evidence = known.method.logits_and_evidence(torch.as_tensor(x))
    weights = known.calibration.log_posterior(evidence).exp()
    heat = known.calibration.outputs.exp()
    expected = np.zeros((len(x), 5))
    for task, name in enumerate(taught.tasks):
        columns = [taught.classes().tolist().index(label) for label in taught.classes(name)]
        own = (logits[task, :, : len(columns)] / heat[task]).softmax(dim=1)
        expected[:, columns] += (weights[task][:, None] * own).numpy()
    assert np.allclose(shares, expected, atol=1e-6)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert taught.classes().tolist() == sorted(taught.classes())
    assert (taught.classes()[shares.argmax(axis=1)] == taught.predict(x)).all()


def test_labels_that_tasks_share_add_up() -> None:
    made = ContinualLearner(mlp(), **QUICK)
    for task in range(2):
        made.fit(*clouds(task), task=task)
    shares = made.predict_proba(both()[0])
    assert shares.shape == (180, 2)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)


def test_what_is_like_no_task_is_rejected(taught) -> None:
    x, _ = both()
    far = np.full((5, 6), 30.0, np.float32)
    found = taught.predict_task(np.concatenate([x, far]), reject=0.05)
    assert found.tasks[-5:].tolist() == [None] * 5
    known = found.tasks[:-5]
    assert np.mean(known == None) < 0.1  # noqa: E711
    assert set(known[known != None]) == {"a", "b"}  # noqa: E711
    assert (taught.predict_task(far, reject=0.0).tasks != None).all()  # noqa: E711
    scores = taught.score_samples(np.concatenate([x, far]))
    assert scores[:-5].min() > scores[-5:].max()
    with pytest.raises(ConfigError, match="reject must be a share"):
        taught.predict_task(x, reject=1.5)


def test_evidence_of_inputs_from_one_task_adds_up(taught) -> None:
    x, tasks = both()
    noisy = x + np.random.default_rng(0).normal(0, 2, x.shape).astype(np.float32)
    alone, pooled = taught.predict_task(noisy), taught.predict_task(noisy, together=tasks)
    assert (pooled.tasks == tasks).mean() > (alone.tasks == tasks).mean()
    assert len({*pooled.tasks[:90]}) == 1
    one = taught.predict_task(noisy[:90], together=True)
    assert np.array_equal(one.tasks, pooled.tasks[:90])
    assert len(taught.predict(noisy, together=tasks)) == len(taught.predict_proba(noisy)) == 180
    with pytest.raises(DataError, match="name each input's group"):
        taught.predict(x, together=["a"])


def test_what_was_saved_answers_the_same(taught, tmp_path) -> None:
    x, _ = both()
    taught.save(tmp_path / "made")
    loaded = ContinualLearner.load(tmp_path / "made", mlp())
    for ask in ("predict_proba", "score_samples"):
        assert np.array_equal(getattr(loaded, ask)(x), getattr(taught, ask)(x))
    tasks = [each.predict_task(x, reject=0.2).tasks for each in (loaded, taught)]
    assert np.array_equal(*tasks)
    assert loaded.inference == taught.inference


def test_a_task_that_goes_on_pools_its_gaussians() -> None:
    made = learner("gaussian", tasks=1)
    x, y = clouds(0)
    kept = made._learned.method.evidence.kept
    made.fit(x + 5, words(y), task="a")
    assert made._learned.method.evidence.kept == kept
    assert np.isfinite(made.score_samples(x)).all()
    assert made._learned.calibration.rows.tolist() > [90]


def test_a_density_of_the_user_s() -> None:
    made = learner(KernelDensity(bandwidth=0.5))
    x, tasks = both()
    assert isinstance(made._learned.method.evidence, TaskDensities)
    assert (made.predict_task(x).tasks == tasks).mean() > 0.95
    made.fit(*(part[:40] for part in (clouds(0)[0], words(clouds(0)[1]))), task="a")
    assert (made.predict_task(x).tasks == tasks).mean() > 0.95
    with pytest.raises(RunError, match="cannot be saved; got KernelDensity"):
        made.save("anywhere")


class Backboned(nn.Module):
    """A frozen layer, and one that each task has for itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone, self.head = nn.Linear(6, 9).requires_grad_(False), nn.Linear(9, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(x).relu())


def test_densities_of_a_shared_layer(tmp_path) -> None:
    made = ContinualLearner(Backboned(), features="backbone", **QUICK)
    for task in range(2):
        made.fit(*clouds(task), task=task)
    x = clouds(1)[0]
    assert made._learned.method.evidence.members["gaussian"].entries == 9
    assert (made.predict_task(x).tasks == 1).mean() > 0.95
    made.save(tmp_path / "made")
    loaded = ContinualLearner.load(tmp_path / "made", Backboned())
    assert np.array_equal(loaded.predict_proba(x), made.predict_proba(x))


class Looking(Backboned):
    """One that looks at its logits, so that networks run one after another."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = super().forward(x)
        return logits if float(logits.detach().sum()) < torch.inf else -logits


def test_a_fit_costs_no_more_the_more_tasks_there_are(monkeypatch) -> None:
    made = ContinualLearner(Looking(), "gaussian", features="backbone", **QUICK)
    made.fit(*clouds(0), task=0)
    wanted = learner_of_all(made).fit(*clouds(1), task=1)
    with monkeypatch.context() as patched:
        patched.setattr(AllTasks, "__call__", None)  # of every task's network
        made.fit(*clouds(1), task=1)
    for name, value in vars(made._learned.calibration).items():
        assert torch.equal(value, getattr(wanted._learned.calibration, name))
    layer = made._learned.method.evidence.layer
    later = layer._network.head.register_forward_hook(lambda *_: pytest.fail("needlessly"))
    layer(torch.as_tensor(clouds(0)[0]))
    later.remove()


def learner_of_all(made: ContinualLearner) -> ContinualLearner:
    """A copy, whose evidence is asked along with all networks."""
    other = copy.deepcopy(made)
    other._learned.method.evidence.of_inputs = False
    return other


@pytest.mark.parametrize(
    ("layer", "rule"), [("head", "that all tasks share"), ("bone", "must name a layer")]
)
def test_features_that_tasks_do_not_share_are_refused(layer: str, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        ContinualLearner(Backboned(), features=layer, **QUICK).fit(*clouds(0), task=0)


def test_another_size_is_refused_before_it_is_learned() -> None:
    made = ContinualLearner(nn.Sequential(nn.AdaptiveAvgPool1d(6), nn.Linear(6, 2)), **QUICK)
    made.fit(*clouds(0), task=0)
    with pytest.raises(DataError, match="one shape; got 8 entries, where they had 6"):
        made.fit(*clouds(1, inputs=8), task=1)
    assert made.tasks == [0]


def test_quantiles_of_what_was_seen_and_of_what_is_new() -> None:
    values = torch.linspace(0, 100, 101)
    assert torch.allclose(quantiles(values), values.double())
    both = quantiles(values + 100, (quantiles(values), 101.0))
    assert abs(float(both[50]) - 100) < 2
    assert share_below(torch.tensor([-1.0, 25.0, 200.0]), values).tolist() == [0.0, 0.25, 1.0]
    assert quantiles(torch.tensor([3.0])).tolist() == [3.0] * 101


def test_p_values_by_hand() -> None:
    """Of nine samples none, half or all have less: (0 + 1) / 10, (4.5 + 1) / 10 and 1."""
    made = Calibration()
    made.quantiles, made.rows = torch.linspace(0, 1, 101)[None], torch.tensor([9.0])
    found = made.p_values(torch.tensor([[-1.0, 0.5, 2.0], [0.0, 0.0, 0.0]]))
    assert torch.allclose(found[0], torch.tensor([0.1, 0.55, 1.0], dtype=torch.float64))
    assert (found[1] == 1).all()


def test_the_temperature_finds_how_much_too_sure_scores_are() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=generator)
    truth = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).squeeze(1)
    assert abs(float(sharpest(5 * logits, truth).exp()) - 5) < 0.6
