"""Eight real text tasks in turn after MiniLM: adapters of rank 8 that one hypernetwork makes.

They are of all linear layers of the last three of six layers; what the first three give is computed
once and kept in the folder `--features`. Beside it a PEFT LoRA of its own for each task; one LoRA
for all, trained in turn; and the whole model fine-tuned in turn. All have an output layer a task,
the same batches, and the same schedule.

    python -m benchmarks.text --seeds 0 --methods learner separate one full --out text.jsonl

adds a line of JSON a method and seed, each made in a process of its own so that its peak memory is
its own. Data and weights: see `benchmarks/texts.py`. `--validate` reads validation texts in place
of the test set, to choose settings.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import peft
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.texts import First, Last, Sentence, Texts, tasks, tokens
from hypermnesia import ContinualLearner, frozen_features, lora

BATCH = 8
LAYERS = ["query", "key", "value", "dense"]
SCHEDULE = {0.5: 0.3, 0.75: 0.1, 0.9: 0.03}  # the learner's: factors of the step size
FEATURES, DRIFT = "base_model.model.start", 3e-4  # 0.001, the default, forgot 0.9 points
Part = tuple[dict[str, Tensor], Tensor]


def part_of(task: Texts, part: str, features: Path | None) -> Part:
    """Features of the training, validation or test texts, or their tokens, and labels."""
    texts, labels = getattr(task, part)
    if features is None:
        return tokens(texts), labels
    return frozen_features(First(), tokens(texts), features), labels


def with_head(model: nn.Module, task: Texts, number: int, seed: int) -> nn.Module:
    """The model itself, with a new output layer."""
    torch.manual_seed(100 * seed + number)
    model.head = nn.Linear(384, task.outputs)
    return model


def train(model: nn.Module, part: Part, given: argparse.Namespace, lr: float, seed: int) -> None:
    """Train by Adam what is not frozen."""
    inputs, labels = part
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr)
    generator = torch.Generator().manual_seed(seed)
    for update in range(given.updates):
        done = [factor for share, factor in SCHEDULE.items() if update >= share * given.updates]
        optimizer.param_groups[0]["lr"] = lr * (done[-1] if done else 1)
        rows = torch.randint(len(labels), (BATCH,), generator=generator)
        optimizer.zero_grad()
        logits = model.eval()(**{name: value[rows] for name, value in inputs.items()})
        F.cross_entropy(logits, labels[rows]).backward()
        optimizer.step()


@torch.no_grad()
def accuracy(model: nn.Module, part: Part) -> float:
    """Percent of right answers."""
    inputs, labels = part
    order = inputs["attention_mask"].sum(dim=1).argsort()  # texts of one length together
    right = 0
    for rows in order.split(50):
        logits = model(**{name: value[rows] for name, value in inputs.items()})
        right += int((logits.argmax(dim=1) == labels[rows]).sum())
    return 100 * right / len(labels)


def learned(p: nn.Module) -> int:
    """The number of parameters that are not frozen."""
    return sum(each.numel() for each in p.parameters() if each.requires_grad)


def learner(all_tasks: list[Texts], given: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One hypernetwork for the adapters and output layers of all tasks."""
    model = lora(with_head(Last(2), all_tasks[0], 0, seed), 8, LAYERS)
    settings = {"iterations": given.updates, "batch_size": BATCH, "validation": 0, "seed": seed}
    settings |= {"drift": DRIFT, "compression": given.compression}
    made = ContinualLearner(model, "ridge", features=FEATURES, lr=given.learner_lr, **settings)
    after, seconds = [], []
    for task in all_tasks:
        begun = time.perf_counter()
        made.fit(*part_of(task, "train", given.features), task=task.name)
        seconds.append(time.perf_counter() - begun)
        after.append(accuracy(made.export(task.name), part_of(task, given.part, given.features)))
        print(f"learner: {task.name}: {after[-1]:.1f}, {seconds[-1]:.0f} s", file=sys.stderr)
    final, found = [], []
    for task in all_tasks:
        part = part_of(task, given.part, given.features)
        final.append(accuracy(made.export(task.name), part))
        log_evidence = made._knowledge.method.evidence.log_evidence(
            part[0], torch.empty(len(all_tasks), 0)
        )
        names = [all_tasks[number].name for number in log_evidence.argmax(dim=0).tolist()]
        found.append(100 * names.count(task.name) / len(names))
    method = made._knowledge.method
    numbers, evidence = method.memory.kept, method.evidence.kept
    return {
        **{"after": after, "final": final, "right task": found, "seconds": seconds},
        **{"numbers": numbers, "numbers of evidence": evidence},
    }


