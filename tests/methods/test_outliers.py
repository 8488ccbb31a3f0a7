"""Outlier exposure: what is shuffled, the loss it adds, and what it is for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hypermnesia.errors import ConfigError
from hypermnesia.evidence.entropy import (
    EntropySettings,
    entropy,
    learned_share,
    shuffled,
    unsureness,
)
from hypermnesia.methods import TaskSpec
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.testing import check_method
from problems import blobs, build

SHUFFLED = EntropySettings(outliers="shuffled")


PLAIN = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
BATCH = blobs(0).batch(torch.arange(64))


def made(inference: EntropySettings = SHUFFLED, name: str = "hnet-ent") -> HypernetMethod:
    """A method that has begun a task."""
    method = build(name, network=PLAIN, inference=inference)
    assert isinstance(method, HypernetMethod)
    method.begin_task(TaskSpec(2, 60))
    return method


def test_pixels_move_with_their_channels_and_entries_of_flat_inputs_alone() -> None:
    x = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    moved = shuffled(x, torch.Generator().manual_seed(0))
    columns = [{tuple(pixel) for pixel in image.flatten(1).T.tolist()} for image in x]
    assert [{tuple(p) for p in image.flatten(1).T.tolist()} for image in moved] == columns
    assert not torch.equal(moved[0] - x[0], moved[1] - x[1])  # an order for each
    flat = shuffled(x.flatten(1), torch.Generator().manual_seed(0))
    assert torch.equal(flat.sort(dim=1).values, x.flatten(1))
    assert not torch.equal(flat, x.flatten(1))


def test_equally_likely_classes_are_wanted() -> None:
    logits = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    likely = torch.full((7, 4), 0.25, dtype=torch.float64)
    torch.testing.assert_close(unsureness(logits), F.cross_entropy(logits, likely))
    assert float(unsureness(torch.zeros(3, 4))) == pytest.approx(math.log(4))


def test_an_iteration_adds_their_loss_to_the_task_s() -> None:
    """The loss of an update is that of the same update without, plus w a times the outliers'."""
    alone, both = made(EntropySettings()), made(replace(SHUFFLED, outlier_weight=2.0))
    for _ in range(30):
        alone.update(BATCH)
    both.load_state_dict(alone.state_dict())
    own = F.cross_entropy(both.memory.run(0, BATCH.x, training=False), BATCH.y).detach()
    learned = 1 - float(own) / math.log(2)
    assert 0.1 < learned < 1
    order = torch.Generator()
    order.set_state(both.generators["outliers"].get_state())
    odd = both.memory.run(0, shuffled(BATCH.x[:32], order), training=False).detach()
    losses = [float(method.update(BATCH)["loss"]) for method in (alone, both)]
    assert losses[1] - losses[0] == pytest.approx(2 * learned * float(unsureness(odd)), rel=1e-4)


def test_outliers_do_not_count_where_nothing_is_learned() -> None:
    wrong, y = torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([1, 0])
    assert float(learned_share(wrong, y)) == 0
    assert float(learned_share(wrong.flip(1), y)) == pytest.approx(0.465, abs=1e-3)


@pytest.mark.parametrize("name", ["hnet-ent", "hnet-bayes"])
def test_networks_are_unsure_of_what_is_shuffled(name: str) -> None:
    odd = shuffled(BATCH.x, torch.Generator().manual_seed(5))
    unsure = []
    for inference in (EntropySettings(), SHUFFLED):
        method = made(inference, name)
        for _ in range(60):
            method.update(BATCH)
        method.end_task([BATCH])
        unsure.append(float(entropy(method.predict(odd, 0, "task").logits).mean()))
    assert unsure[1] > unsure[0] + 0.1


def test_it_keeps_the_protocol() -> None:
    check_method(lambda generators: build("hnet-ent", generators=generators, inference=SHUFFLED))


def test_what_cannot_be_shuffled_is_refused() -> None:
    method = made()
    with pytest.raises(ConfigError, match="one tensor of real numbers"):
        method.evidence.outliers(torch.zeros(8, 6, dtype=torch.long), method.generators)
    with pytest.raises(ConfigError, match="no use without"):
        EntropySettings(outlier_weight=1.0)


@pytest.mark.parametrize(("start", "said"), [("mean", 1), ("normal", 0)])
def test_a_start_whose_units_outliers_switch_off_is_told(
    start: str, said: int, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = replace(made().memory.settings, embedding_start=start)  # type: ignore[arg-type]
    build("hnet-ent", network=PLAIN, inference=SHUFFLED, hypernet=sizes)
    assert caplog.text.count("hypernet.embedding_start=normal") == said
