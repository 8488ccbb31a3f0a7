"""Runs of Weights & Biases: offline, in a folder beside the seed's results, or as it is told.

`wandb sync` uploads them. `WANDB_MODE=online` sends them at once, `WANDB_PROJECT` is the project.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from hypermnesia.errors import ConfigError
from hypermnesia.report.logger import Logger
from hypermnesia.state_files import State
from hypermnesia.storage import make_folder

_MODES = ("offline", "online", "shared", "disabled", "dryrun", "run")


class WeightsAndBiases(Logger):
    """Writes a run for each seed, in a group called like the run folder.

    A run that goes on from a checkpoint goes on under the same number, offline in another folder
    of it, from the checkpoint's last update on.
    """

    environment = ("WANDB_",)

    def __init__(self, folder: Path, samples: Path) -> None:
        super().__init__(folder, samples)
        self._number = uuid4().hex[:8]

    @staticmethod
    def check() -> None:
        """Raise `ConfigError` unless the package is installed, and its mode one that it has."""
        if (mode := os.environ.get("WANDB_MODE", "offline")) not in _MODES:
            hint = f"choose one of: {', '.join(_MODES)}"
            raise ConfigError("WANDB_MODE must be a mode of Weights & Biases", got=mode, hint=hint)
        try:
            import wandb  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
        except ImportError as error:
            hint = "pip install wandb (or 'hypermnesia[wandb]'), or leave the logger out"
            rule = "the logger wandb needs the package wandb"
            raise ConfigError(rule, got=str(error), hint=hint) from error

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Write numbers by name."""
        with self._writable():
            self._run.log(dict(numbers), step=step)

    def state_dict(self) -> State:
        """The run's number, so that a resumed one goes on under it."""
        return {"number": self._number}

    def load_state_dict(self, state: State) -> None:
        """Go on under a number."""
        self._number = state["number"]

    def close(self) -> None:
        """Write what is pending, and whether the training was stopped."""
        run = vars(self).pop("_run", None)
        if run is not None:
            with self._writable():
                run.finish(exit_code=int(not self.finished))

    @cached_property
    def _run(self) -> Any:
        import wandb  # type: ignore[import-not-found, unused-ignore]

        seed = self.folder.absolute().parent
        make_folder(self.folder)
        quiet = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True)
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        return wandb.init(
            mode=mode,
            dir=str(self.folder),
            project=os.environ.get("WANDB_PROJECT", "hypermnesia"),
            group=seed.parent.name,
            name=f"{seed.parent.name} {seed.name}",
            id=self._number,
            resume="allow" if mode == "online" else None,
            config=self.settings,
            settings=quiet,
        )

    def _writable(self) -> AbstractContextManager[None]:
        import wandb  # type: ignore[import-not-found, unused-ignore]

        return self.writing("Weights & Biases", wandb.Error, self.folder)
