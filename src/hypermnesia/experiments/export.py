"""The network of one task of a finished run, as a file for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.durable import write_bytes
from hypermnesia.errors import ConfigError, RunError
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.onnx import to_onnx
from hypermnesia.registry import unknown_name

_KINDS = ("onnx", "torch")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        inputs: shape of a sample.
        outputs: number of scores.
        how_to_load: Python that gives the network back, a line each; empty for ONNX.
    """

    path: Path
    inputs: tuple[int, ...]
    outputs: int
    how_to_load: tuple[str, ...]


def export_task(
    run: Path, task: int, kind: str, out: Path, *, seed: int | None = None, overwrite: bool = False
) -> Exported:
    """Write the network of a task to a file; needs no data.

    It takes inputs as the run's batches hold them: images in [0, 1], permuted where they were.

    Args:
        run: a run folder.
        task: number of the task, from 1, as tables count.
        kind: `onnx`, or `torch` for the parameters and buffers as safetensors.
        out: the file.
        seed: of the training; the run's first that is finished by default.
        overwrite: replace `out`.

    Raises:
        ConfigError: no such task or kind of file.
        RunError: the run is not finished or damaged, or the file exists or cannot be written.
    """
    if kind not in _KINDS:
        raise unknown_name("kind of file", kind, _KINDS)
    if out.exists() and not overwrite:
        raise RunError("nothing is overwritten", got=f"{out}, which exists", cure="add --overwrite")
    of = finished_seed(run, seed)
    if not 1 <= task <= of.tasks:
        raise ConfigError(f"--task counts from 1 to {of.tasks} here", got=task)
    network = of.method.export(task - 1)
    benchmark = BENCHMARKS[of.config.benchmark]
    example = torch.zeros(2, *benchmark.sample_shape(of.config.data.padding))
    with torch.no_grad():
        outputs = network(example).shape[1]
    shape = tuple(example.shape[1:])
    if kind == "onnx":
        write_bytes(out, to_onnx(network, example))
        return Exported(out, shape, outputs, ())
    how = _how_to_load(of.config, shape, outputs, out)
    write_bytes(out, safetensors.torch.save(network.state_dict(), {"how_to_load": "\n".join(how)}))
    return Exported(out, shape, outputs, how)


def _how_to_load(
    config: ExperimentConfig, shape: tuple[int, ...], outputs: int, out: Path
) -> tuple[str, ...]:
    target = config.target
    settings = f"NetSettings({target.net!r}, {target.hidden!r}, {target.dropout!r})"
    return (
        "from safetensors.torch import load_file",
        "from hypermnesia.nets import NetSettings, build_net",
        "from hypermnesia.seeding import Generators",
        f"network = build_net({settings}, {shape}, {outputs}, Generators(0)).eval()",
        f"network.load_state_dict(load_file({str(out)!r}))",
    )
