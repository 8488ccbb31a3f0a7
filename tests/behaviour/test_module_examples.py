"""What people reported of kindred libraries, each on real data with the value that is right."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hypermnesia import ContinualLearner
from hypermnesia.errors import TargetError

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")
TRAIN, TEST = slice(0, None, 2), slice(1, None, 2)


class OwnNorm(nn.Module):
    """Layer normalisation, written by hand."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        return centred / (x.var(dim=-1, keepdim=True) + 1e-5).sqrt() * self.scale + self.shift


def blocks(norm: Callable[[int], nn.Module]) -> nn.Module:
    each = [nn.Sequential(nn.Linear(32, 32), norm(32), nn.GELU()) for _ in range(8)]
    return nn.Sequential(nn.Linear(64, 32), *each, nn.Linear(32, 10))


class Checkpointed(nn.Module):
    """Blocks whose activations are computed again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.block = nn.Linear(64, 48), nn.Sequential(nn.Linear(48, 48), nn.ReLU())
        self.out = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        hidden = checkpoint(self.block, self.first(x).relu(), use_reentrant=False)
        return self.out(hidden)


class Merging(nn.Module):
    """A low-rank update that is merged into the weight to evaluate, as libraries of LoRA do."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.out = nn.Linear(64, 48), nn.Linear(48, 10)
        self.down, self.up = nn.Linear(64, 8, bias=False), nn.Linear(8, 48, bias=False)
        self.merged = False

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        if self.merged == mode:
            change = self.up.weight.data @ self.down.weight.data
            self.base.weight.data += -change if mode else change
            self.merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.base(x) if self.merged else self.base(x) + self.up(self.down(x))
        return self.out(hidden.relu())


class Lambda(nn.Module):
    """A forward pass that closes over the module it was made in."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.o = nn.Linear(64, 48), nn.Linear(48, 10)
        self.f = lambda x: self.o(self.a(x).relu())

    def forward(self, x: Tensor) -> Tensor:
        return self.f(x)


class Padded(nn.Module):
    """Means of word vectors, with a padding word that counts for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(18, 48, padding_idx=0), nn.Linear(48 * 64, 10)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(
            self.words(ids)[:, :64].flatten(1) + self.words(ids)[:, 64:].sum(1).repeat(1, 64)
        )


def accuracy(model: nn.Module, x=X, **settings: object) -> float:
    learner = ContinualLearner(model, None, **{"iterations": 500, "seed": 0, **settings})
    learner.fit(x[TRAIN], Y[TRAIN], task="digits")
    return learner.score(x[TEST], Y[TEST], task="digits")


def made(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make()


MODELS = {
    "a norm of one's own, eight blocks": lambda: blocks(OwnNorm),
    "torch's norm, eight blocks": lambda: blocks(nn.LayerNorm),
    "activation checkpointing": Checkpointed,
    "weights merged to evaluate": Merging,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_digits(name: str) -> None:
    assert accuracy(made(MODELS[name])) > 0.9


def test_a_padding_word_counts_for_nothing_however_often_it_is_there() -> None:
    ids = torch.as_tensor(X * 16).long() + 1
    padded = torch.cat([ids, ids.new_zeros(len(ids), 24)], dim=1)
    learner = ContinualLearner(made(Padded), None, iterations=400)
    learner.fit(padded[TRAIN], Y[TRAIN], task="digits")
    assert learner.score(padded[TEST], Y[TEST], task="digits") > 0.9
    words = learner.export("digits").words.weight
    assert not words[0].any()
    assert words[1:].any()


def test_a_forward_pass_of_another_copy_is_refused() -> None:
    with pytest.raises(TargetError, match="a model's forward must use its own parameters"):
        accuracy(made(Lambda), iterations=3)


def test_a_frozen_batch_norm_keeps_its_statistics() -> None:
    model = made(
        lambda: nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    )
    model[1].eval()
    model[1].running_mean.fill_(0.3)
    learner = ContinualLearner(model, None, iterations=50)
    learner.fit(X[TRAIN], Y[TRAIN], task="digits")
    assert torch.equal(learner.export("digits")[1].running_mean, model[1].running_mean)
