"""Streams of tasks on which nothing was tuned: textures, digits, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

Array = NDArray[np.float32]


class Task(NamedTuple):
    """A name, training inputs and labels, test inputs and labels."""

    name: str
    x: Array
    y: NDArray[Any]
    test_x: Array
    test_y: NDArray[Any]


class Stream(NamedTuple):
    """Tasks, which a seed shuffles and splits, and the model to learn them with."""

    tasks: Callable[[int], Iterator[Task]]
    model: Callable[[], nn.Module]


def divided(name: str, x: Array, y: NDArray[np.int64], seed: int) -> Task:
    """Hold a third of a task's samples out for its test."""
    parts = train_test_split(x, y, test_size=1 / 3, random_state=seed, stratify=y)
    return Task(name, parts[0], parts[2], parts[1], parts[3])


PAIRS = (("brick", "grass"), ("gravel", "coins"), ("moon", "page"), ("camera", "text"))
PATCH, PATCHES = 16, 400


def _patches(image: Array, rng: np.random.Generator) -> Array:
    """(patches, 1, 16, 16) of a grey image, each standardised."""
    rows, columns = (rng.integers(0, size - PATCH, PATCHES) for size in image.shape)
    cut = [image[r : r + PATCH, c : c + PATCH] for r, c in zip(rows, columns, strict=True)]
    patches = np.stack(cut)[:, None].astype(np.float32)
    spread = patches.std(axis=(1, 2, 3), keepdims=True) + 1e-3
    return ((patches - patches.mean(axis=(1, 2, 3), keepdims=True)) / spread).astype(np.float32)


def textures(seed: int) -> Iterator[Task]:
    """Two of scikit-image's pictures a task: upper parts to learn from, lower ones to test on."""
    from skimage import data

    rng = np.random.default_rng(seed)
    for pair in PAIRS:
        pictures = [np.asarray(getattr(data, name)(), np.float32) / 255 for name in pair]
        upper = [_patches(p[: int(0.7 * len(p))], rng) for p in pictures]
        lower = [_patches(p[int(0.7 * len(p)) :], rng) for p in pictures]
        labels = np.arange(2).repeat(PATCHES)
        yield Task("-".join(pair), np.concatenate(upper), labels, np.concatenate(lower), labels)


def small_cnn() -> nn.Module:
    """Two convolutions."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 2),
    )  # fmt: skip


def _digits() -> tuple[Array, NDArray[np.int64]]:
    x, y = datasets.load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y


def permuted_digits(seed: int, tasks: int = 10) -> Iterator[Task]:
    """All ten digits a task, the pixels in another order."""
    x, y = _digits()
    for task in range(tasks):
        order = np.random.default_rng([seed, task]).permutation(64)
        yield divided(f"order {task}", x[:, order], y, seed)


def split_digits(seed: int) -> Iterator[Task]:
    """Two digits a task, in an order that the seed draws."""
    x, y = _digits()
    order = np.random.default_rng(seed).permutation(10)
    for pair in order.reshape(5, 2):
        own = np.isin(y, pair)
        yield divided("-".join(map(str, pair)), x[own], y[own], seed)


def rotated_digits(seed: int) -> Iterator[Task]:
    """All ten digits at five angles."""
    from scipy.ndimage import rotate

    x, y = _digits()
    for angle in (0, 36, 72, 108, 144):
        turned = rotate(x.reshape(-1, 8, 8), angle, axes=(1, 2), reshape=False, order=1)
        yield divided(f"{angle} degrees", turned.reshape(-1, 64).astype(np.float32), y, seed)


TABLES = ("wine", "breast_cancer", "digits", "iris")


def tables(seed: int) -> Iterator[Task]:
    """scikit-learn's tables, standardised and padded with zeros to 64 columns."""
    for name in TABLES:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        x = StandardScaler().fit_transform(x)
        yield divided(name, np.pad(x, ((0, 0), (0, 64 - x.shape[1]))).astype(np.float32), y, seed)


def mlp(outputs: int = 10) -> nn.Module:
    """One hidden layer."""
    return nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, outputs))


STREAMS = {
    "textures": Stream(textures, small_cnn),
    "permuted digits": Stream(permuted_digits, mlp),
    "split digits": Stream(split_digits, mlp),
    "rotated digits": Stream(rotated_digits, mlp),
    "tables": Stream(tables, mlp),
}


def seeded_model(stream: Stream, seed: int) -> nn.Module:
    """The stream's model, drawn anew by the seed."""
    torch.manual_seed(seed)
    return stream.model()
