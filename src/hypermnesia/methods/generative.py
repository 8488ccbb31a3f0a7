"""A generative memory: an autoencoder whose decoder one hypernetwork makes for each task.

von Oswald et al. 2020 (arXiv 1906.00695), section 2, "generative replay": the memory of HNET+R
and HNET+TIR. The decoders are protected by the output regulariser; the encoder, which only
training needs, is plain, shared by all tasks and unprotected. The task is told by its embedding;
the published decoder is told by a one-hot input as well, which adds nothing to weights that are
the task's own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call

from hypermnesia.methods.base import State
from hypermnesia.methods.vae_memory import Autoencoders, VaeMemory
from hypermnesia.precision import Precision
from hypermnesia.regularizers import Parameters
from hypermnesia.seeding import Generators


class Replayed(NamedTuple):
    """Generated samples of earlier tasks.

    Attributes:
        x: (n, *sample) samples, constant.
        tasks: (n,) int64 task of each; None where it is not known.
    """

    x: Tensor
    tasks: Tensor | None


class GenerativeMemory(VaeMemory):
    """Samples of every task, from decoders that one hypernetwork makes.

    Args:
        autoencoders: whose decoders remember, and how they are learned.
        generators: streams called `memory/...` are used.
        device: where everything lives.
        precision: of what training makes and runs, and of what is replayed.
    """

    def __init__(
        self,
        autoencoders: Autoencoders,
        *,
        generators: Generators,
        device: torch.device,
        precision: Precision,
    ) -> None:
        own: dict[str, Any] = {"generators": generators.under("memory"), "device": device}
        super().__init__(autoencoders, generated=("decoder.*",), precision=precision, **own)
        self._former: Parameters | None = None
        self._decoders: Tensor | None = None

    def begin_task(self, iterations: int) -> None:
        """Make the decoders of all earlier tasks, once, and room for one more."""
        if self.memory.tasks:
            theta = self.memory.hypernet.named_parameters()
            self._recall({name: p.detach().clone() for name, p in theta})
        super().begin_task(iterations)

    @torch.no_grad()
    def _recall(self, theta: Parameters) -> None:
        """Decoders of the tasks that the current one found, as they were then."""
        earlier = self.memory.tasks - bool(self.trainer.optimizers)
        conditions = torch.stack([e.detach() for e in self.memory.embeddings[:earlier]])
        self._former = theta
        self._decoders = functional_call(self.memory.hypernet, theta, (conditions,))

    def replay(self, n: int) -> Replayed | None:
        """At least `n` fresh samples, equally many of each earlier task; None if there is none."""
        if self._decoders is None:
            return None
        tasks = len(self._decoders)
        each = -(-n // tasks)
        x = self._decode(self._decoders, each, self.generators["noise"])
        return Replayed(x, torch.arange(tasks, device=self.device).repeat_interleave(each))

    def update(self, x: Tensor, replayed: Replayed | None = None) -> dict[str, Tensor]:  # noqa: ARG002
        """One iteration on (batch, *sample) inputs of the current task.

        Nothing replayed is needed: the regulariser protects what the memory holds.
        """
        return self.learn(x)

    def end_task(self) -> None:
        """Nothing to keep but the hypernetwork, the embeddings and the encoder."""
        super().end_task()
        self._former = self._decoders = None

    def state_dict(self) -> State:
        """The memory and, within a task, θ at its start and the state of its training."""
        return super().state_dict() | {"former": self._former}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built memory where `state_dict` found the other."""
        self.end_task()
        super().load_state_dict(state)
        if state["former"] is not None:
            self._recall({n: p.to(self.device) for n, p in state["former"].items()})
