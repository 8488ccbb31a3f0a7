from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypermnesia.errors import RunError
from hypermnesia.state_files import MANIFEST, TENSORS
from hypermnesia.training import CheckpointStore


def state(step: int) -> dict[str, Any]:
    return {"weight": torch.full((50,), float(step)), "step": step}


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    """A store with steps 1 and 2."""
    store = CheckpointStore(tmp_path / "checkpoints", "me")
    store.save(1, state(1))
    store.save(2, state(2))
    return store


def names(store: CheckpointStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def newest(store: CheckpointStore) -> int:
    found = store.load_newest()
    assert found is not None
    assert torch.equal(found.state["weight"], state(found.step)["weight"])
    return found.step


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "none", "me").load_newest() is None
    assert CheckpointStore(tmp_path, "me").load_newest() is None


def test_the_newest_comes_back_and_the_oldest_go(store: CheckpointStore) -> None:
    store.save(3, state(3))
    found = store.load_newest()
    assert found is not None
    assert (found.step, found.state["step"], found.skipped) == (3, 3, ())
    assert names(store) == ["step-000000000002", "step-000000000003"]


def test_one_must_be_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep must be 1 or more"):
        CheckpointStore(tmp_path, "me", keep=0)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(content: bytes) -> bytes:
    return b""


def lengthened(content: bytes) -> bytes:
    return content + b"\0"


@pytest.mark.parametrize("damage", [cut, emptied, lengthened])
@pytest.mark.parametrize("name", [TENSORS, MANIFEST])
def test_a_damaged_newest_falls_back(
    store: CheckpointStore, name: str, damage: Callable[[bytes], bytes]
) -> None:
    path = store.folder / "step-000000000002" / name
    path.write_bytes(damage(path.read_bytes()))
    found = store.load_newest()
    assert found is not None
    assert found.step == 1
    assert [line.split(":")[0] for line in found.skipped] == ["step-000000000002"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from([TENSORS, MANIFEST]), st.data())
def test_any_flipped_bit_falls_back(store: CheckpointStore, name: str, data: st.DataObject) -> None:
    path = store.folder / "step-000000000002" / name
    good = path.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bad)
    try:
        assert newest(store) == 1
    finally:
        path.write_bytes(good)
    assert newest(store) == 2


@pytest.mark.parametrize("name", [TENSORS, MANIFEST])
def test_a_missing_file_falls_back(store: CheckpointStore, name: str) -> None:
    (store.folder / "step-000000000002" / name).unlink()
    assert newest(store) == 1


@pytest.mark.parametrize("name", [TENSORS, MANIFEST])
def test_a_pipe_or_a_link_in_place_of_a_file_falls_back(
    store: CheckpointStore, name: str, tmp_path: Path
) -> None:
    path = store.folder / "step-000000000002" / name
    path.rename(tmp_path / name)
    path.symlink_to(tmp_path / name)
    assert newest(store) == 1
    path.unlink()
    os.mkfifo(path)
    assert newest(store) == 1


def test_a_link_to_a_folder_is_no_checkpoint(store: CheckpointStore, tmp_path: Path) -> None:
    shutil.copytree(store.folder / "step-000000000002", tmp_path / "elsewhere")
    (store.folder / "step-000000000003").symlink_to(tmp_path / "elsewhere")
    assert newest(store) == 2


def test_none_good_is_an_error_that_says_why(store: CheckpointStore) -> None:
    for path in store.folder.iterdir():
        (path / TENSORS).write_bytes(b"")
    with pytest.raises(RunError, match=r"step-000000000002.*step-000000000001") as caught:
        store.load_newest()
    assert "\n" not in str(caught.value)


def test_another_owners_is_refused(store: CheckpointStore) -> None:
    with pytest.raises(RunError, match="another run or configuration"):
        CheckpointStore(store.folder, "you").load_newest()


def test_one_swapped_in_from_another_run_is_skipped(store: CheckpointStore, tmp_path: Path) -> None:
    other = CheckpointStore(tmp_path / "other", "you")
    other.save(3, state(3))
    shutil.copytree(other.folder / "step-000000000003", store.folder / "step-000000000003")
    found = store.load_newest()
    assert found is not None
    assert found.step == 2
    assert "another run" in found.skipped[0]


def test_one_under_another_step_is_skipped(store: CheckpointStore) -> None:
    shutil.copytree(store.folder / "step-000000000001", store.folder / "step-000000000003")
    assert newest(store) == 2


