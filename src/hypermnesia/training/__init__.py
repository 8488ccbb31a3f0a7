"""Training: the one loop, its checkpoints, and those who watch it."""

from hypermnesia.training.checkpoint import Checkpoint, CheckpointStore, MemoryStore
from hypermnesia.training.evaluation import TrainResult, evaluate
from hypermnesia.training.loop import learn, train
from hypermnesia.training.observers import (
    EarlyStopping,
    NotFiniteError,
    Observer,
    ObserverGroup,
    StopTask,
    StopTraining,
)
from hypermnesia.training.phases import Evaluation, Phase, Rows, TrainSettings

__all__ = [
    "Checkpoint", "CheckpointStore", "EarlyStopping", "Evaluation", "MemoryStore", "NotFiniteError",
    "Observer", "ObserverGroup", "Phase", "Rows", "StopTask", "StopTraining", "TrainResult",
    "TrainSettings", "evaluate", "learn", "train",
]  # fmt: skip
