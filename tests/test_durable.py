from __future__ import annotations

import os
from pathlib import Path

import pytest

from hypermnesia.errors import RunError
from hypermnesia.storage import (
    locked,
    make_folder,
    read_bounded,
    read_json,
    read_text,
    write_bytes,
    write_folder,
)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was brought to the disk, in order."""
    real, paths = os.fsync, []

    def fsync(descriptor: int) -> None:
        paths.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return paths


def test_a_file_and_its_entry_reach_the_disk(tmp_path: Path, synced: list[Path]) -> None:
    write_bytes(tmp_path / "file", b"content")
    assert synced == [tmp_path / ".writing-file", tmp_path]
    assert (tmp_path / "file").read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_its_files_and_its_entry_reach_the_disk(
    tmp_path: Path, synced: list[Path]
) -> None:
    write_folder(tmp_path / "new", {"file": b"content"})
    aside = tmp_path / ".writing-new"
    assert synced == [aside / "file", aside, tmp_path]


def test_the_entries_of_new_folders_reach_the_disk(tmp_path: Path, synced: list[Path]) -> None:
    make_folder(tmp_path / "a" / "b")
    assert set(synced) == {tmp_path, tmp_path / "a"}
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 2


def test_reading_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(ValueError, match="5 bytes where 4 are allowed"):
        read_bounded(path, 4)


def test_what_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    os.mkfifo(tmp_path / "pipe")
    for name in ("bytes", "pipe", "none"):
        with pytest.raises(RunError, match=rf"{name}.*; got") as caught:
            read_text(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": ' + "1" * 5000 + "}", "[" * 10**6])
def test_what_is_no_json_object_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(RunError, match="must hold a JSON object"):
        read_json(tmp_path / "file")


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with locked(folder), pytest.raises(RunError, match="one process at a time"), locked(folder):
        pass
    with locked(folder):
        assert (folder / ".lock").is_file()


@pytest.mark.parametrize("name", [".", "..", "folder"])
def test_a_folder_is_not_replaced_by_a_file(tmp_path, monkeypatch, name):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="must not be a folder"):
        write_bytes(Path(name), b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
