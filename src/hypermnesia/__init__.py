"""Continual learning with hypernetworks: one meta-model keeps the weights of every task.

`hypermnesia.ContinualLearner` teaches a model of your own one data set after another. `__all__`
names what else you build with. Importing this package changes nothing in the process, and loads
a name's module when the name is asked for.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what `_MODULES` says, for type checkers and editors
    from hypermnesia.data.benchmarks import BENCHMARKS
    from hypermnesia.data.scenarios import Scenario
    from hypermnesia.data.types import Batch, Part, Task, TaskSpec
    from hypermnesia.errors import ConfigError, DataError, HypermnesiaError, RunError, TargetError
    from hypermnesia.evidence import EVIDENCE, Evidence
    from hypermnesia.hypernet.conditions import CONDITIONS, Condition
    from hypermnesia.hypernet.memory import WeightMemory
    from hypermnesia.hypernet.network import HypernetSettings, Hypernetwork
    from hypermnesia.learner import ContinualLearner
    from hypermnesia.learner.adapters import lora
    from hypermnesia.learner.estimators import ContinualClassifier, ContinualRegressor
    from hypermnesia.learner.prefix import frozen_features
    from hypermnesia.methods import METHODS, Method, MethodEntry, Prediction
    from hypermnesia.nets import NETS
    from hypermnesia.optimizers import OPTIMIZERS, OptimizerSettings
    from hypermnesia.regularization.output import REGULARIZERS, RegularizerSettings
    from hypermnesia.regularization.step import HypernetTrainer
    from hypermnesia.seeding import Generators
    from hypermnesia.training import Observer, StopTask, StopTraining, TrainSettings, train
    from hypermnesia.training.evaluation import evaluate

__version__ = version("hypermnesia")

__all__ = [
    "BENCHMARKS", "CONDITIONS", "EVIDENCE", "METHODS", "NETS", "OPTIMIZERS", "REGULARIZERS",
    "Batch", "Condition", "ConfigError", "ContinualClassifier", "ContinualLearner",
    "ContinualRegressor", "DataError", "Evidence", "Generators", "HypermnesiaError",
    "HypernetSettings", "HypernetTrainer", "Hypernetwork", "Method", "MethodEntry", "Observer",
    "OptimizerSettings", "Part", "Prediction", "RegularizerSettings", "RunError", "Scenario",
    "StopTask", "StopTraining", "TargetError", "Task", "TaskSpec", "TrainSettings", "WeightMemory",
    "__version__", "evaluate", "frozen_features", "lora", "train",
]  # fmt: skip

_MODULES = {
    "data.benchmarks": ("BENCHMARKS",),
    "data.scenarios": ("Scenario",),
    "data.types": ("Batch", "Part", "Task", "TaskSpec"),
    "errors": ("ConfigError", "DataError", "HypermnesiaError", "RunError", "TargetError"),
    "evidence": ("EVIDENCE", "Evidence"),
    "hypernet.conditions": ("CONDITIONS", "Condition"),
    "hypernet.memory": ("WeightMemory",),
    "hypernet.network": ("HypernetSettings", "Hypernetwork"),
    "learner": ("ContinualLearner",),
    "learner.adapters": ("lora",),
    "learner.estimators": ("ContinualClassifier", "ContinualRegressor"),
    "learner.prefix": ("frozen_features",),
    "methods": ("METHODS", "Method", "MethodEntry", "Prediction"),
    "nets": ("NETS",),
    "optimizers": ("OPTIMIZERS", "OptimizerSettings"),
    "regularization.output": ("REGULARIZERS", "RegularizerSettings"),
    "regularization.step": ("HypernetTrainer",),
    "seeding": ("Generators",),
    "training": ("Observer", "StopTask", "StopTraining", "TrainSettings", "train"),
    "training.evaluation": ("evaluate",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
