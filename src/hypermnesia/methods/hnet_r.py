"""`hnet-r`: HNET+R of von Oswald et al. 2020 (arXiv 1906.00695).

A plain classifier goes on learning from samples of a generative memory that a hypernetwork makes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.distillation import DistillationSettings
from hypermnesia.methods.generative import GenerativeMemory
from hypermnesia.methods.replay import ReplayClassifier
from hypermnesia.methods.vae_memory import Autoencoders
from hypermnesia.precision import Precision
from hypermnesia.seeding import Generators


def hnet_r(
    network: nn.Module,
    scenario: ScenarioName,
    *,
    autoencoders: Autoencoders,
    distillation: DistillationSettings,
    generators: Generators,
    device: torch.device,
    precision: Precision = "float32",
    **settings: Any,
) -> ReplayClassifier:
    """HNET+R: samples from a `GenerativeMemory`, soft answers; new classes had the score 0."""
    own: dict[str, Any] = {"generators": generators, "device": device, "precision": precision}
    memory = GenerativeMemory(autoencoders, **own)
    return ReplayClassifier(
        network,
        scenario,
        memory=memory,
        distillation=distillation,
        unseen=0.0,
        **own,
        **settings,
    )
