"""The folder of a run: where things are, and whether it may be continued."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, get_args

from hypermnesia import storage
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import ConfigError, RunError
from hypermnesia.experiments import config as schema
from hypermnesia.experiments.config import RENAMED, ExperimentConfig, Raw
from hypermnesia.registry import check_known_modules
from hypermnesia.settings import dump_plain, load_plain

CONFIG = "config.yaml"
MATRIX = "accuracy_matrix_{}.csv"
_SEED = re.compile(r"seed-(0|[1-9][0-9]*)")
_CLAIM = re.compile(r"\.lock-seed-(0|[1-9][0-9]*)")
_PATIENCE = 60.0  # seconds that another process may take to write the files of a run
_CONFIG_LIMIT = 2 * 2**20  # bytes; the longest list of seeds takes half of it
_HEADER = "# The resolved configuration; a run whose file was edited is refused.\n"


class RunFolder:
    """Paths inside a run folder, and its configuration file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / CONFIG
        self.environment = path / "environment.json"
        self.summary = path / "summary.json"

    def matrix(self, scenario: ScenarioName) -> Path:
        """The file of the mean accuracies in a scenario."""
        return self.path / MATRIX.format(scenario)

    def seed(self, seed: int) -> SeedFolder:
        """The folder of one seed's training."""
        return SeedFolder(self.path / f"seed-{seed}")

    def seed_folders(self) -> dict[int, SeedFolder]:
        """Folders of the seeds begun so far; anything else that is called alike is not ours."""
        return {
            int(name[1]): SeedFolder(path)
            for path in self.path.glob("seed-*")
            if (name := _SEED.fullmatch(path.name)) and path.is_dir()
        }

    def known_seeds(self) -> list[int]:
        """Seeds that a process has begun, or has claimed to begin."""
        claims = (_CLAIM.fullmatch(path.name) for path in self.path.glob(".lock-seed-*"))
        return sorted({*self.seed_folders(), *(int(claim[1]) for claim in claims if claim)})

    def locked(self) -> AbstractContextManager[None]:
        """This process alone writes the files of the run as a whole, which takes a moment."""
        return storage.locked(self.path, wait=_PATIENCE)

    def claimed(self, seed: int) -> AbstractContextManager[None]:
        """This process alone trains `seed`."""
        # Not inside the seed's folder, which a process may have to remove.
        return storage.locked(self.path, f".lock-seed-{seed}", f"the training of seed {seed}")

    def finished_seeds(self) -> list[int]:
        """Seeds whose training ended."""
        return sorted(seed for seed, folder in self.seed_folders().items() if folder.finished)

    def unfinished(self, seeds: Sequence[int]) -> list[int]:
        """Those of `seeds` whose training has not ended."""
        finished = self.finished_seeds()
        return [seed for seed in seeds if seed not in finished]

    def write_config(self, config: ExperimentConfig) -> None:
        """Store the configuration, with a checksum against later edits."""
        fields = config.model_dump(mode="python")
        fields["checksum"] = schema.checksum(fields)
        storage.write_text(self.config, _HEADER + dump_plain(fields))

    def read_config(self) -> ExperimentConfig:
        """The stored configuration; raises if it is missing, edited or of another version."""
        if not self.config.is_file():
            got, hint = f"{self.path} without one", "name a folder that `hypermnesia run` made"
            raise RunError(f"a run folder holds a {CONFIG}", got=got, hint=hint)
        fields = _fields(self.config)
        check_known_modules({name: each for name, each in fields.items() if name != "recipe"})
        try:
            return schema.validated(upgraded(fields) if fields.get("format") == 1 else fields)
        except ConfigError as error:
            hint = "continue the run with the version that began it, or start another one"
            rule = f"{self.config} must be one that this version can read"
            raise RunError(rule, got=error, hint=hint) from None


