"""A network as an ONNX file, which runs where there is no torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import cast

import torch
from torch import Tensor, nn

from hypermnesia.errors import ConfigError, TargetError

INPUTS = "inputs"
"""Name of the input of the file, (batch, *sample)."""

SCORES = "scores"
"""Name of its output, (batch, outputs)."""

_NEEDS = ("onnx", "onnxscript")


def to_onnx(network: nn.Module, example: Tensor) -> bytes:
    """The content of an ONNX file of a network, for batches of any size.

    Its input is called `inputs`, (batch, *sample), its output `scores`, (batch, outputs).

    Args:
        network: ready to evaluate, on the CPU.
        example: (2 or more, *sample) inputs.

    Raises:
        ConfigError: the extra `onnx` is not installed.
        TargetError: torch cannot say this network in ONNX.
    """
    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        raise ConfigError(
            "writing ONNX needs the extra 'onnx'",
            got=f"no {' and no '.join(missing)}",
            cure="install it: pip install 'hypermnesia[onnx]'",
        )
    batch = torch.export.Dim("batch")
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: batch},),
                input_names=[INPUTS],
                output_names=[SCORES],
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise TargetError(
            "the network must be one that torch can write as ONNX",
            got=f"{type(network).__name__}: {error.__cause__ or error!s:.120}",
            cure="export it as torch",
        ) from error
    return cast(bytes, cast(torch.onnx.ONNXProgram, program).model_proto.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter says about itself."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
