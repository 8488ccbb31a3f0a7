"""`ContinualLearner` as estimators of scikit-learn: a classifier and a regressor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import (  # type: ignore[import-untyped]
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
)
from sklearn.metrics import accuracy_score, r2_score  # type: ignore[import-untyped]
from sklearn.utils import (  # type: ignore[import-untyped]
    check_array,
    check_random_state,
    check_X_y,
    compute_sample_weight,
)
from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]
from sklearn.utils.validation import (  # type: ignore[import-untyped]
    _check_sample_weight,
    check_is_fitted,
)
from torch import nn

from hypermnesia.errors import ConfigError, DataError
from hypermnesia.learner.arrays import columns_of, table
from hypermnesia.learner.learner import ContinualLearner
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.targets import Problem
from hypermnesia.methods.base import Loss
from hypermnesia.nets import NetSettings, build_net
from hypermnesia.optimizers import OptimizerFactory
from hypermnesia.seeding import Generators
from hypermnesia.training.history import FitHistory

EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": "a weight of 2 is no second row: mini-batches "
    "and held-out rows are drawn from the rows there are",
    "check_dataframe_column_names_consistency": "columns in another order are found by their "
    "names, where scikit-learn's own estimators refuse them",
    "check_methods_subset_invariance": "networks answer in float32, whose last digit depends on "
    "the size of the batch",
    "check_methods_sample_order_invariance": "the same",
}
"""What `check_estimator` asks for that these estimators do not do, and why."""

TASK = "task"
"""The name of the task where none is given."""


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share; the parameters are those of `ContinualClassifier`."""

    _problem: ClassVar[Problem]
    learner_: ContinualLearner

    def __init__(
        self,
        module: nn.Module | None = None,
        *,
        hidden: Sequence[int] = (100,),
        infer_task: str | None = LearnerSettings.infer_task,
        method: str = LearnerSettings.method,
        head: str | None = None,
        generated: Sequence[str] | None = None,
        compression: float | None = None,
        beta: float | str = LearnerSettings.beta,
        drift: float = LearnerSettings.drift,
        lr: float = LearnerSettings.lr,
        batch_size: int = LearnerSettings.batch_size,
        iterations: int = LearnerSettings.iterations,
        patience: int = LearnerSettings.patience,
        validation: float = LearnerSettings.validation,
        criterion: Loss | None = None,
        optimizer: OptimizerFactory | None = None,
        device: torch.device | str | None = None,
        random_state: Any = 0,
    ) -> None:
        self.module = module
        self.hidden = hidden
        self.infer_task = infer_task
        self.method = method
        self.head = head
        self.generated = generated
        self.compression = compression
        self.beta = beta
        self.drift = drift
        self.lr = lr
        self.batch_size = batch_size
        self.iterations = iterations
        self.patience = patience
        self.validation = validation
        self.criterion = criterion
        self.optimizer = optimizer
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any, task: Any = None, sample_weight: Any = None) -> Any:
        """Learn one task, or several in turn, afresh: what was fitted before is forgotten.

        Args:
            X: (n, *sample) numbers, or a data frame of columns of numbers.
            y: (n,) labels; (n,) or (n, k) values in regression.
            task: the task's name, or (n,) names, one a row; tasks are learned in the order in which
                they first appear. None stands for a single task.
            sample_weight: (n,) numbers that say how much each row counts in the loss.

        Returns:
            The estimator.
        """
        return self._learn(X, y, task, sample_weight, afresh=True)

    def partial_fit(
        self,
        X: Any,
        y: Any,
        task: Any = None,
        classes: Any = None,
        sample_weight: Any = None,
    ) -> Any:
        """Learn a further task, or go on with a known one; all others are held as they are.

        Args:
            X: as for `fit`.
            y: as for `fit`.
            task: as for `fit`.
            classes: all labels of the task, where this call brings only some of them, or new ones
                by which it extends a known task.
            sample_weight: as for `fit`.

        Returns:
            The estimator.
        """
        afresh = not hasattr(self, "learner_")
        return self._learn(X, y, task, sample_weight, classes, afresh=afresh)

    def predict(self, X: Any, task: Any = None) -> NDArray[Any]:
        """The labels, or values, of n rows; the task of each is inferred where none is given.

        Args:
            X: as for `fit`.
            task: the name of their task, or (n,) names, one a row.

        Returns:
            (n,) labels; (n,) or (n, k) values in regression.
        """
        return self._answers(X, task, lambda x, name: self.learner_.predict(x, name))

    @property
    def history_(self) -> list[FitHistory]:
        """A `FitHistory` of each task's fit, since the last call of `fit`."""
        check_is_fitted(self, "learner_")
        return list(self.learner_.history_)

    def _learn(
        self,
        x: Any,
        y: Any,
        task: Any,
        weight: Any,
        classes: Any = None,
        *,
        afresh: bool,
    ) -> Any:
        """Check the data, and fit task after task."""
        x = self._named(x, afresh=afresh)
        x, y = self._checked(x, y)
        self._count_features(x, afresh=afresh)
        weight = self._weights(weight, x)
        learner = None if afresh else self.learner_
        groups = list(_by_task(task, len(x)))
        if classes is not None and len(groups) > 1:
            raise ConfigError("classes are those of one task", got=f"{len(groups)} tasks")
        for name, rows in groups:
            of_task = x[rows], y[rows], None if weight is None else weight[rows]
            learner = self._fitted(learner, name, *of_task, classes)
        self.learner_ = cast(ContinualLearner, learner)
        return self

    def _fitted(
        self,
        learner: ContinualLearner | None,
        name: Any,
        x: NDArray[Any],
        y: NDArray[Any],
        weight: NDArray[Any] | None,
        classes: Any,
    ) -> ContinualLearner:
        """The learner, made if there is none, and the rows of a task learned."""
        weight = self._weighed(y, weight)
        if weight is not None:
            x, y, weight = x[weight > 0], y[weight > 0], weight[weight > 0]
        if learner is None:
            learner = self._learner(x, y if classes is None else classes)
        return learner.fit(x, y, task=name, classes=classes, sample_weight=weight)

    def _learner(self, x: NDArray[Any], y: Any) -> ContinualLearner:
        """A learner of these settings for (n, *sample) inputs and targets like the first task's."""
        seed = self.random_state
        if not isinstance(seed, int):
            seed = int(check_random_state(seed).randint(2**31 - 1))
        module = self.module
        if module is None:
            settings = NetSettings(tuple(self.hidden))
            width = self._outputs(y)
            module = build_net("mlp", x.shape[1:], width, Generators(seed), settings)
        own = set(self.get_params(deep=False)) - {"module", "hidden", "class_weight"}
        given = {name: getattr(self, name) for name in own - {"random_state"}}
        return ContinualLearner(module, problem=self._problem, seed=seed, **given)

    def _named(self, x: Any, *, afresh: bool) -> Any:
        """A data frame's numbers, columns found by the names of the first fit's; or `x` itself."""
        names = columns_of(x)
        if afresh:
            self.__dict__.pop("feature_names_in_", None)
            if names:
                self.feature_names_in_ = np.array(names, dtype=object)
        known = getattr(self, "feature_names_in_", None)
        return x if names is None or known is None else table(x, tuple(known)).numpy()

    def _count_features(self, x: NDArray[Any], *, afresh: bool) -> None:
        if afresh:
            self.n_features_in_ = x.shape[1]
        elif x.shape[1] != self.n_features_in_:
            kind, known = type(self).__name__, self.n_features_in_
            got = f"X has {x.shape[1]} features, but {kind} is expecting {known} features as input"
            raise ValueError(got)

    def _checked(self, x: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Arrays of numbers, and as many targets; raises `ValueError` for others."""
        values = self._problem == "regression"
        own: dict[str, Any] = {"multi_output": values, "y_numeric": values, "estimator": self}
        x, y = check_X_y(x, y, allow_nd=True, **own)
        return self._numbers(x), y

    def _numbers(self, x: NDArray[Any]) -> NDArray[Any]:
        """The inputs; as floats where no module of the user's could read ids or bytes of images."""
        return x.astype(np.float64) if self.module is None and x.dtype.kind != "f" else x

    def _weights(self, given: Any, x: NDArray[Any]) -> NDArray[Any] | None:
        if given is None:
            return None
        weights: NDArray[Any] = _check_sample_weight(given, x, ensure_non_negative=True)
        if not weights.any():
            rule = "Sample weights must contain at least one non-zero number"
            raise DataError(rule, got="zeros", hint="leave them out")
        return weights

    def _answers(
        self, given: Any, task: Any, answer: Callable[[Any, Any], NDArray[Any]]
    ) -> NDArray[Any]:
        """What `answer` makes of the rows of each task and its name, in the order of the rows."""
        check_is_fitted(self, "learner_")
        x = self._named(given, afresh=False)
        x = self._numbers(check_array(x, allow_nd=True, estimator=self, input_name="X"))
        self._count_features(x, afresh=False)
        if task is None:
            only = self.learner_.tasks
            return answer(x, only[0] if len(only) == 1 else None)
        groups = list(_by_task(task, len(x)))
        parts = [answer(x[rows], name) for name, rows in groups]
        order = np.concatenate([np.arange(len(x))[rows] for _, rows in groups]).argsort()
        return np.concatenate(parts)[order]

    def _outputs(self, y: Any) -> int:
        """How many outputs a first task has."""
        raise NotImplementedError

    def _weighed(
        self,
        y: NDArray[Any],  # noqa: ARG002
        weight: NDArray[Any] | None,
    ) -> NDArray[Any] | None:
        """The weights of a task's rows."""
        return weight


class ContinualClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A classifier that learns one task after another and forgets none.

    It is a `ContinualLearner`, to be found as `learner_` once it is fitted, behind the contract of
    scikit-learn.

    Args:
        module: any `nn.Module` that gives (batch, outputs) logits; None for fully connected layers
            as wide as the data.
        hidden: widths of the hidden layers where there is no module.
        infer_task: as of `ContinualLearner`, like all that is not described here.
        class_weight: `balanced`, or label -> weight: how much each label counts in the loss of a
            task.
        random_state: an int, None or a generator of NumPy's.

    Attributes:
        learner_: the learner.
        classes_: (labels,) of all tasks, sorted.
        n_features_in_: columns of `X`; `feature_names_in_` are their names, if they have any.
        history_: a `FitHistory` of each task's fit.
    """

    _problem = "classification"

    def __init__(
        self,
        module: nn.Module | None = None,
        *,
        hidden: Sequence[int] = (100,),
        infer_task: str | None = LearnerSettings.infer_task,
        method: str = LearnerSettings.method,
        head: str | None = None,
        generated: Sequence[str] | None = None,
        compression: float | None = None,
        beta: float | str = LearnerSettings.beta,
        drift: float = LearnerSettings.drift,
        lr: float = LearnerSettings.lr,
        batch_size: int = LearnerSettings.batch_size,
        iterations: int = LearnerSettings.iterations,
        patience: int = LearnerSettings.patience,
        validation: float = LearnerSettings.validation,
        criterion: Loss | None = None,
        optimizer: OptimizerFactory | None = None,
        class_weight: Any = None,
        device: torch.device | str | None = None,
        random_state: Any = 0,
    ) -> None:
        super().__init__(
            module, hidden=hidden, infer_task=infer_task, method=method, head=head,
            generated=generated, compression=compression, beta=beta, drift=drift, lr=lr,
            batch_size=batch_size, iterations=iterations, patience=patience, validation=validation,
            criterion=criterion, optimizer=optimizer, device=device, random_state=random_state,
        )  # fmt: skip
        self.class_weight = class_weight

    def predict_proba(self, X: Any, task: Any = None) -> NDArray[Any]:
        """(n, labels) probabilities, in the order of `classes_`; `X` and `task` as for `predict`.

        They are 0 for labels of other tasks than the one given.
        """
        return self._answers(X, task, self._probabilities)

    def score(self, X: Any, y: Any, sample_weight: Any = None, task: Any = None) -> float:
        """The share of right labels; `X` and `task` as for `predict`."""
        answers = self.predict(X, task)
        return float(accuracy_score(y, answers, sample_weight=sample_weight))

    def _learn(self, *arguments: Any, **options: Any) -> Any:
        super()._learn(*arguments, **options)
        self.classes_ = _sorted(self.learner_.classes())
        return self

    def _probabilities(self, x: Any, name: Any) -> NDArray[Any]:
        own = self.learner_.predict_proba(x, name)
        places = {label: place for place, label in enumerate(self.classes_.tolist())}
        columns = [places[label] for label in self.learner_.classes(name).tolist()]
        shares = np.zeros((len(own), len(places)), own.dtype)
        shares[:, columns] = own
        return shares

    def _checked(self, x: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        x, y = super()._checked(x, y)
        check_classification_targets(y)
        return x, y

    def _outputs(self, y: Any) -> int:
        return len(np.unique(y))

    def _weighed(self, y: NDArray[Any], weight: NDArray[Any] | None) -> NDArray[Any] | None:
        if self.class_weight is None:
            return weight
        of_class: NDArray[Any] = compute_sample_weight(self.class_weight, y)
        return of_class if weight is None else of_class * weight


class ContinualRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A regressor that learns one task after another and forgets none: see `ContinualClassifier`.

    It has the same parameters but `class_weight`, and no `classes_`. Targets are (n,) or (n, k).
    """

    _problem = "regression"

    def score(self, X: Any, y: Any, sample_weight: Any = None, task: Any = None) -> float:
        """R² of the values; `X` and `task` as for `predict`."""
        return float(r2_score(y, self.predict(X, task), sample_weight=sample_weight))

    def _outputs(self, y: Any) -> int:
        return 1 if np.ndim(y) == 1 else int(np.shape(y)[1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _by_task(task: Any, rows: int) -> Iterator[tuple[Any, Any]]:
    """Names of tasks, in the order in which they first appear, and their rows."""
    if task is None or np.ndim(task) == 0:
        yield TASK if task is None else np.asarray(task, dtype=object).item(), slice(None)
        return
    names = list(np.asarray(task, dtype=object))
    if len(names) != rows:
        raise DataError("there must be a task for each row", got=f"{len(names)} for {rows} rows")
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    numbers = np.array([places[name] for name in names])
    for name, place in places.items():
        yield (
            name.item() if isinstance(name, np.generic) else name,
            np.flatnonzero(numbers == place),
        )


def _sorted(labels: NDArray[Any]) -> NDArray[Any]:
    """The labels in order; as they came if they cannot be compared."""
    try:
        return np.sort(labels)
    except TypeError:
        return labels
