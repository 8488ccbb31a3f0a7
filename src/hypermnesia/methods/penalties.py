"""Plain networks whose important parameters are held: `ewc`, `ewc-online` and `si`.

L(θ) + Σ_i A_i (θ_i - m_i)²: each adds a quadratic penalty to the loss of a new task; its class says
which, and where it is published. Rows that the last layer gained later are free until the end of
the task that brought them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice
from typing import Annotated, Any, cast

from pydantic import Field
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError
from hypermnesia.methods.plain import Finetune
from hypermnesia.regularization import quadratic
from hypermnesia.regularization.quadratic import PathIntegral, QuadraticPenalty, Values
from hypermnesia.settings import Number, Positive, Samples, Strength
from hypermnesia.state_files import State


@dataclass(frozen=True)
class PenaltySettings:
    """How strongly earlier tasks' parameters are held; raises `ConfigError` out of bounds.

    Attributes:
        strength: λ of EWC, c of SI: weight of the penalty against the task's loss.
        decay: γ of online EWC, what remains of earlier importance when a task ends.
        xi: ξ of SI, which bounds the importance of a parameter that did not move.
        samples: training samples of a task, drawn at random, that its Fisher information is
            estimated on; None for all of them.
    """

    strength: Strength = 100.0
    decay: Annotated[Number, Field(ge=0, le=1)] = 1.0
    xi: Positive = 0.1
    samples: Samples | None = None

    def __post_init__(self) -> None:
        if not self.xi > 0:
            raise ConfigError("penalty.xi must be above zero", got=self.xi)
        if self.samples is not None and self.samples < 1:
            raise ConfigError("penalty.samples must be 1 or more, or none", got=self.samples)


class _Penalized(Finetune):
    """A `Finetune` with a quadratic penalty, of the strength that `penalty` says."""

    factor = 1.0  # of the strength

    def __init__(
        self, network: nn.Module, scenario: ScenarioName, *, penalty: PenaltySettings, **plain: Any
    ) -> None:
        super().__init__(network, scenario, **plain)
        self.protection, self.penalty = penalty, QuadraticPenalty()

    def parameters(self) -> Values:
        """The network's parameters by name, detached."""
        return {name: p.detach() for name, p in self.network.named_parameters()}

    def _step(self) -> dict[str, Tensor]:
        """A step by the gradients of the task's loss and of the penalty."""
        if not len(self.penalty):
            return super()._step()
        penalty = self.penalty.pull(self.network, self.factor * self.protection.strength)
        return super()._step() | {"penalty": penalty}

    @property
    def kept(self) -> int:
        """Network + importances + means."""
        return self.weights + len(self.penalty)

    def state_dict(self) -> State:
        """The network, its optimiser and the penalty."""
        return super().state_dict() | {"penalty": self.penalty.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        super().load_state_dict(state)
        self.penalty.load_state_dict(state["penalty"], self.device)


class Ewc(_Penalized):
    """Elastic weight consolidation: L + λ/2 Σ_t Σ_i F_ti (θ_i - θ*_ti)², one term a task.

    Kirkpatrick et al. 2017, arXiv 1612.00796, equation 3. F_t is the diagonal Fisher information
    of task t at θ*_t, where it ended, over the task's candidate columns. The terms of all tasks are
    kept as one, which is exact. The stream `fisher` is used.
    """

    factor = 0.5

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Estimate the task's Fisher information, and hold its parameters."""
        super().end_task(batches)
        remaining = iter(batches)
        first = list(islice(remaining, 1))
        inputs = (batch.x for batch in chain(first, remaining))
        samples, generator = self.protection.samples, self.generators["fisher"]
        drawn = quadratic.drawn_inputs(inputs, samples, generator)
        regression = bool(first) and first[0].y.is_floating_point()
        network, columns = self.network.eval(), self.scenario.candidates(self.task)
        self._hold(quadratic.diagonal_fisher(network, drawn, columns, regression=regression))

    def _hold(self, fisher: Values) -> None:
        self.penalty.add(fisher, self.parameters())


class EwcOnline(Ewc):
    """Elastic weight consolidation with one running term, F ← γF + F_t around the newest θ*.

    Schwarz et al. 2018, "Progress & compress", arXiv 1805.06370, section 4.
    """

    def _hold(self, fisher: Values) -> None:
        decay = self.protection.decay
        kept = {name: decay * self.penalty.padded(name, f)[0] + f for name, f in fisher.items()}
        self.penalty.replace(kept, self.parameters())


class Si(_Penalized):
    """Synaptic intelligence: L + c Σ_i Ω_i (θ_i - θ̃_i)², θ̃ where the last task ended.

    Zenke, Poole, Ganguli 2017, arXiv 1703.04200, equations 4 and 5. The path integral follows the
    gradients of the task's loss alone along the steps that were made. When a task ends,
    Ω ← max(0, Ω + ω/(Δ² + ξ)), as in the authors' code (pathint).
    """

    path: PathIntegral | None = None

    def _start(self, task: int, iterations: int) -> None:
        """Train a task; a path begins."""
        super()._start(task, iterations)
        self.path = PathIntegral(self.parameters())

    def _step(self) -> dict[str, Tensor]:
        """A step by both gradients; it lengthens the path."""
        named = dict(self.network.named_parameters())
        before = {name: p.detach().clone() for name, p in named.items()}
        own = {name: p.grad.clone() for name, p in named.items() if p.grad is not None}
        reported = super()._step()
        changes = {name: named[name].detach() - before[name] for name in own}
        cast(PathIntegral, self.path).add(own, changes)
        return reported

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Hold the parameters by what they did for the task."""
        super().end_task(batches)
        parameters = self.parameters()
        own = cast(PathIntegral, self.path).importance(parameters, self.protection.xi)
        kept = {n: (self.penalty.padded(n, new)[0] + new).clamp(min=0) for n, new in own.items()}
        self.penalty.replace(kept, parameters)
        self.path = None

    def state_dict(self) -> State:
        """The network, its optimiser, the penalty and, within a task, the path."""
        path = None if self.path is None else self.path.state_dict()
        return super().state_dict() | {"path": path}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        super().load_state_dict(state)
        self.path = None
        if state["path"] is not None:
            self.path = PathIntegral(self.parameters())
            self.path.load_state_dict(state["path"])
