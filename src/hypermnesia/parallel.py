"""Data parallel training: several processes, the ranks, each take a part of every batch.

A gradient of a mean over a batch is the mean of those of its parts, weighted by their sizes. Ranks
reduce the gradients of the task's loss so, before anything else is done with them, and then all
take the same step. What is drawn at random is drawn for the whole batch by every rank, which uses
its part: up to rounding, the numbers are those of one process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hypermnesia.errors import ConfigError, RunError

_PATIENCE = timedelta(hours=12)  # of a rank for others, which may evaluate or load data


class Ranks:
    """This process among those that train together.

    Attributes:
        rank: its number, from 0; rank 0 alone writes.
        world: how many there are.
        share: of the last batch, that was this rank's.
        busy: whether a training is at work.
    """

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world
        self.share, self.busy = 1.0, False
        self._whole = 0  # samples of the last batch
        self._part = slice(0)

    def part(self, samples: int) -> slice:
        """The rows of a batch of so many samples that are this rank's: a stretch, one at least.

        Raises `ConfigError` for a batch with fewer samples than there are ranks.
        """
        if samples < self.world:
            rule = "a batch must have a sample for each rank"
            hint = "start fewer processes, or raise train.batch_size"
            raise ConfigError(rule, got=f"{samples} samples for {self.world} ranks", hint=hint)
        first, last = (samples * rank // self.world for rank in (self.rank, self.rank + 1))
        self._whole, self._part = samples, slice(first, last)
        self.share = (last - first) / samples
        return self._part

    def mean(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Means over the last batch of values that are means over its parts, of any shapes."""
        flat = torch.cat([value.detach().reshape(-1) for value in values]).mul_(self.share)
        with _partners():
            dist.all_reduce(flat)
        sizes = [value.numel() for value in values]
        pairs = zip(torch.split(flat, sizes), values, strict=True)
        return [each.view(value.shape) for each, value in pairs]

    def any(self, mine: bool) -> bool:
        """Whether it is so on any rank."""
        found = torch.tensor(int(mine))
        with _partners():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found)

    def told(self, value: Any = None) -> Any:
        """What rank 0 gives here, plain values that JSON can say; others give nothing."""
        return json.loads(self.told_bytes(json.dumps(value).encode()))

    def told_bytes(self, content: bytes = b"") -> bytes:
        """The bytes that rank 0 gives here; others give nothing."""
        size = torch.tensor(len(content))
        with _partners():
            dist.broadcast(size, 0)
            given = bytearray(content) if self.rank == 0 else bytearray(int(size))
            if given:
                dist.broadcast(torch.frombuffer(given, dtype=torch.uint8), 0)
        return bytes(given)

    def drawing(self) -> WholeDropout:
        """A context in which dropout draws for the whole batch that this rank has a part of."""
        return WholeDropout(self._whole, self._part)


class WholeDropout(TorchFunctionMode):
    """Has dropout draw its noise for a whole batch of `samples`, and use that of some `rows`.

    Activations of other sizes are those of a module's trial, whose draws are undone.
    """

    def __init__(self, samples: int, rows: slice) -> None:
        super().__init__()
        self.samples, self.rows = samples, rows

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch."""
        if func not in _DROPOUTS:
            return func(*args, **(kwargs or {}))
        x, p, training = _dropout_arguments(*args, **(kwargs or {}))
        if not training or p == 0 or len(x) != self.rows.stop - self.rows.start:
            return func(*args, **(kwargs or {}))
        with torch.no_grad():
            noise = func(x.new_ones(self.samples, *x.shape[1:]), p, training=True)[self.rows]
        return x * noise


_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)


def _dropout_arguments(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,  # noqa: ARG001
) -> tuple[Tensor, float, bool]:
    return input, p, training


class NoDropout(WholeDropout):
    """Leaves dropout out; raises `ConfigError` if anything else is drawn, or not by the sample."""

    def __init__(self, samples: int) -> None:
        super().__init__(samples, slice(samples))
        self._before: list[Tensor] = []

    def __enter__(self) -> NoDropout:
        self._before = _random_states()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        if not all(map(torch.equal, self._before, _random_states())):
            rule = "with several ranks, a network must draw nothing but dropout"
            hint = "train this one in one process, without torchrun"
            raise ConfigError(rule, got="other random numbers in its forward pass", hint=hint)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch; raises `ConfigError` for dropout of other activations."""
        if func not in _DROPOUTS:
            return func(*args, **(kwargs or {}))
        x = _dropout_arguments(*args, **(kwargs or {}))[0]
        if len(x) != self.samples:
            rule = "with several ranks, dropout must be of (batch, ...) activations"
            got = f"{tuple(x.shape)} for {self.samples} samples"
            raise ConfigError(rule, got=got, hint="set dropout to 0, or train in one process")
        return x


def _random_states() -> list[Tensor]:
    return [
        torch.get_rng_state(),
        *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else ()),
    ]


def check_network(network: nn.Module) -> None:
    """Raise `ConfigError` for a network with batch norm, whose statistics are of a whole batch."""
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            rule = "with several ranks, samples of a batch must not depend on each other"
            hint = "use a network with layer or group norm, or train in one process"
            raise ConfigError(rule, got=f"batch norm ({name})", hint=hint)


@contextmanager
def _partners() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        got = str(error).strip().partition("\n")[0][:100]
        hint = "start the same command again: it goes on from the last checkpoint"
        raise RunError("every rank must go on", got=got, hint=hint) from error


_here: Ranks | None = None


def here() -> Ranks | None:
    """This process among others that train with it; None for one that trains alone."""
    return _here


@contextmanager
def joined() -> Iterator[Ranks]:
    """Take part in what torchrun has started: gloo for the CPU, NCCL for GPUs, one a process."""
    global _here
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    with _partners():
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE)
    _here = Ranks(dist.get_rank(), dist.get_world_size())
    try:
        yield _here
    finally:
        _here = None
        dist.destroy_process_group()
