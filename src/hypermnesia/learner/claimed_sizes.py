"""Sizes that a stored learner claims, held against its tensors before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.learner.design import AutoencoderDesign, Design
from hypermnesia.methods.base import State
from hypermnesia.vae import Vae


def check_claimed_sizes(design: Design, state: State) -> None:
    """Refuse a design of larger networks than `state`, that of a method, holds tensors for.

    Raises:
        ValueError: it claims other sizes.
        KeyError, TypeError, AttributeError, RuntimeError: there is no such state.
    """
    _check_hypernet(design.hypernet, state["memory"]["hypernet"])
    if design.autoencoder is not None:
        tensors = state["likelihoods"]["memory"]["hypernet"]
        _check_hypernet(design.autoencoder.hypernet, tensors)
        _check_autoencoder(design.autoencoder, tensors)


def _check_hypernet(settings: HypernetSettings, tensors: Mapping[str, Tensor]) -> None:
    chunk_width = 0 if settings.plan == "full" else settings.chunk_embedding
    widths = [settings.task_embedding + chunk_width, *settings.hidden]
    claimed = [(n_out, n_in) for n_in, n_out in pairwise(widths)]
    held = [tuple(tensors[f"hidden.{i}.weight"].shape) for i in range(len(claimed))]
    rows, features = tensors["head.weight"].shape
    cut = settings.plan == "full" or 0 < (settings.chunk or 0) <= rows
    if held != claimed or features != widths[-1] or not cut:
        raise ValueError("a hypernetwork of other sizes than its tensors")


def _check_autoencoder(design: AutoencoderDesign, tensors: Mapping[str, Tensor]) -> None:
    with torch.device("meta"):  # to be counted only
        vae = Vae(design.sample_shape, design.vae)
    wanted = sum(p.numel() for p in vae.parameters())
    made = len(tensors["chunk_embeddings"]) * len(tensors["head.weight"])
    if wanted > made:
        raise ValueError(f"autoencoders of {wanted} weights where {made} can be made")
