"""`hnet-lik`: the task under whose autoencoder a sample is likeliest.

One hypernetwork makes a whole variational autoencoder, encoder and decoder, for every task, beside
the one that makes the classifiers. Nothing is replayed: an autoencoder knows its own task only,
and the bounds of all of them on log p(x | task) are compared, which with equal priors is Bayes'
rule. The importance-weighted bound is Burda et al. 2016 (arXiv 1509.00519). The method is ours.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.hypernet.all_tasks import AllTasks, TaskGroup
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.inference import InferenceSettings
from hypermnesia.methods.base import State, TaskSpec
from hypermnesia.methods.inferred import InferredTaskMethod
from hypermnesia.methods.trainer import HypernetTrainer
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularizers import RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.vae import Vae, draw_noise, elbo, importance_weighted_bound, vae_loss