class SeedFolder:
    """Paths of one seed's training."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = path / "environment.json"
        self.metrics = path / "metrics.jsonl"
        self.result = path / "result.json"
        self.checkpoints = path / "checkpoints"
        self.weights = path / "weights.safetensors"
        self.samples = path / "samples"

    def matrix(self, scenario: ScenarioName) -> Path:
        """The file of the accuracies in a scenario."""
        return self.path / MATRIX.format(scenario)

    def outcomes(self, scenarios: Iterable[ScenarioName]) -> list[Path]:
        """Files of the training that are there when it ends, besides its result."""
        return [self.weights, self.metrics, *map(self.matrix, scenarios)]

    @property
    def finished(self) -> bool:
        """Whether the training ended; the result is the last file written."""
        return self.result.is_file()


@contextmanager
def opened(path: Path, config: ExperimentConfig, *, overwrite: bool) -> Iterator[RunFolder]:
    """The run folder at `path`, ready for `config`, whose unfinished seeds are this process's.

    A run of the same identity is continued: its seeds are added to those of `config`. To
    `overwrite` it is to begin the seeds of `config` anew; another run in its place is removed.
    Raises `RunError` where another process trains a seed, or the folder holds something else.
    """
    folder = RunFolder(path)
    with ExitStack() as claims:
        with folder.locked():
            storage.refuse_links(path)
            # Hidden files are the lock, and what a killed process left aside.
            others = any(not entry.name.startswith(".") for entry in path.iterdir())
            if others and not (_is_run(folder) if overwrite else folder.config.is_file()):
                got, hint = f"{path} with other files", "choose another one with --name or --out"
                raise RunError("a new run needs a folder that is new or empty", got=got, hint=hint)
            same = not overwrite or _is_same(config, folder)
            begun = () if same else folder.known_seeds()  # and are to be removed
            done = () if overwrite else folder.finished_seeds()
            for seed in sorted({*config.seeds, *begun} - {*done}):
                claims.enter_context(folder.claimed(seed))
            if folder.config.is_file():
                if overwrite:
                    _clear(folder, config.seeds if same else [*folder.seed_folders()])
                config = _joined(config, folder) if same else config
            folder.write_config(config)
        yield folder


def _joined(config: ExperimentConfig, folder: RunFolder) -> ExperimentConfig:
    """`config` with the seeds of the run in its place too, which must be the same run."""
    there = folder.read_config()
    if (difference := schema.first_difference(config, there)) is not None:
        hint = "choose another folder with --out; `run` has --name and --overwrite too"
        rule = f"{folder.path} holds a run with another configuration"
        raise RunError(rule, got=difference, hint=hint)
    return config.model_copy(update={"seeds": tuple(sorted({*there.seeds, *config.seeds}))})


def _is_same(config: ExperimentConfig, folder: RunFolder) -> bool:
    try:
        return schema.first_difference(config, folder.read_config()) is None
    except RunError:  # none, or edited or damaged: nothing of it can be kept
        return False


def _clear(folder: RunFolder, seeds: Sequence[int]) -> None:
    # Results first: a folder half cleared is still a run, never a finished one.
    with storage.os_errors_as_run_error(folder.path, "the run folder must be writable"):
        for seed, seed_folder in folder.seed_folders().items():
            if seed in seeds:
                seed_folder.result.unlink(missing_ok=True)
                shutil.rmtree(seed_folder.path)
        matrices = (folder.matrix(name) for name in get_args(ScenarioName))
        for file in (folder.environment, folder.summary, *matrices):
            file.unlink(missing_ok=True)


def _is_run(folder: RunFolder) -> bool:
    """Whether there is a configuration of ours, which may be damaged, but not someone else's."""
    try:
        text = storage.read_bounded(folder.config, _CONFIG_LIMIT).decode(errors="replace")
    except (OSError, ValueError):
        return False
    return text.startswith(_HEADER) or "checksum" in text


def _fields(path: Path) -> dict[str, Any]:
    """The stored fields as they stand there, which the checksum is of."""
    got = "a file that is not plain YAML with fields"
    try:
        fields = load_plain(storage.read_text(path, _CONFIG_LIMIT))
        if isinstance(fields, dict):
            got = "no checksum: an edit, or a run of an earlier version"
            stored = fields.pop("checksum")
            got = "fields that do not match their checksum"
            if stored == schema.checksum(fields):
                return fields
    except (KeyError, TypeError, ValueError, RecursionError):  # values that no configuration has
        pass
    hint = "undo the edit, or start another run with --set and --name"
    raise RunError(f"{path} must be as the run began", got=got, hint=hint)


def upgraded(raw: Mapping[str, Any]) -> Raw:
    """A configuration of format 1, in which autoencoders had five sections, in today's form.

    Other methods' sections, stored too, are left out; raises for a setting that is no more.
    """
    inference = raw.get("inference")
    if isinstance(inference, Mapping) and inference.get("screen") == "int8":
        raise ConfigError("inference.screen=int8 is no more", hint="use inference.screen=bf16")
    own = schema.sections_for(str(raw.get("method")))
    old = {**dict.fromkeys(RENAMED), **schema.known_sections()}
    fields = {name: value for name, value in raw.items() if name in own or name not in old}
    if isinstance(vae := fields.get("vae"), Mapping):
        moved = {name.removeprefix("vae_"): raw[name] for name in RENAMED if name in raw}
        fields["vae"] = {**vae, **moved}
    return {**fields, "format": 2}
