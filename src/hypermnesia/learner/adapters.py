"""Low-rank adapters of PEFT: made by the hypernetwork, written and read in PEFT's own format."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.errors import ConfigError, RunError, TargetError
from hypermnesia.learner.design import Design, basis_sizes, model_sizes
from hypermnesia.learner.knowledge import Knowledge, TaskRecord
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.start import settled
from hypermnesia.learner.targets import Classes, Label, Labels, Own
from hypermnesia.modules import copied
from hypermnesia.nets import find_head, with_outputs

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
"""Files of PEFT's format."""

MANY = 16
"""Adapters from which on a basis of fewer stands for them."""


def _peft() -> Any:
    """The library; raises `ConfigError` without it."""
    if find_spec("peft") is None:
        hint = "install it: pip install 'hypermnesia[peft]'"
        raise ConfigError("low-rank adapters need the extra 'peft'", got="no peft", hint=hint)
    import peft

    return peft


def lora(
    model: nn.Module,
    rank: int = 8,
    target_modules: Sequence[str] | str | None = None,
    *,
    head: str | None = None,
    alpha: float | None = None,
    learned: str | Sequence[str] = (),
) -> nn.Module:
    """Give a model low-rank adapters (Hu et al. 2021, arXiv 2106.09685), and freeze the rest.

    In a `ContinualLearner` each task then has adapters and an output layer of its own, which the
    hypernetwork makes; all start as PEFT starts them, so that the model answers as before.

    Args:
        model: any module; it is copied.
        rank: of the adapters' matrices.
        target_modules: endings of the names of the layers that get adapters, as of PEFT, which
            knows them by itself for architectures of Transformers.
        head: name of the output layer, learned as a whole; the last `nn.Linear` by default. A model
            without one has adapters only.
        alpha: adapters are multiplied by alpha / rank; twice the rank by default.
        learned: endings of the names of further layers that are learned as a whole, such as norms.

    Returns:
        A `peft.PeftModel`.

    Raises:
        ConfigError: without the extra `peft`, for layers that cannot have adapters, or names in
            `learned` that no layer ends in.
    """
    peft, found = _peft(), find_head(model, head)
    own = {"r": rank, "lora_alpha": 2 * rank if alpha is None else alpha}
    named = [target_modules] if isinstance(target_modules, str) else target_modules
    learned = [learned] if isinstance(learned, str) else learned
    layers = [name for name, _ in model.named_modules() if name]
    for ending in learned:
        if not any(name.endswith(ending) for name in layers):
            rule, hint = "learned must name layers of the model", f"such as {layers[-1]!r}"
            raise ConfigError(rule, got=ending, hint=hint)
    saved = [*learned, *([found.name] if found and found.name else [])] or None
    try:
        config = peft.LoraConfig(
            target_modules=None if named is None else [*named], modules_to_save=saved, **own
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about names of Transformers
            warnings.filterwarnings("ignore", "fan_in_fan_out is set")  # which it sets right
            warnings.filterwarnings("ignore", ".*Merging is not supported")  # nor is it done
            # The same draws each time, so that a saved learner finds its model again.
            with torch.random.fork_rng():
                torch.manual_seed(0)
                adapted: nn.Module = peft.get_peft_model(copied(model), config)
        return adapted
    except ValueError as error:
        rule, hint = "adapters must be of layers that PEFT finds", "name them in target_modules"
        raise ConfigError(rule, got=str(error).partition("\n")[0], hint=hint) from error


def check_adapted(model: nn.Module) -> None:
    """Raise `TargetError` for a model that is none of PEFT's."""
    if not hasattr(model, "peft_config"):
        rule, hint = "adapters are of a model of PEFT", "make it by hypermnesia.lora"
        raise TargetError(rule, got=type(model).__name__, hint=hint)


def write(network: nn.Module, folder: Path, *, overwrite: bool = False) -> None:
    """Write a task's network as an adapter: as a whole or not at all.

    Raises `RunError` for a folder that exists.
    """
    check_adapted(network)
    if folder.exists() and not overwrite:
        hint = "choose another one, or set overwrite=True"
        raise RunError("an adapter is written to a new folder", got=f"{folder}", hint=hint)
    new = folder.with_name(f".new-{folder.name}")
    shutil.rmtree(new, ignore_errors=True)
    _peft()
    # Whether an embedding was resized, PEFT would ask the hub.
    network.save_pretrained(str(new), save_embedding_layers=False)  # type: ignore[operator]
    if folder.exists():
        shutil.rmtree(folder)
    new.rename(folder)


def folder_names(tasks: Sequence[Label]) -> list[str]:
    """A name of a folder for each task: its own where it can be one, else its number."""
    plain = [str(task) for task in tasks]
    fine = [name.replace("-", "").replace("_", "").isalnum() for name in plain]
    distinct = all(fine) and len({name.lower() for name in plain}) == len(plain)
    return plain if distinct else [f"{number:05d}" for number in range(len(plain))]


@torch.no_grad()
def read(model: nn.Module, folder: Path, head: str | None) -> tuple[dict[str, Tensor], int]:
    """The parameters by name that an adapter gives to a model of `lora`, and its outputs.

    One of a lower rank is widened by zeros. Raises `RunError` for what is no such adapter.
    """
    check_adapted(model)
    peft = _peft()
    rule = f"{folder} must hold an adapter of the model that it is taken in for"
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise RunError(rule, got=f"no {CONFIG} with {WEIGHTS}", hint="check its name")
    config = peft.PeftConfig.from_pretrained(str(folder))
    own: Any = next(iter(model.peft_config.values()))  # type: ignore[operator]
    stored = peft.load_peft_weights(str(folder), device="cpu")
    stored = {name: _as_wide(name, value, config, own) for name, value in stored.items()}
    found = find_head(model, head)
    outputs = found.layer.out_features if found else 0
    if found is not None and (name := _stored_head(found.name)) in stored:
        outputs = len(stored[name])
    module = with_outputs(model, outputs, torch.Generator(), head) if found else copied(model)
    try:
        result = peft.set_peft_model_state_dict(module, stored)
    except RuntimeError as error:
        got = str(error).strip().splitlines()[-1].strip()
        raise RunError(rule, got=got[:200], hint="use the same layers") from error
    if result.unexpected_keys:
        got = f"'{result.unexpected_keys[0]}', which the model lacks"
        raise RunError(rule, got=got, hint="use the same target_modules")
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    if other := _other_statistics(module, model):
        got = f"other values of '{other}'"
        raise RunError(rule, got=got, hint="train it with norms in eval mode")
    missing = [name for name in result.missing_keys if name in learned]
    if missing and "lora_" in missing[0]:
        raise RunError(rule, got=f"none for '{missing[0]}'", hint="use the same target_modules")
    return {n: p.detach() for n, p in module.named_parameters() if n in learned}, outputs


def _other_statistics(module: nn.Module, model: nn.Module) -> str | None:
    """The name of a buffer that the two do not have alike; no task has one of its own."""
    own = dict(model.named_buffers())
    return next((n for n, b in module.named_buffers() if not torch.equal(b, own[n])), None)


def _stored_head(name: str) -> str:
    """The name in PEFT's file of the weight of an output layer that is learned as a whole."""
    return name.replace(".modules_to_save.default", "") + ".weight"


def _as_wide(name: str, value: Tensor, config: Any, own: Any) -> Tensor:
    """A factor of an adapter of another rank or alpha, in the model's own."""
    if ".lora_A." not in name and ".lora_B." not in name:
        return value
    axis, rank = (0 if ".lora_A." in name else 1), own.r
    if value.shape[axis] > rank:
        rule, hint = "an adapter must be of the model's rank, or a lower one", "choose a larger one"
        raise RunError(rule, got=f"rank {value.shape[axis]} for {rank}", hint=hint)
    wide = value.new_zeros([rank if a == axis else n for a, n in enumerate(value.shape)])
    wide.narrow(axis, 0, value.shape[axis]).copy_(value)
    theirs, ours = config.lora_alpha / config.r, own.lora_alpha / own.r
    return wide if axis == 0 else wide * (theirs / ours)


def blank_knowledge(
    model: nn.Module,
    settings: LearnerSettings,
    device: torch.device,
    own: Own | None = None,
    tasks: int = 1,
) -> Knowledge:
    """Knowledge of no task, for so many that come without data; raises where none can come so."""
    if settings.method != "hnet" or settings.problem not in (None, "classification"):
        raise ConfigError("a learner must be fitted first", got="no task", hint="call fit")
    if settings.infer_task == "auto":
        settings = replace(settings, infer_task=None)
    outputs = head.layer.out_features if (head := find_head(model, settings.head)) else 0
    start, why = settled(model, settings.start)
    if tasks >= MANY and start == "pretrained":
        sizes = basis_sizes(model, settings, outputs, tasks)
    else:
        sizes = model_sizes(model, settings, outputs, outputs, start)
    design = Design("classification", sizes, None, outputs, start=start, why_start=why)
    return Knowledge(model, settings, design, device, own)


def take_in(
    knowledge: Knowledge,
    folders: Mapping[Label, Path],
    classes: Mapping[Label, Sequence[Label]],
) -> list[float]:
    """Fit the hypernetwork to adapters, as new tasks; returns the error of each.

    Raises `ConfigError` where tasks could not be told without data, or for classes too many or few.
    """
    if knowledge.settings.infer_task not in (None, "entropy"):
        rule = "an adapter is taken in without data, from which a task could be told"
        hint = "use infer_task=None or 'entropy'"
        raise ConfigError(rule, got=f"infer_task={knowledge.settings.infer_task!r}", hint=hint)
    found = [read(knowledge.model, path, knowledge.settings.head) for path in folders.values()]
    labels = [classes.get(task, range(n)) for task, (_, n) in zip(folders, found, strict=True)]
    for (_, outputs), own in zip(found, labels, strict=True):
        if len(own) != outputs:
            rule = "classes must be as many as the adapter has outputs"
            raise ConfigError(rule, got=f"{len(own)} for {outputs}")
    method: Any = knowledge.method
    iterations = knowledge.settings.iterations
    importance = _importance([values for values, _ in found])
    wanted = [(outputs, values) for values, outputs in found]
    errors: list[float] = method.take_in(wanted, iterations, importance)
    linear = method.memory.settings.plan == "full" and not method.memory.settings.hidden
    updates = 0 if linear and not knowledge.records else iterations  # in closed form
    for task, own in zip(folders, labels, strict=True):
        if method.answers != ("task",):
            knowledge.calibration.unmeasured(len(knowledge.records))
        record = TaskRecord(task, Classes(Labels(own)), updates=updates)
        knowledge.records.append(record)
    return errors


def _importance(adapters: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """How much an error of each factor counts in their product B A, by name.

    ‖δB A‖² is the sum of the squares of δB's columns times those of A's rows, and the other way.
    """
    found = {}
    for name in adapters[0]:
        if ".lora_A." in name and (other := name.replace(".lora_A.", ".lora_B.")) in adapters[0]:
            first, second = ([each[part].flatten(1) for each in adapters] for part in (name, other))
            of_rows = torch.stack([each.square().sum(dim=1) for each in first]).mean(dim=0)
            of_columns = torch.stack([each.square().sum(dim=0) for each in second]).mean(dim=0)
            if len(of_rows) == len(of_columns):
                shape = (-1, *[1] * (adapters[0][name].ndim - 1))
                found[name] = of_columns.view(shape)
                found[other] = of_rows.view(1, -1, *shape[2:])
    return found
