"""hypnettorch's training iteration: its own networks, lookahead and regulariser, our sizes.

The order of the steps is that of the authors' code (github.com/chrhenning/hypercl,
mnist/train_splitMNIST.py, `train_class_one_t`): targets of old tasks once a task; each
iteration backward with `retain_graph`, lookahead, regulariser, backward, both steps.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.spec import CannotMeasure, Iteration, Spec
from hypermnesia.data.types import Batch
from hypermnesia.experiments.config import ExperimentConfig

_ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def build_networks(config: ExperimentConfig, inputs: int, outputs: int, tasks: int) -> Any:
    """(main network without weights of its own, hypernetwork with embeddings for `tasks`).

    Raises:
        CannotMeasure: hypnettorch is not installed.
    """
    try:
        chunked = import_module("hypnettorch.hnets.chunked_mlp_hnet")
        mlp = import_module("hypnettorch.mnets.mlp")
    except ImportError as error:
        raise CannotMeasure(f"the extra 'bench' is not installed ({error})") from error
    hypernet = config.hypernet
    main = mlp.MLP(
        n_in=inputs,
        n_out=outputs,
        hidden_layers=config.target.hidden,
        no_weights=True,
        verbose=False,
    )
    made = chunked.ChunkedHMLP(
        main.param_shapes,
        hypernet.chunk,
        chunk_emb_size=hypernet.chunk_embedding,
        cond_in_size=hypernet.task_embedding,
        layers=hypernet.hidden,
        activation_fn=_ACTIVATIONS[hypernet.activation](),
        num_cond_embs=tasks,
        verbose=False,
    )
    return main, made


class _PeerIteration:
    def __init__(self, spec: Spec) -> None:
        config, inputs = spec.config(), torch.Size(spec.shape()).numel()
        self.task, self.beta = spec.old_tasks, config.regularizer.beta
        main, made = build_networks(config, inputs, spec.outputs, self.task + 1)
        self.main, self.hypernet = main.to(spec.device), made.to(spec.device)
        lr, betas = config.optimizer.lr, config.optimizer.betas or (0.9, 0.999)
        theta, embedding = made.unconditional_params, made.conditional_params[self.task]
        self.of_theta = torch.optim.Adam(theta, lr=lr, betas=betas)
        self.of_embedding = torch.optim.Adam([embedding], lr=lr, betas=betas)

        regularizer = import_module("hypnettorch.utils.hnet_regularizer")
        self.regularizer = regularizer.calc_fix_target_reg
        self.lookahead = import_module("hypnettorch.utils.optim_step").calc_delta_theta
        self.targets = regularizer.get_current_targets(self.task, made) if self.task else None

    def __call__(self, batch: Batch) -> None:
        regularized = self.task > 0 and self.beta > 0
        self.of_theta.zero_grad()
        self.of_embedding.zero_grad()
        scores = self.main.forward(batch.x.flatten(1), self.hypernet.forward(cond_id=self.task))
        F.cross_entropy(scores, batch.y).backward(retain_graph=regularized)  # type: ignore[no-untyped-call]
        if regularized:
            change = self.lookahead(self.of_theta, False)
            penalty = self.beta * self.regularizer(
                self.hypernet, self.task, targets=self.targets, dTheta=change
            )
            cast(Tensor, penalty).backward()  # type: ignore[no-untyped-call]
        self.of_theta.step()
        self.of_embedding.step()


def peer_iteration(spec: Spec) -> Iteration:
    """The peer's iteration of the task after `spec.old_tasks` others.

    Raises:
        CannotMeasure: hypnettorch is not installed.
    """
    return _PeerIteration(spec)
