"""Continual learning with hypernetworks: one meta-model keeps the weights of every task.

`hypermnesia.ContinualLearner` teaches a model of one's own one data set after another.

Importing this package changes nothing in the process and loads no other part of it:

- `hypermnesia.hypernet`: hypernetworks, and any `nn.Module` as their target network;
- `hypermnesia.regularization`, `hypermnesia.regularization.lookahead`: what protects earlier tasks;
- `hypermnesia.methods`: methods behind one protocol, by name;
- `hypermnesia.data`: sources, benchmarks, scenarios;
- `hypermnesia.training`: the loop, checkpoints, evaluation;
- `hypermnesia.learner`: what is behind `ContinualLearner`;
- `hypermnesia.experiments`: configurations, recipes and run folders;
- `hypermnesia.cli`: the command line.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypermnesia.learner import ContinualLearner

__all__ = ["ContinualLearner", "__version__"]

__version__ = version("hypermnesia")


def __getattr__(name: str) -> object:
    if name == "ContinualLearner":
        from hypermnesia.learner import ContinualLearner  # loads torch, which takes its time

        return ContinualLearner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
