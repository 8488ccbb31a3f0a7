"""Training: the one loop, its checkpoints, and those who watch it."""

from hypermnesia.training.checkpoint import Checkpoint, CheckpointStore, MemoryStore
from hypermnesia.training.evaluate import Evaluation, Rows, TrainResult, evaluate
from hypermnesia.training.logs import MetricsLog
from hypermnesia.training.loop import train
from hypermnesia.training.observers import NotFiniteError, Observer, ObserverGroup, StopTraining
from hypermnesia.training.phases import Phase, TrainSettings

__all__ = [
    "Checkpoint",
    "CheckpointStore",
    "Evaluation",
    "MemoryStore",
    "MetricsLog",
    "NotFiniteError",
    "Observer",
    "ObserverGroup",
    "Phase",
    "Rows",
    "StopTraining",
    "TrainResult",
    "TrainSettings",
    "evaluate",
    "train",
]
