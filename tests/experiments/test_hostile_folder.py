"""A run folder from someone else: nothing outside it is written, and nothing hangs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from small_config import small

from hypermnesia.errors import RunError
from hypermnesia.experiments.config import owner
from hypermnesia.experiments.run import Place, resume, run_all
from hypermnesia.training import CheckpointStore
from hypermnesia.training.observers import Observer
from problems import blobs, build, learn


def watch(config, seed):
    return Observer()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    place = Place(tmp_path_factory.mktemp("runs"), "run")
    run_all([small(seeds=(0, 1), method="hnet")], place, watch)
    return place.out / "run"


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A run of which seed 1 is not finished."""
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    (folder / "seed-1/result.json").unlink()
    return folder


PLACES = [
    "config.yaml",
    "environment.json",
    "summary.json",
    "seed-1/metrics.jsonl",
    "seed-1/result.json",
    "seed-1/weights.safetensors",
    "seed-1/environment.json",
    "seed-1/.writing-result.json",
    "seed-1/.writing-weights.safetensors",
    ".writing-summary.json",
    ".lock-seed-1",
    ".lock",
]


@pytest.mark.parametrize("name", PLACES)
def test_a_link_that_leads_out_is_refused(run: Path, tmp_path: Path, name: str) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(mine)
    with pytest.raises(RunError):
        resume(run, watch)
    assert mine.read_text() == "precious"


@pytest.mark.parametrize("name", ["seed-1", "seed-1/checkpoints", "seed-1/checkpoints/.writing-x"])
def test_so_is_one_to_a_folder(run: Path, tmp_path: Path, name: str) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "step-000000000099").mkdir()
    if (run / name).exists():
        shutil.rmtree(run / name)
    (run / name).symlink_to(mine)
    with pytest.raises(RunError, match="may be a link"):
        resume(run, watch)
    assert [path.name for path in mine.iterdir()] == ["step-000000000099"]


@pytest.mark.parametrize("name", [".lock", ".lock-seed-1", "seed-1/metrics.jsonl", "config.yaml"])
def test_a_pipe_is_not_waited_for(run: Path, name: str) -> None:
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    with pytest.raises(RunError):
        resume(run, watch)


def forge(run: Path, path: tuple[str, ...], value: object) -> None:
    """Put `value` into the newest checkpoint of seed 1, with all checksums right."""
    config = small(seeds=(0, 1), method="hnet")
    store = CheckpointStore(run / "seed-1/checkpoints", owner(config, 1))
    found = store.load_newest()
    assert found is not None
    inner = found.state
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    store.save(found.step, found.state)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("method", "memory", "outputs"), [2, 10**12]),
        (("method", "memory", "outputs"), [10**9, 2]),
        (("method", "memory", "outputs"), [-5, 2]),
        (("method", "memory", "outputs"), ["2", None]),
        (("method", "memory", "hypernet"), {}),
        (("method", "memory", "condition", "embeddings"), [torch.zeros(3), torch.zeros(3)]),
        (("method", "memory", "condition", "embeddings"), []),
        (("method", "heads"), 7),
        (("method", "trainer"), {}),
        (("method",), None),
        (("generators",), {"batches": torch.zeros(3)}),
        (("progress", "accuracy"), {"nowhere": torch.zeros(2, 2)}),
        (("progress",), []),
        (("observer",), {"MetricsLog": {}}),
    ],
)
def test_a_checkpoint_that_claims_what_it_does_not_hold_is_refused(
    run: Path, path: tuple[str, ...], value: object
) -> None:
    forge(run, path, value)
    with pytest.raises(RunError, match="must fit the run"):
        resume(run, watch)


def test_a_plain_network_makes_no_columns_that_are_not_stored(tmp_path: Path) -> None:
    method = build("finetune", "class")
    learn(method, blobs(0), 2)
    state = method.state_dict() | {"heads": [10**11]}
    with pytest.raises(ValueError, match="100000000000 outputs, of which its tensors know nothing"):
        build("finetune", "class").load_state_dict(state)
