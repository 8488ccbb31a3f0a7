"""Continual learning with hypernetworks: one meta-model keeps the weights of every task.

Importing this package changes nothing in the process and loads no other part of it:

- `hypermnesia.hypernet`: hypernetworks, and any `nn.Module` as their target network;
- `hypermnesia.regularizers`, `hypermnesia.lookahead`: what protects earlier tasks;
- `hypermnesia.methods`: methods behind one protocol, by name;
- `hypermnesia.data`: sources, benchmarks, scenarios;
- `hypermnesia.training`: the loop, checkpoints, evaluation;
- `hypermnesia.experiments`: configurations, recipes and run folders;
- `hypermnesia.cli`: the command line.
"""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("hypermnesia")
