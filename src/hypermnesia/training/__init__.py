"""Training: the one loop, its checkpoints, and those who watch it."""

from hypermnesia.training.checkpoint import Checkpoint, CheckpointStore
from hypermnesia.training.evaluate import Evaluation, evaluate
from hypermnesia.training.loop import train
from hypermnesia.training.metrics_log import MetricsLog
from hypermnesia.training.observer import NullObserver, Observer, ObserverGroup
from hypermnesia.training.plan import Phase
from hypermnesia.training.progress import TrainResult
from hypermnesia.training.settings import TrainSettings

__all__ = [
    "Checkpoint",
    "CheckpointStore",
    "Evaluation",
    "MetricsLog",
    "NullObserver",
    "Observer",
    "ObserverGroup",
    "Phase",
    "TrainResult",
    "TrainSettings",
    "evaluate",
    "train",
]
