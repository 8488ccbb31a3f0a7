"""Wall seconds that add up over pauses and over resumed processes."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Counts while it runs. The clock is monotonic: setting the computer's time changes nothing.

    Args:
        device: what it times; stopping waits for work still queued there.
        seconds: what was counted before, by a process that is gone.
    """

    def __init__(self, device: torch.device, seconds: float = 0.0) -> None:
        self._device = device
        self._counted = seconds
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """Counted so far, running or not."""
        running = 0.0 if self._since is None else time.monotonic() - self._since
        return self._counted + running

    def start(self) -> None:
        """Begin or go on counting; one that runs is left running."""
        if self._since is None:
            self._since = time.monotonic()

    def stop(self) -> None:
        """Pause; what was counted is kept."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._counted, self._since = self.seconds, None
