from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hypermnesia.errors import RunError
from hypermnesia.storage import (
    holds,
    locked,
    make_folder,
    read_bounded,
    read_json,
    read_text,
    refuse_links,
    write_bytes,
    write_folder,
    write_json,
    write_text,
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


def refusal(act: Callable[[], object]) -> tuple[str, str, str]:
    """Rule, got and hint of the `RunError` that `act` raises."""
    with pytest.raises(RunError) as caught:
        act()
    return caught.value.rule, str(caught.value.got), caught.value.hint


def test_text_and_json_come_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "häm\n")
    assert path.read_bytes() == "häm\n".encode()
    assert read_text(path) == "häm\n"
    write_json(path, {"a": [1, None]})
    assert path.read_text() == '{\n  "a": [\n    1,\n    null\n  ]\n}\n'
    assert read_json(path) == {"a": [1, None]}


def test_not_a_number_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}


def test_a_file_holds_exactly_its_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert holds(path, "ä") is False
    path.write_bytes("ä".encode())
    assert holds(path, "ä") is True
    assert holds(path, "äb") is False
    assert holds(path, "") is False
    (tmp_path / "link").symlink_to(path)
    assert holds(tmp_path / "link", "ä") is False


@pytest.mark.parametrize("content", ["[1]", "{", '{"a": NaN}', "[" * 100_000, "9" * 5000])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    assert refusal(lambda: read_json(path)) == (
        f"{path} must hold a JSON object",
        "a damaged file",
        "move it away and resume",
    )


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xff\xfe")
    assert refusal(lambda: read_text(path))[:2] == (f"{path} must be UTF-8 text", "other bytes")
    assert refusal(lambda: read_text(path, 1))[:2] == (
        f"{path} must be a text file",
        "file has 2 bytes where 1 are allowed",
    )
    missing = tmp_path / "missing"
    assert refusal(lambda: read_text(missing))[:2] == (
        f"the file must be readable: {missing}",
        "No such file or directory",
    )


def test_a_file_is_written_only_where_it_can_be(tmp_path: Path) -> None:
    expected = ("a file must not be a folder", str(tmp_path), "name a file in it")
    assert refusal(lambda: write_bytes(tmp_path, b"")) == expected
    above = tmp_path / ".."
    assert refusal(lambda: write_bytes(above, b""))[1] == str(above)
    lost = tmp_path / "missing" / "file"
    assert refusal(lambda: write_bytes(lost, b"")) == (
        f"the file must be writable: {lost}",
        "No such file or directory",
        "check access and free space, or choose another folder with --out",
    )


def test_links_in_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_text("")
    refuse_links(tmp_path)
    (tmp_path / "inner" / "link").symlink_to(tmp_path)
    assert refusal(lambda: refuse_links(tmp_path)) == (
        f"nothing in {tmp_path} may be a link, which may lead out of it",
        "inner/link",
        "put what it points to in its place",
    )