def separate(all_tasks: list[Texts], given: argparse.Namespace, seed: int) -> dict[str, Any]:
    """A LoRA a task."""
    base, after, seconds, numbers = Last(2), [], [], 0
    for number, task in enumerate(all_tasks):
        model = lora(with_head(base, task, number, seed), 8, LAYERS)
        begun = time.perf_counter()
        train(model, part_of(task, "train", given.features), given, given.lr, seed)
        seconds.append(time.perf_counter() - begun)
        numbers += learned(model)
        after.append(accuracy(model, part_of(task, given.part, given.features)))
        print(f"separate: {task.name}: {after[-1]:.1f}, {seconds[-1]:.0f} s", file=sys.stderr)
    return {"after": after, "final": after, "seconds": seconds, "numbers": numbers}


def in_turn(all_tasks: list[Texts], given: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One LoRA, or the whole model, trained on one task after another; an output layer a task."""
    whole = given.methods == ["full"]
    model: Any = Sentence(2) if whole else Last(2)
    inner, features = model, None if whole else given.features
    if not whole:
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=LAYERS)
        model, lr = peft.get_peft_model(model, config), given.lr
    else:
        lr = given.full_lr
    heads, after, seconds = [], [], []
    for number, task in enumerate(all_tasks):
        begun = time.perf_counter()
        with_head(inner, task, number, seed)
        train(model, part_of(task, "train", features), given, lr, seed)
        seconds.append(time.perf_counter() - begun)
        heads.append(inner.head)
        after.append(accuracy(model, part_of(task, given.part, features)))
        print(f"{given.methods}: {task.name}: {after[-1]:.1f}", file=sys.stderr)
    final = []
    for task, inner.head in zip(all_tasks, heads, strict=True):
        final.append(accuracy(model, part_of(task, given.part, features)))
    numbers = learned(model) + sum(learned(head) for head in heads[:-1])
    return {"after": after, "final": final, "seconds": seconds, "numbers": numbers}


METHODS = {"learner": learner, "separate": separate, "one": in_turn, "full": in_turn}


def line_of(given: argparse.Namespace, method: str, seed: int) -> dict[str, Any]:
    """What a method does with all tasks."""
    torch.set_num_threads(1)
    begun = time.perf_counter()
    own = [task for task in tasks() if not given.tasks or task.name in given.tasks]
    found = METHODS[method](own, given, seed)
    forgotten = [a - b for a, b in zip(found["after"], found["final"], strict=True)][:-1]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    settings = {"method": method, "seed": seed, "updates": given.updates, "part": given.part}
    settings["lr"] = {"learner": given.learner_lr, "full": given.full_lr}.get(method, given.lr)
    mean = sum(found["final"]) / len(own)
    seconds = {"all seconds": time.perf_counter() - begun, "MiB": memory}
    told = {"mean": mean, "forgetting": sum(forgotten) / max(1, len(forgotten)), **found}
    return {**settings, "tasks": [task.name for task in own], **told, **seconds}


def rounded(line: Any) -> Any:
    """Numbers with two digits behind the point."""
    if isinstance(line, dict):
        return {name: rounded(value) for name, value in line.items()}
    if isinstance(line, list):
        return [rounded(value) for value in line]
    return round(line, 5 if abs(line) < 0.1 else 2) if isinstance(line, float) else line


def main() -> None:
    """Make lines of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--tasks", nargs="*", help="names of tasks; all by default")
    parser.add_argument("--updates", type=int, default=240)
    parser.add_argument("--lr", type=float, default=3e-3, help="of a LoRA")
    parser.add_argument("--learner-lr", type=float, default=1.5e-3)
    parser.add_argument("--full-lr", type=float, default=1e-4)
    parser.add_argument("--compression", type=float, default=2.0)
    parser.add_argument(
        "--drift", type=float, default=3e-4, help="the learner's default forgot more"
    )
    parser.add_argument("--validate", dest="part", action="store_const", const="validation")
    parser.add_argument("--features", type=Path, default=Path("text-features"), help="a folder")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.part = given.part or "test"
    if len(given.methods) == len(given.seeds) == 1:
        line = json.dumps(rounded(line_of(given, given.methods[0], given.seeds[0])))
        print(line)
        if given.out:
            with given.out.open("a") as file:
                file.write(line + "\n")
        return
    for seed in given.seeds:
        for method in given.methods:
            own = [*sys.argv[1:], "--methods", method, "--seeds", str(seed)]
            subprocess.run([sys.executable, "-m", "benchmarks.text", *own], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
