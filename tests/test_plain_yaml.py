from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hypermnesia.settings import dump_plain, load_plain

# Python's own refuses a tab at the end of a line, which libyaml takes.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_"), inner, max_size=4),
    max_leaves=10,
)


@given(values)
def test_what_is_dumped_is_loaded(value: object) -> None:
    assert load_plain(dump_plain(value)) == value


def test_what_is_shared_is_written_twice() -> None:
    shared = [1, 2]
    assert load_plain(dump_plain({"a": shared, "b": shared})) == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [echo]",
        "a: !!python/name:os.system",
        "a: !!binary aGVsbG8=",
        "a: !local 1",
        "a: ! 1",
        "!!str a: 1",
        "a: &x 1",
        "a: [&x 1, *x]",
        "a: *x",
        "a: [1",
        "a: 1\n---\nb: 1",
        "a: 2001-99-99",
        "a: " + "9" * 5_000,
        "a: '" + "x" * 30_000 + "'",
        "[" * 5_000,
        "[" * 21 + "]" * 21,
        "\n".join("  " * depth + "a:" for depth in range(30)),
        "a: " * 3,
        "? [a]\n: 1",
        "\x00",
        "<<: 3",
    ],
)
def test_more_than_a_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        load_plain(text)


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        many = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} [{many}]")
    return "\n".join(lines)


@pytest.mark.parametrize("text", [laughs(40), "a: 1" + ":59" * 200_000, "a: 0x" + "f" * 10**6])
def test_small_texts_that_mean_much_are_refused_at_once(text: str) -> None:
    before = time.monotonic()
    with pytest.raises(ValueError, match=r"alias|too long"):
        load_plain(text)
    assert time.monotonic() - before < 20


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_refused_and_reads_as_yaml_does(text: str) -> None:
    try:
        value = load_plain(text)
    except ValueError:
        return
    assert repr(value) == repr(LOADER(text).get_single_data())
