"""The command line: `hypermnesia COMMAND`."""

from hypermnesia.cli.app import main

__all__ = ["main"]
