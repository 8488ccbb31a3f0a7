"""`filters`: Gaussians of what random filters find in an image, averaged over its positions.

The responses of 64 filters of 5x5 pixels, N(0, 1) entries scaled to length 1, are cut off at zero
from below, and from above, and averaged: 128 numbers, of images of any size. So textures differ by
what recurs in them, wherever it is: energies of filters, Laws 1980, by random filters of the kind
of Jarrett et al. 2009 ("What is the best multi-stage architecture for object recognition?").
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.data.types import Batch
from hypermnesia.errors import DataError
from hypermnesia.evidence.gaussian import GaussianSettings, GaussiansModule, TaskGaussians
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.state_files import State
from hypermnesia.tree import Tree, one_tensor

_FILTERS, _SIZE = 64, 5  # of textures; 3x3 did as well, 7x7 and twice as many less

_DEFAULT = GaussianSettings()


def filterable(shape: tuple[int, ...]) -> bool:
    """Whether a sample is an image, (channels, height, width), that filters fit in."""
    return len(shape) == 3 and min(shape[1:]) >= _SIZE


class _Bank(nn.Module):
    """Filters of (batch, channels, height, width) images, the same for every learner."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        found = F.conv2d(x, self.weight.to(x.dtype))
        parts = [sign.relu().mean(dim=(2, 3)) for sign in (found, -found)]
        return torch.cat(parts, dim=1).double()


def _drawn(channels: int) -> Tensor:
    drawn = torch.randn(
        _FILTERS,
        channels,
        _SIZE,
        _SIZE,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float,
    )
    return F.normalize(drawn.flatten(1)).view_as(drawn)


class FilterGaussians(TaskGaussians):
    """As `TaskGaussians`, of random filters' mean responses to images."""

    def __init__(self, networks: AllTasks, *, gaussian: GaussianSettings = _DEFAULT) -> None:
        super().__init__(networks, gaussian=gaussian)
        self.bank: _Bank | None = None

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing is trained; raises `DataError` for what is no image of as many channels."""
        self._checked(batch.original)
        return {}

    def _checked(self, x: Tree) -> tuple[Tensor, _Bank]:
        tensor: Tensor = one_tensor(x, "a filter")
        channels = self.bank.weight.shape[1] if self.bank else tensor.shape[1]
        image = tensor.is_floating_point() and filterable(tuple(tensor.shape[1:]))
        if not image or tensor.shape[1] != channels:
            rule = f"filters are for images, ({channels}, height, width), of {_SIZE} pixels or more"
            got = f"{tuple(tensor.shape[1:])}, {str(tensor.dtype).removeprefix('torch.')}"
            raise DataError(rule, got=got, hint="use infer_task='gaussian'")
        if self.bank is None:
            self.bank = _Bank(_drawn(channels)).to(self.device)
        return tensor, self.bank

    def draw(self, task: int, count: int, generator: torch.Generator) -> None:
        """None: responses of filters are no inputs."""

    def _seen(self, x: Tree) -> Tensor:
        tensor, bank = self._checked(x)
        found: Tensor = bank(tensor)
        return found

    def merge(self, other: Any) -> None:
        """Take over the Gaussians of another's tasks; raises `DataError` for other channels."""
        if self.bank and other.bank and self.bank.weight.shape != other.bank.weight.shape:
            rule, hint = "filters compare images of as many channels", "learn them in one shape"
            raise DataError(rule, got="others", hint=hint)
        super().merge(other)

    def module(self) -> nn.Module:
        """The densities as they are now, and the filters."""
        bank = cast(_Bank, self.bank)  # as there are tasks
        return GaussiansModule(self.gaussians, _Bank(bank.weight.cpu()))

    def state_dict(self) -> State:
        """The Gaussians, and the filters, as another torch may draw others."""
        return super().state_dict() | {"filters": self.bank.weight if self.bank else None}

    def load_state_dict(self, state: State) -> None:
        """Put an evidence where `state_dict` found the other."""
        super().load_state_dict(state)
        filters = state["filters"]
        self.bank = None if filters is None else _Bank(filters.to(self.device))
