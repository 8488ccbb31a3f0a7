from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypermnesia.storage import canonical, compare, note, sealed, unsealed

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "inf" not in repr(value))
fields = st.dictionaries(st.text().filter(lambda name: name != "sha256"), plain, max_size=4)


@given(fields)
def test_what_is_sealed_is_unsealed(value: dict[str, Any]) -> None:
    assert unsealed(sealed(value)) == value
    assert unsealed(dict(reversed(sealed(value).items()))) == value


@given(fields, st.text(), plain)
def test_any_change_breaks_the_seal(value: dict[str, Any], name: str, other: Any) -> None:
    changed = sealed(value) | {name: other}
    if canonical(changed) == canonical(sealed(value)):
        return
    with pytest.raises(ValueError, match="checksum is wrong"):
        unsealed(changed)


def test_no_seal_is_a_wrong_one() -> None:
    with pytest.raises(ValueError, match="checksum is wrong"):
        unsealed({"a": 1})


def test_what_is_no_number_cannot_be_sealed() -> None:
    with pytest.raises(ValueError, match="JSON"):
        sealed({"a": float("nan")})


@pytest.mark.parametrize("content", [b"", b"abc", bytes(10**6)])
def test_a_file_is_the_one_that_was_noted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    noted = note(path)
    compare(path, noted)
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match=f"it has {len(content) + 1} bytes where {len(content)}"):
        compare(path, noted)
    if content:
        path.write_bytes(b"\1" + content[1:])
        with pytest.raises(ValueError, match="its checksum is wrong"):
            compare(path, noted)


def test_neither_a_pipe_nor_a_link_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    noted = note(path)
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(ValueError, match="not a regular file"):
            compare(tmp_path / name, noted)