def rewrite(store: CheckpointStore, **changes: object) -> None:
    """Change the newest manifest and make its checksum right again, as a forger would."""
    path = store.folder / "step-000000000002" / MANIFEST
    body = json.loads(path.read_bytes()) | changes
    del body["sha256"]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    body["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(body))


def nested(depth: int) -> Any:
    tree: Any = 1
    for _ in range(depth):
        tree = [tree]
    return tree


@pytest.mark.parametrize(
    "changes",
    [
        {"format": None},
        {"format": "2"},
        {"step": "2"},
        {"tensors": None},
        {"tensors": {}},
        {"tensors": {"bytes": 10**15, "sha256": ""}},
        {"tensors": {"bytes": "1", "sha256": ""}},
        {"state": None},
        {"state": {"dict": 3}},
        {"state": {"dict": [[[], 3]]}},
        {"state": {"dict": [3]}},
        {"state": nested(500)},
        {"state": float("inf")},
    ],
)
def test_a_manifest_that_lies_falls_back(
    store: CheckpointStore, changes: dict[str, object]
) -> None:
    rewrite(store, **changes)
    assert newest(store) == 1


@pytest.mark.parametrize(("version", "age"), [(0, "an earlier"), (3, "an earlier"), (5, "a later")])
def test_one_of_another_version_is_refused_and_left_alone(
    store: CheckpointStore, version: int, age: str
) -> None:
    before = names(store)
    rewrite(store, format=version)
    with pytest.raises(
        RunError, match=rf"format {version}, of {age} version, where 4 is read"
    ) as e:
        store.load_newest()
    assert "resume with the version of Hypermnesia that wrote it" in str(e.value)
    assert names(store) == before


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[1]", "null", "9" * 10_000, '{"sha256": {}}', "\xff"]
)
def test_a_manifest_that_is_none_falls_back(store: CheckpointStore, text: str) -> None:
    path = store.folder / "step-000000000002" / MANIFEST
    path.write_text(text, encoding="latin-1")
    assert newest(store) == 1


def test_a_tensor_header_that_claims_the_world_falls_back(store: CheckpointStore) -> None:
    for shape, end in [([10**12], 4 * 10**12), ([0, 2**62, 2**62], 0), ([2**63], 0)]:
        entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}
        header = json.dumps({"0/weight": entry}).encode()
        content = len(header).to_bytes(8, "little") + header
        (store.folder / "step-000000000002" / TENSORS).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        rewrite(store, tensors={"bytes": len(content), "sha256": digest})
        assert newest(store) == 1


def test_going_back_removes_what_came_after(store: CheckpointStore) -> None:
    store.save(3, state(3))
    for step in (2, 3):
        (store.folder / f"step-{step:012d}" / TENSORS).write_bytes(b"")
    store.save(1, state(1))
    assert names(store) == ["step-000000000001"]
    assert newest(store) == 1


def test_saving_over_a_damaged_one_mends_it(store: CheckpointStore) -> None:
    (store.folder / "step-000000000002" / TENSORS).write_bytes(b"")
    store.save(2, state(2))
    assert newest(store) == 2


class KilledError(BaseException):
    """The process ends here: nothing after it runs, not even the cleaning up."""


CALLS = ["os.fsync", "os.open", "pathlib.Path.mkdir", "pathlib.Path.rename", "pathlib.Path.open"]


def fail_at(monkeypatch: pytest.MonkeyPatch, call: str, nth: int, error: BaseException) -> None:
    module, name = call.rsplit(".", 1)
    owner = {"os": os, "pathlib.Path": Path}[module]
    real, count = getattr(owner, name), iter(range(1, 1000))

    def failing(*args: Any, **kwargs: Any) -> Any:
        if next(count) == nth:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, failing)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize("call", CALLS)
def test_killed_anywhere_while_saving_loses_nothing(
    store: CheckpointStore, call: str, nth: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hypermnesia.storage.clean", lambda parent: None)
        fail_at(patch, call, nth, KilledError())
        try:
            store.save(3, state(3))
            completed = True
        except KilledError:
            completed = False
    assert newest(store) in ((3,) if completed else (2, 3))
    store.save(4, state(4))
    assert newest(store) == 4
    assert not [name for name in names(store) if not name.startswith("step-")]


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize("call", CALLS)
def test_a_full_disk_is_one_line_and_loses_nothing(
    store: CheckpointStore, call: str, nth: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, call, nth, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        told = "nothing"
        try:
            store.save(3, state(3))
        except RunError as error:
            told = str(error)
    assert told == "nothing" or "got No space left on device; " in told
    assert newest(store) in ((3,) if told == "nothing" else (2, 3))
    assert not [name for name in names(store) if not name.startswith("step-")]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = CheckpointStore(tmp_path / "file", "me")
    with pytest.raises(RunError, match="must be written"):
        store.save(1, state(1))
    with pytest.raises(RunError, match="must be read"):
        store.load_newest()
