"""Where a learner computes."""

from __future__ import annotations

import torch

from hypermnesia.errors import ConfigError


def device_of(given: torch.device | str | None) -> torch.device:
    """The device that was asked for; a GPU if there is one, else the CPU, where none was.

    Raises:
        ConfigError: it is not here.
    """
    if given is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(given)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ConfigError(
            "the device must be one that torch finds here",
            got=f"'{given}' ({str(error).splitlines()[0]:.60})",
            cure="leave device out, or give 'cpu'",
        ) from None
    return device
