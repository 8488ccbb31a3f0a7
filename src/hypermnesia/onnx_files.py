"""Networks as ONNX files, which are asked before they are given."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.errors import ConfigError, TargetError

INPUTS = "inputs"  #: name in an ONNX file
OUTPUTS = "outputs"  #: name in an ONNX file
_NEEDS = ("onnx", "onnxscript")
_RULE = "the network must be one that torch can write as ONNX"


def to_onnx(
    network: nn.Module,
    *examples: Tensor,
    inputs: Sequence[str] = (INPUTS,),
    outputs: Sequence[str] = (OUTPUTS,),
    notes: Mapping[str, str] | None = None,
) -> bytes:
    """Write a network, ready to evaluate on the CPU, as ONNX for batches of any size.

    As a rule its input is called `inputs`, (batch, *sample), its output `outputs`, (batch,
    outputs). `examples` are two samples or more of each input; `notes` become the file's metadata.
    Raises `ConfigError` without the extra `onnx`, `TargetError` where torch cannot express this
    network, or writes one that gives other values.
    """
    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        got, hint = f"no {' and no '.join(missing)}", "install it: pip install 'hypermnesia[onnx]'"
        raise ConfigError("writing ONNX needs the extra 'onnx'", got=got, hint=hint)
    names: dict[str, Any] = {"input_names": [*inputs], "output_names": [*outputs]}
    batch = {0: torch.export.Dim("batch")}
    export = partial(torch.onnx.export, **names, verbose=False)
    export = partial(export, dynamo=True, dynamic_shapes=tuple(batch for _ in examples))
    try:
        with _quiet():
            program = export(network, examples)
    except torch.onnx.errors.OnnxExporterError as error:
        got = f"{type(network).__name__}: {error.__cause__ or error!s:.120}"
        raise TargetError(_RULE, got=got, hint="export it as torch") from error
    model = cast(torch.onnx.ONNXProgram, program).model_proto
    for name, value in (notes or {}).items():
        model.metadata_props.add(key=name, value=value)
    content = cast(bytes, model.SerializeToString())
    _check_answers(content, network, examples)
    return content


@torch.no_grad()
def _check_answers(content: bytes, network: nn.Module, examples: Sequence[Tensor]) -> None:
    """Raise `TargetError` unless a file answers as the network does, where it can be asked.

    Some versions of torch write layers, such as `nn.GRU`, with other values.
    """
    if find_spec("onnxruntime") is None:
        return
    onnxruntime: Any = import_module("onnxruntime")
    generator = torch.Generator().manual_seed(0)
    probes = [
        each + torch.rand(each.shape, generator=generator) if each.is_floating_point() else each
        for each in examples
    ]
    hint = "use newer torch, onnxscript and onnxruntime, or export it as torch"
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]
        given = dict(zip(names, (probe.numpy() for probe in probes), strict=True))
        answers = session.run(None, given)
    except Exception as error:  # its errors have no class in common
        got = f"{type(network).__name__}, whose file cannot be run: {error!s:.120}"
        raise TargetError(_RULE, got=got.replace("\n", " "), hint=hint) from error
    for one, other in zip(tree.leaves(network(*probes)), answers, strict=True):
        found = torch.as_tensor(other).to(one)
        if not one.is_floating_point() or not one.numel():
            continue  # a class may be another where two are as likely
        least = 1e-3 * float(one.nan_to_num(0, 0, 0).abs().max())
        if not torch.allclose(one, found, rtol=1e-2, atol=least, equal_nan=True):
            got = f"{type(network).__name__}, whose file gives other values"
            raise TargetError(_RULE, got=got, hint=hint)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's exporter."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
