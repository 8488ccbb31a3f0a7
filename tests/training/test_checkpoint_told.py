"""What is said of a checkpoint, word for word: a user reads it when something is lost."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from test_checkpoint import rewrite

from hypermnesia.errors import RunError
from hypermnesia.state_files import MANIFEST, TENSORS
from hypermnesia.storage import canonical, sealed
from hypermnesia.training import CheckpointStore, MemoryStore
from hypermnesia.training.checkpoint import decode, encode, load_step, steps_in

STATE = {"weight": torch.ones(3)}
DENIED = "make room or give access to the folder, then resume; earlier ones are intact"


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    """A store with steps 1 and 2."""
    store = CheckpointStore(tmp_path / "checkpoints", "me")
    store.save(1, STATE)
    store.save(2, STATE)
    return store


def newest(store: CheckpointStore) -> Path:
    return store.folder / "step-000000000002"


def why(store: CheckpointStore) -> str:
    """What is said of the newest, which is no good."""
    found = store.load_newest()
    assert found is not None
    assert found.step == 1
    (line,) = found.skipped
    name, _, reason = line.partition(": ")
    assert name == "step-000000000002"
    return reason


def test_a_file_that_is_not_there(store: CheckpointStore) -> None:
    (newest(store) / TENSORS).unlink()
    assert why(store) == "No such file or directory: tensors.safetensors"
    (newest(store) / MANIFEST).unlink()
    assert why(store) == "No such file or directory: state.json"


def test_a_link_and_a_pipe(store: CheckpointStore) -> None:
    (newest(store) / TENSORS).unlink()
    os.mkfifo(newest(store) / TENSORS)
    assert why(store) == "tensors.safetensors is not a regular file"


def test_tensors_that_are_others(store: CheckpointStore) -> None:
    path = newest(store) / TENSORS
    path.write_bytes(b"x" * path.stat().st_size)
    assert why(store) == "the checksum of tensors.safetensors is wrong"


def test_tensors_that_are_longer(store: CheckpointStore) -> None:
    path = newest(store) / TENSORS
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"x")
    reason = f"tensors.safetensors has {size + 1} bytes where {size} are allowed"
    assert why(store) == reason


def test_a_manifest_that_is_changed(store: CheckpointStore) -> None:
    path = newest(store) / MANIFEST
    path.write_text(path.read_text().replace('"step":2', '"step":3'))
    assert why(store) == "its checksum is wrong"


@pytest.mark.parametrize("text", ["[1]", "null"])
def test_a_manifest_that_is_none(store: CheckpointStore, text: str) -> None:
    (newest(store) / MANIFEST).write_text(text)
    assert why(store) == "state.json is damaged"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "2"}, "state.json is damaged"),
        ({"format": None}, "state.json is damaged"),
        ({"step": "2"}, "its step is no number"),
        ({"step": 3}, "it was saved as step 3"),
        ({"owner": "you"}, "it belongs to another run or configuration"),
        ({"tensors": {}}, "it is not laid out as it should be (KeyError)"),
        ({"tensors": None}, "it is not laid out as it should be (TypeError)"),
        ({"state": 3}, "the state must be a dict"),
    ],
)
def test_a_manifest_that_lies(
    store: CheckpointStore, changes: dict[str, object], reason: str
) -> None:
    rewrite(store, **changes)
    assert why(store) == reason


def test_a_manifest_of_another_layout(store: CheckpointStore) -> None:
    body = json.loads((newest(store) / MANIFEST).read_bytes())
    del body["sha256"], body["state"]
    (newest(store) / MANIFEST).write_bytes(canonical(sealed(body)))
    assert why(store) == "it is not laid out as it should be (KeyError)"


def test_a_manifest_is_bounded_before_it_is_read(store: CheckpointStore) -> None:
    limit = 256 * 2**20
    path = newest(store) / MANIFEST
    os.truncate(path, limit + 1)  # a hole: no room on the disk is taken
    assert why(store) == f"state.json has {limit + 1} bytes where {limit} are allowed"


def test_none_that_is_good(store: CheckpointStore) -> None:
    (newest(store) / TENSORS).unlink()
    (store.folder / "step-000000000001" / MANIFEST).write_text("null")
    with pytest.raises(RunError) as caught:
        store.load_newest()
    assert str(caught.value) == (
        f"a run goes on from a checkpoint of its own that is whole, in {store.folder}; "
        "got step-000000000002: No such file or directory: tensors.safetensors; "
        "step-000000000001: state.json is damaged; "
        "restore the folder from a copy, or start the run anew in another folder"
    )


@pytest.mark.parametrize(("version", "age"), [(3, "an earlier"), (5, "a later")])
def test_one_of_another_version(store: CheckpointStore, version: int, age: str) -> None:
    rewrite(store, format=version)
    with pytest.raises(RunError) as caught:
        store.load_newest()
    assert str(caught.value) == (
        "checkpoints must be of a format that this version reads, in "
        f"{store.folder}; got step-000000000002: format {version}, of {age} version, where 4 is "
        "read; resume with the version of Hypermnesia that wrote it"
    )


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = CheckpointStore(tmp_path / "file", "me")
    with pytest.raises(RunError) as caught:
        store.save(1, STATE)
    told = f"checkpoints must be written: {store.folder}; got File exists; {DENIED}"
    assert str(caught.value) == told
    with pytest.raises(RunError) as caught:
        store.load_newest()
    told = f"checkpoints must be read: {store.folder}; got Not a directory; {DENIED}"
    assert str(caught.value) == told


def test_how_many_to_keep(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^keep must be 1 or more; got 0$"):
        CheckpointStore(tmp_path, "me", keep=0)
    store = CheckpointStore(tmp_path / "one", "me", keep=1)
    for step in (1, 2):
        store.save(step, STATE)
        assert steps_in(store.folder) == [step]


def test_only_folders_of_steps_count(store: CheckpointStore) -> None:
    assert steps_in(store.folder / "none") == []
    (store.folder / "step-000000000009").write_text("a file")
    (store.folder / "step-9").mkdir()
    (store.folder / "Step-000000000009").mkdir()
    (store.folder / "step-000000000009-copy").mkdir()
    assert steps_in(store.folder) == [2, 1]


def test_a_checkpoint_is_read_for_its_owner_or_for_anyone(store: CheckpointStore) -> None:
    for owner in ("me", None):
        assert torch.equal(load_step(newest(store), 2, owner)["weight"], STATE["weight"])
        assert decode(newest(store), owner)[0] == 2
    with pytest.raises(ValueError, match=r"^it belongs to another run or configuration$"):
        load_step(newest(store), 2, "you")


def test_what_a_manifest_says(store: CheckpointStore, tmp_path: Path) -> None:
    """Its keys are the format: another version finds the checksums and the number in them."""
    files = encode(7, STATE, "me")
    assert list(files) == [TENSORS, MANIFEST] == ["tensors.safetensors", "state.json"]
    body = json.loads(files[MANIFEST])
    assert set(body) == {"format", "owner", "step", "tensors", "state", "sha256"}
    assert (body["format"], body["owner"], body["step"]) == (4, "me", 7)
    assert body["tensors"]["bytes"] == len(files[TENSORS])
    assert body["state"] == {"dict": [["weight", {"tensor": "0/weight"}]]}


def test_saving_over_keeps_no_file_of_before(store: CheckpointStore) -> None:
    shutil.copyfile(newest(store) / TENSORS, newest(store) / "more")
    store.save(2, STATE)
    assert {path.name for path in newest(store).iterdir()} == {TENSORS, MANIFEST}


def test_memory_holds_a_copy_and_hands_out_copies() -> None:
    store, weight = MemoryStore(), torch.zeros(2)
    assert store.load_newest() is None
    store.save(3, {"weight": weight})
    weight.add_(1)
    for _ in range(2):
        found = store.load_newest()
        assert found is not None
        assert (found.step, found.skipped) == (3, ())
        assert found.state["weight"].tolist() == [0.0, 0.0]
        found.state["weight"].add_(1)
