"""What of a run folder is damaged, and what is still good. Nothing is changed by looking."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from hypermnesia.errors import ConfigError, HypermnesiaError, RunError
from hypermnesia.experiments import results
from hypermnesia.experiments.config import ExperimentConfig, evaluated, owner
from hypermnesia.experiments.run_folder import CONFIG, RunFolder, SeedFolder
from hypermnesia.storage import check_regular, compare, holds, os_errors_as_run_error, read_json
from hypermnesia.training.checkpoint import OtherFormatError, load_step, steps_in

Verdict = Literal["good", "unfinished", "unverified", "damaged"]

_RESUME = "resume writes it anew"
_OTHER = "resume with the version of Hypermnesia that wrote it"


@dataclass(frozen=True)
class Finding:
    """A part of a run; `unverified` is what can be read but has nothing to be compared with."""

    path: Path
    verdict: Verdict
    remark: str = ""


def run_folders(path: Path) -> list[Path]:
    """The run folder at `path`, or those inside it; raises `ConfigError` if there is none."""
    marks = [*path.rglob(CONFIG), *path.rglob("seed-*")] if path.is_dir() else []
    if not marks:
        rule = "run folders are wanted, or the folder that holds them"
        raise ConfigError(rule, got=f"{path} without any", hint="name for example runs")
    return sorted({mark.parent for mark in marks})


def check_run(path: Path) -> list[Finding]:
    """Compare everything in a run folder with its checksums; raises `RunError` if unreadable."""
    found: list[Finding] = []
    with os_errors_as_run_error(path, "the run folder must be readable"):
        try:
            for each in _findings(path):
                found.append(Finding(each.path.relative_to(path), each.verdict, each.remark))
        except (OSError, HypermnesiaError) as error:
            if not found:
                raise
            found.append(Finding(Path(), "damaged", f"nothing more can be read: {error}"))
    return found


def _findings(path: Path) -> Iterator[Finding]:
    for link in filter(Path.is_symlink, sorted(path.rglob("*"))):
        yield Finding(link, "damaged", "a link, of which a run folder holds none; put a copy there")
    folder = RunFolder(path)
    yield (described := _looked_at(folder.config, folder.read_config))
    config = folder.read_config() if described.verdict == "good" else None
    seeds = folder.seed_folders()
    for seed in sorted({*seeds, *(config.seeds if config else ())}):
        yield from _training(folder.seed(seed), config, seed)
    for file in (folder.environment, *(seed.environment for seed in seeds.values())):
        if file.exists():
            yield _looked_at(file, partial(read_json, file))
    if config is not None and folder.finished_seeds():
        yield from _summary(folder, config)


def _looked_at(file: Path, read: Callable[[], object]) -> Finding:
    try:
        read()
    except RunError as error:
        return Finding(file, "damaged", f"{error.got}; {error.hint}")
    return Finding(file, "good")


def _training(folder: SeedFolder, config: ExperimentConfig | None, seed: int) -> Iterator[Finding]:
    """A seed: its checkpoints and, if it is finished, what it ended with."""
    checkpoints = list(_checkpoints(folder, None if config is None else owner(config, seed)))
    yield from checkpoints
    if folder.finished:
        yield from _outcome(folder, config, seed)
        return
    good = [int(f.path.name.removeprefix("step-")) for f in checkpoints if f.verdict == "good"]
    remark = f"resume goes on from iteration {max(good)}" if good else "resume begins it anew"
    if "unverified" in [f.verdict for f in checkpoints]:
        remark = _OTHER
    elif checkpoints and not good:
        remark = "resume needs a good checkpoint: restore one, or delete them all to begin anew"
    yield Finding(folder.path, "unfinished", remark)


def _checkpoints(folder: SeedFolder, whose: str | None) -> Iterator[Finding]:
    for step in steps_in(folder.checkpoints):
        path = folder.checkpoints / f"step-{step:012d}"
        try:
            load_step(path, step, whose)
            yield Finding(path, "good")
        except OtherFormatError as error:
            yield Finding(path, "unverified", f"{error}; {_OTHER}")
        except ValueError as error:
            if path.exists():  # or a run that goes on has just replaced it
                yield Finding(path, "damaged", f"{error}; resume goes on without it if it can")


def _outcome(folder: SeedFolder, config: ExperimentConfig | None, seed: int) -> Iterator[Finding]:
    """The result of a finished training, and the files that it noted."""
    whole = partial(results.read_fields, folder)
    read = whole if config is None else partial(results.read_result, folder, config, seed)
    yield (result := _looked_at(folder.result, read))
    noted = results.read_fields(folder)["files"] if result.verdict == "good" else {}
    for file in folder.outcomes(() if config is None else evaluated(config)):
        yield _file(file, noted.get(file.name), folder)


def _file(file: Path, noted: Mapping[str, Any] | None, folder: SeedFolder) -> Finding:
    hint = _RESUME if file.suffix == ".csv" else results.RESTORE.format("result.json beside it")
    hint = "no figure depends on it" if file == folder.metrics else hint
    try:
        check_regular(file)
        if noted is not None:
            compare(file, noted)
        if file == folder.weights:
            results.read_weights(file, noted)
    except FileNotFoundError:
        return Finding(file, "damaged", f"it is missing; {hint}")
    except (RunError, OSError, ValueError, KeyError, TypeError) as error:
        return Finding(file, "damaged", f"{getattr(error, 'got', error)}; {hint}")
    if noted is None:
        return Finding(file, "unverified", "no good result.json has noted its checksum")
    return Finding(file, "good")


def _summary(folder: RunFolder, config: ExperimentConfig) -> Iterator[Finding]:
    """What is derived from the results of the seeds, derived again."""
    if not folder.summary.exists():
        yield Finding(folder.summary, "unfinished", _RESUME)
        return
    try:
        stored = read_json(folder.summary)
        seeds = sorted(int(seed) for seed in stored["compression"]["values"])
    except (RunError, KeyError, TypeError, ValueError, AttributeError):
        yield Finding(folder.summary, "damaged", _RESUME)
        return
    if not folder.seed_folders().keys() >= {*seeds}:
        yield _derived(folder.summary, same=False)
        return
    try:
        expected = results.summary_of(folder, config, results.results_of(folder, config, seeds))
    except RunError:
        yield Finding(folder.summary, "unverified", "the result of a seed that it is of is no good")
        return
    missing = len({*folder.finished_seeds()} - {*seeds})
    old = f"without {missing} finished seeds; {_RESUME}" if missing else ""
    yield _derived(folder.summary, stored == json.loads(json.dumps(expected.stored())), old)
    for name, matrix in expected.matrices.items():
        yield _derived(folder.matrix(name), holds(folder.matrix(name), results.matrix_csv(matrix)))


def _derived(file: Path, same: bool, remark: str = "") -> Finding:
    """Whether a file follows from the results of the seeds."""
    other = f"it does not follow from the results of the seeds; {_RESUME}"
    return Finding(file, "good", remark) if same else Finding(file, "damaged", other)
