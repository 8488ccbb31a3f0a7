"""Kinds of data that people feed, and what comes of each; the documents list them from here.

A kind is either as good as plain arrays ("as PyTorch": the same fit, predictions and score), or
refused in one line before training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from feeds import (
    BACKWARDS,
    BITS,
    BYTES,
    FEW,
    VALUES,
    WORDS,
    DataKind,
    EachTwice,
    Items,
    N,
    Stream,
    X,
    Y,
    arranged,
    as_dict,
    dataset,
    halves,
    masked,
    memory_map,
    nested,
    padded,
    ragged,
    read_only,
    replacing,
    seeded,
    sparse,
    tensors,
    values,
    weighted,
    whole,
)
from frames import Frame, Series, SparseMatrix
from torch.utils.data import ChainDataset, ConcatDataset, DataLoader, Subset, SubsetRandomSampler

LIKELY = {"infer_task": "likelihood"}
DAYS = np.array(["2020-01-01", "2020-01-02"], "M8[ns]")


def _refused(
    kind: str, name: str, told: str, make: Callable[[], tuple[Any, ...]], **more: Any
) -> DataKind:
    return DataKind(name, kind, make, "refused", told=told, **more)


ARRAYS = [
    DataKind("float32", "Arrays", lambda: (X, Y)),
    DataKind("a pair", "Arrays", lambda: ((X, Y),)),
    DataKind("float64", "Arrays", lambda: (X.astype(np.float64), Y)),
    DataKind("float16", "Arrays", lambda: (X.astype(np.float16), Y)),
    DataKind("big-endian", "Arrays", lambda: (X.astype(">f8"), Y.astype(">i4"))),
    DataKind("negative strides", "Arrays", lambda: (X[::-1][::-1], Y[::-1][::-1])),
    DataKind("columns first (Fortran)", "Arrays", lambda: (np.asfortranarray(X), Y)),
    DataKind("every other row", "Arrays", lambda: (np.repeat(X, 2, axis=0)[::2], Y)),
    DataKind("memory-mapped", "Arrays", lambda: (memory_map(), Y)),
    DataKind("read-only", "Arrays", lambda: (read_only(X), read_only(Y))),
    DataKind("lists", "Arrays", lambda: (X.tolist(), Y.tolist())),
    DataKind("a list of arrays", "Arrays", lambda: (list(X), list(Y))),
    DataKind("a masked array, nothing masked", "Arrays", lambda: (np.ma.masked_array(X), Y)),
    DataKind("-0.0", "Arrays", lambda: (np.where(X == 0, -0.0, X), Y)),
    DataKind("truth values", "Arrays", lambda: (BITS > 0, Y), plain=lambda: (BITS * 1.0, Y)),
    DataKind("bytes of 0 and 1: flags", "Arrays", lambda: (BITS, Y), plain=lambda: (BITS * 1.0, Y)),
    DataKind("bytes: images", "Arrays", lambda: (BYTES, Y), plain=lambda: (BYTES / 255, Y)),
    DataKind(
        "bytes in a data set",
        "Arrays",
        lambda: (Items(BYTES, Y),),
        plain=lambda: (BYTES / 255, Y),
    ),
    DataKind(
        "flags in a data set", "Arrays", lambda: (Items(BITS, Y),), plain=lambda: (BITS * 1.0, Y)
    ),
    DataKind("tensors", "Tensors", tensors),
    DataKind("a tensor with gradients", "Tensors", lambda: (tensors()[0].requires_grad_(), Y)),
    DataKind("bfloat16", "Tensors", lambda: (tensors()[0].bfloat16(), Y)),
    DataKind("not contiguous", "Tensors", lambda: (torch.as_tensor(X.T.copy()).T, Y)),
    DataKind("a list of tensors", "Tensors", lambda: (list(tensors()[0]), list(tensors()[1]))),
    DataKind(
        "a list of tensors with gradients",
        "Tensors",
        lambda: ([row.clone().requires_grad_() for row in tensors()[0]], Y),
    ),
]
TABLES = [
    DataKind("a data frame", "Tables", lambda: (Frame.of(X, "abc"), Series(Y))),
    DataKind(
        "columns in another order than the first fit's",
        "Tables",
        lambda: (Frame.of(X[:, [2, 0, 1]], "cab"), Y),
        first=lambda: (Frame.of(X, "abc"), Y),
    ),
    DataKind(
        "an array after a data frame, as it stands",
        "Tables",
        lambda: (X, Y),
        first=lambda: (Frame.of(X, "abc"), Y),
    ),
    DataKind(
        "columns of several kinds of numbers",
        "Tables",
        lambda: (Frame({"a": BITS[:, 0] > 0, "b": X[:, 1], "c": Y}), Y),
        plain=lambda: (np.stack([BITS[:, 0], X[:, 1], Y], axis=1).astype(np.float64), Y),
    ),
    DataKind("a column with an index of its own", "Tables", lambda: (X, Series(Y))),
]
SETS = [
    DataKind("a data set", "Data sets", lambda: (Items(X, Y),)),
    DataKind("a tensor data set", "Data sets", lambda: (dataset(),)),
    DataKind(
        "a subset of a subset",
        "Data sets",
        lambda: (Subset(Subset(dataset(), BACKWARDS), range(4, 20)),),
        plain=arranged(BACKWARDS[4:20]),
    ),
    DataKind(
        "data sets one after another",
        "Data sets",
        lambda: (ConcatDataset([Items(X[:10], Y[:10]), Items(X[10:], Y[10:])]),),
    ),
    DataKind("items that are lists", "Data sets", lambda: (Items(X.tolist(), Y.tolist()),)),
    DataKind(
        "items with gradients",
        "Data sets",
        lambda: (Items(tensors()[0].requires_grad_(), torch.as_tensor(Y)),),
    ),
    DataKind(
        "bfloat16 targets",
        "Data sets",
        lambda: (Items(X, torch.as_tensor(VALUES).bfloat16().requires_grad_()),),
        plain=lambda: (X, torch.as_tensor(VALUES).bfloat16().double().numpy()),
    ),
]
LOADERS = [
    DataKind("a loader", "Loaders", lambda: (DataLoader(dataset(), batch_size=5),)),
    DataKind("shuffle", "Loaders", lambda: (DataLoader(dataset(), 5, shuffle=True),)),
    DataKind(
        "shuffle and drop_last",
        "Loaders",
        lambda: (DataLoader(dataset(), 8, shuffle=True, drop_last=True),),
    ),
    DataKind(
        "drop_last in order",
        "Loaders",
        lambda: (DataLoader(dataset(), 7, drop_last=True),),
        plain=arranged([*range(21)]),
    ),
    DataKind("workers", "Loaders", lambda: (DataLoader(dataset(), 5, num_workers=2),)),
    DataKind("pin_memory", "Loaders", lambda: (DataLoader(dataset(), 5, pin_memory=True),)),
    DataKind(
        "SubsetRandomSampler",
        "Loaders",
        lambda: (DataLoader(dataset(), 5, sampler=SubsetRandomSampler(FEW)),),
        plain=arranged(sorted(FEW)),
    ),
    DataKind(
        "a collate_fn",
        "Loaders",
        lambda: (DataLoader([*zip(tensors()[0], Y, strict=True)], 5, collate_fn=padded),),
    ),
    DataKind(
        "rows in an order of one's own",
        "Loaders",
        lambda: (DataLoader(dataset(), 5, sampler=BACKWARDS),),
        plain=arranged(BACKWARDS),
        learned=False,
    ),
    DataKind(
        "a sampler without a length, rows more than once",
        "Loaders",
        lambda: (DataLoader(dataset(), 5, sampler=EachTwice()),),
        plain=arranged([*BACKWARDS, *range(N)]),
        learned=False,
    ),
    DataKind(
        "a batch_sampler",
        "Loaders",
        lambda: (DataLoader(dataset(), batch_sampler=[[5, 3], torch.tensor([9]), [3, 0]]),),
        plain=arranged([5, 3, 9, 3, 0]),
        learned=False,
    ),
    DataKind(
        "shuffle by a generator with a seed",
        "Loaders",
        lambda: (DataLoader(dataset(), 5, shuffle=True, generator=seeded()),),
        plain=lambda: whole(DataLoader(dataset(), 5, shuffle=True, generator=seeded())),
        learned=False,
    ),
    DataKind(
        "rows with replacement",
        "Loaders",
        lambda: (DataLoader(dataset(), 5, sampler=replacing()),),
        plain=lambda: whole(DataLoader(dataset(), 5, sampler=replacing())),
        learned=False,
    ),
    DataKind(
        "WeightedRandomSampler",
        "Loaders",
        lambda: (DataLoader(dataset(), 5, sampler=weighted()),),
        plain=lambda: whole(DataLoader(dataset(), 5, sampler=weighted())),
        learned=False,
    ),
]
TARGETS = [
    DataKind("strings", "Targets", lambda: (X, WORDS)),
    DataKind("strings of NumPy in a list", "Targets", lambda: (X, list(WORDS))),
    DataKind("categories", "Targets", lambda: (X, Series(WORDS.astype(object)))),
    DataKind("truth values", "Targets", lambda: (X, Y > 0)),
    DataKind("bytes", "Targets", lambda: (X, Y.astype(np.uint8))),
    DataKind("tensors in a list", "Targets", lambda: (X, list(torch.as_tensor(Y)))),
    DataKind("tuples", "Targets", lambda: (X, [("a", label) for label in Y.tolist()])),
    DataKind("tuples in tuples", "Targets", lambda: (X, [("a", (n, 0)) for n in Y.tolist()])),
    DataKind("a negative and a huge one", "Targets", lambda: (X, [(-1, 2**63)[n] for n in Y])),
    DataKind("beyond 64 bits", "Targets", lambda: (X, [(-1, 2**70)[n] for n in Y])),
    DataKind("values in a list", "Targets", lambda: (X, VALUES.tolist()), plain=values),
    DataKind("values in a column", "Targets", lambda: (X, VALUES[:, None]), plain=values),
    DataKind("half-precision values", "Targets", lambda: (X, halves()), plain=values),
    DataKind(
        "values with gradients", "Targets", lambda: (X, halves().requires_grad_()), plain=values
    ),
]
SPOILED = [
    _refused("Arrays", "masked entries", "masked entries; drop", lambda: (masked(X), Y)),
    _refused("Arrays", "a list of masked rows", "masked", lambda: (list(masked(X)), Y)),
    _refused("Arrays", "objects", "ndarray of object", lambda: (X.astype(object), Y)),
    _refused("Arrays", "strings", "ndarray of str", lambda: (X.astype(str), Y)),
    _refused("Arrays", "dates", "of datetime64", lambda: (DAYS[Y][:, None], Y)),
    _refused("Arrays", "complex numbers", "inputs must be real", lambda: (X * 1j, Y)),
    _refused("Arrays", "NaN", "got NaN or infinity", lambda: (X * np.nan, Y)),
    _refused("Arrays", "infinity", "got NaN or infinity", lambda: (X + np.inf, Y)),
    _refused("Arrays", "too large for float32", "infinity", lambda: (X.astype("f8") * 1e300, Y)),
    _refused(
        "Arrays", "whole numbers, no ids", "convert them to floats", lambda: (X.astype(int), Y)
    ),
    _refused("Arrays", "records", "of void", lambda: (np.zeros(N, [("a", "f4")]), Y)),
    _refused("Arrays", "rows of several lengths", "different shapes", lambda: ([[1], [1, 2]], Y)),
    _refused("Arrays", "no samples", "a task needs samples", lambda: (X[:0], Y[:0])),
    _refused("Arrays", "samples of nothing", "must hold numbers", lambda: (X[:, :0], Y)),
    _refused("Arrays", "a single number", "a single number", lambda: (1.0, [1])),
    _refused("Arrays", "a dict", "take inputs x, y", lambda: ({"x": X, "y": Y},)),
    _refused("Arrays", "a generator", "got a generator", lambda: ((row for row in X), Y)),
    _refused("Arrays", "a sparse matrix of SciPy", "give x.toarray", lambda: (SparseMatrix(), Y)),
    _refused(
        "Arrays",
        "bytes up to 255 after flags",
        "first fit's inputs were flags.*got uint8 up to 255",
        lambda: (BYTES | 255, Y),
        first=lambda: (BITS, Y),
    ),
    _refused(
        "Arrays",
        "floats up to 255 after bytes",
        "bytes, divided by 255, so all must be; got float32 up to 255; scale",
        lambda: ((BYTES | 255).astype(np.float32), Y),
        first=lambda: (BYTES, Y),
    ),
    _refused("Tensors", "sparse", r"got a sparse one; give x.to_dense", lambda: (sparse(), Y)),
    _refused("Tensors", "nested", "got a nested one; pad", lambda: (nested(), Y)),
    _refused("Tensors", "meta", "got a meta one", lambda: (torch.empty(N, 3, device="meta"), Y)),
    _refused("Tensors", "meta targets", "meta", lambda: (X, torch.empty(N, device="meta"))),
    _refused(
        "Tensors",
        "lists of several shapes",
        "of one shape",
        lambda: ([torch.zeros(3), torch.zeros(2)], [0, 1]),
    ),
    _refused(
        "Tables",
        "a missing column",
        "missing: b; choose",
        lambda: (Frame.of(X, "acd"), Y),
        first=lambda: (Frame.of(X, "abc"), Y),
    ),
    _refused(
        "Tables",
        "an unknown column",
        "unknown: d; choose",
        lambda: (Frame.of(X[:, [0, 1, 2, 0]], "abcd"), Y),
        first=lambda: (Frame.of(X, "abc"), Y),
    ),
    _refused("Tables", "a column twice", "twice: a", lambda: (Frame.of(X, "aba"), Y)),
    _refused(
        "Tables",
        "a column of strings",
        "numbers; got 'city' of object",
        lambda: (Frame({"a": X[:, 0], "city": WORDS.astype(object)}), Y),
    ),
    _refused(
        "Tables",
        "a column of dates",
        "numbers; got 'day' of datetime64",
        lambda: (Frame({"a": X[:, 0], "day": DAYS[Y]}), Y),
    ),
    _refused("Data sets", "streams", r"map-style\); got Stream", lambda: (Stream(),)),
    _refused("Data sets", "streams in a row", "got ChainDataset", lambda: (ChainDataset([]),)),
    _refused("Data sets", "inputs alone", "targets are needed", lambda: (Items(X),)),
    _refused("Data sets", "three parts", "got 3 parts", lambda: (Items(X, Y, Y),)),
    _refused(
        "Data sets", "items that are dicts", "take inputs x", lambda: (Items([{"x": 1}] * 2),)
    ),
    _refused("Data sets", "items of objects", "got object", lambda: (Items([object()], [0]),)),
    _refused("Data sets", "items of several shapes", "of one shape", lambda: (ragged(),)),
    _refused("Data sets", "items with masked entries", "masked", lambda: (Items(masked(X), Y),)),
    _refused("Data sets", "items with NaN", "finite", lambda: (Items(X * np.nan, Y),)),
    _refused("Loaders", "of a stream", "map-style", lambda: (DataLoader(Stream()),)),
    _refused("Loaders", "batch_size=None", "map-style", lambda: (DataLoader(Items(X, Y), None),)),
    _refused(
        "Loaders",
        "a collate_fn that gives dicts",
        "take inputs x",
        lambda: (DataLoader(Items(X, Y), 5, collate_fn=as_dict),),
    ),
    _refused(
        "Loaders",
        "several lengths, under likelihood",
        r"one shape; got \(2,\), where they had \(3,\); .*infer_task='entropy'",
        lambda: (DataLoader(ragged(), 5, collate_fn=padded),),
        settings=LIKELY,
    ),
    _refused("Targets", "too few", "24, 3. inputs, 4 targets", lambda: (X, Y[:4])),
    _refused("Targets", "one for all", r"a single int; give \[y\]", lambda: (X, 3)),
    _refused("Targets", "a set", "a single set", lambda: (X, set(range(N)))),
    _refused("Targets", "masked", "masked", lambda: (X, np.ma.masked_array(Y, Y > 0))),
    _refused("Targets", "an array of one", "a single ndarray", lambda: (X, np.array(3))),
    _refused("Targets", "none", "of type NoneType", lambda: (X, [None] * N)),
    _refused("Targets", "some missing", "got nan of type float", lambda: (X, ["a", np.nan] * 12)),
    _refused("Targets", "of several kinds", "int and str; convert", lambda: (X, [1, "a"] * 12)),
    _refused("Targets", "dates", "of type datetime64; map them", lambda: (X, DAYS[Y])),
    _refused("Targets", "a column a class", "one label", lambda: (X, np.eye(2, dtype=int)[Y])),
    _refused(
        "Targets",
        "a column a class, in a data set",
        "argmax",
        lambda: (Items(X, np.eye(2, dtype=int)[Y]),),
    ),
    _refused("Targets", "labels in a column", "one label a sample", lambda: (X, Y[:, None])),
    _refused("Targets", "values with NaN", "finite targets", lambda: (X, VALUES * np.nan)),
    _refused("Targets", "values that overflow", "spread", lambda: (X, np.sign(VALUES) * 1e308)),
    _refused(
        "Targets",
        "complex values",
        "needs numbers; got complex128 targets",
        lambda: (X, VALUES * 1j),
        settings={"problem": "regression"},
    ),
    _refused(
        "Targets",
        "durations as values",
        "needs numbers; got timedelta64",
        lambda: (X, Y.astype("m8[s]")),
        settings={"problem": "regression"},
    ),
    _refused(
        "Under likelihood",
        "a known task in another range",
        "range of the first ones; got from 1[0-9].* where they had from 0 to 1",
        lambda: (BITS + 10.5, Y),
        first=lambda: (BITS * 0.5, Y),
        settings=LIKELY,
    ),
]

KINDS = [*ARRAYS, *TABLES, *SETS, *LOADERS, *TARGETS, *SPOILED]
"""All, those of a heading one after another in each of the two outcomes."""
