"""A learner for a model and data of one's own: fit, predict, save, load, export."""

from hypermnesia.learner.learner import ContinualLearner
from hypermnesia.learner.predictor import InferredTasks

__all__ = ["ContinualLearner", "InferredTasks"]
