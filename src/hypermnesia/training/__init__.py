"""Training: the one loop, its checkpoints, and those who watch it."""

from hypermnesia.training.checkpoint import Checkpoint, CheckpointStore, MemoryStore
from hypermnesia.training.evaluate import Evaluation, Rows, evaluate
from hypermnesia.training.health import NotFiniteError
from hypermnesia.training.loop import train
from hypermnesia.training.metrics_log import MetricsLog
from hypermnesia.training.observer import Observer, ObserverGroup, StopTraining
from hypermnesia.training.phases import Phase, TrainSettings
from hypermnesia.training.progress import TrainResult

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
