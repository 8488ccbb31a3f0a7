"""Continual learning with hypernetworks: one meta-model keeps the weights of every task.

`hypermnesia.ContinualLearner` teaches a model of your own one data set after another. `__all__`
names what else you build with. Importing this package changes nothing in the process, and loads
a name's module when the name is asked for.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypermnesia.data.benchmarks import BENCHMARKS as BENCHMARKS
    from hypermnesia.data.scenarios import Scenario as Scenario
    from hypermnesia.data.types import Batch as Batch
    from hypermnesia.data.types import Part as Part
    from hypermnesia.data.types import Task as Task
    from hypermnesia.data.types import TaskSpec as TaskSpec
    from hypermnesia.errors import ConfigError as ConfigError
    from hypermnesia.errors import DataError as DataError
    from hypermnesia.errors import HypermnesiaError as HypermnesiaError
    from hypermnesia.errors import RunError as RunError
    from hypermnesia.errors import TargetError as TargetError
    from hypermnesia.evidence import EVIDENCE as EVIDENCE
    from hypermnesia.evidence import Evidence as Evidence
    from hypermnesia.hypernet.conditions import CONDITIONS as CONDITIONS
    from hypermnesia.hypernet.conditions import Condition as Condition
    from hypermnesia.hypernet.memory import WeightMemory as WeightMemory
    from hypermnesia.hypernet.network import HypernetSettings as HypernetSettings
    from hypermnesia.hypernet.network import Hypernetwork as Hypernetwork
    from hypermnesia.learner import ContinualLearner as ContinualLearner
    from hypermnesia.methods import METHODS as METHODS
    from hypermnesia.methods import Method as Method
    from hypermnesia.methods import MethodEntry as MethodEntry
    from hypermnesia.methods import Prediction as Prediction
    from hypermnesia.nets import NETS as NETS
    from hypermnesia.optimizers import OPTIMIZERS as OPTIMIZERS
    from hypermnesia.optimizers import OptimizerSettings as OptimizerSettings
    from hypermnesia.regularization.output import REGULARIZERS as REGULARIZERS
    from hypermnesia.regularization.output import RegularizerSettings as RegularizerSettings
    from hypermnesia.regularization.step import HypernetTrainer as HypernetTrainer
    from hypermnesia.seeding import Generators as Generators
    from hypermnesia.training import Observer as Observer
    from hypermnesia.training import StopTask as StopTask
    from hypermnesia.training import StopTraining as StopTraining
    from hypermnesia.training import TrainSettings as TrainSettings
    from hypermnesia.training import train as train
    from hypermnesia.training.evaluation import evaluate as evaluate

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
    "methods": ("METHODS", "Method", "MethodEntry", "Prediction"),
    "nets": ("NETS",),
    "optimizers": ("OPTIMIZERS", "OptimizerSettings"),
    "regularization.output": ("REGULARIZERS", "RegularizerSettings"),
    "regularization.step": ("HypernetTrainer",),
    "seeding": ("Generators",),
    "training": ("Observer", "StopTask", "StopTraining", "TrainSettings", "evaluate", "train"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__version__ = version("hypermnesia")

__all__ = [
    "BENCHMARKS",
    "CONDITIONS",
    "EVIDENCE",
    "METHODS",
    "NETS",
    "OPTIMIZERS",
    "REGULARIZERS",
    "Batch",
    "Condition",
    "ConfigError",
    "ContinualLearner",
    "DataError",
    "Evidence",
    "Generators",
    "HypermnesiaError",
    "HypernetSettings",
    "HypernetTrainer",
    "Hypernetwork",
    "Method",
    "MethodEntry",
    "Observer",
    "OptimizerSettings",
    "Part",
    "Prediction",
    "RegularizerSettings",
    "RunError",
    "Scenario",
    "StopTask",
    "StopTraining",
    "TargetError",
    "Task",
    "TaskSpec",
    "TrainSettings",
    "WeightMemory",
    "__version__",
    "evaluate",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
