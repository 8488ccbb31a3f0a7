"""Every parser takes what it gets or refuses it as it promises; finds of the fuzzer stay refused.

`python fuzz/campaign.py` fuzzes the same targets for as long as one likes.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from targets import TARGETS

CORPUS = Path(__file__).parent.parent / "fuzz" / "corpus"
FILES = sorted(CORPUS.rglob("*/*"))
_SECONDS = 20  # on a machine that is busy


def examples(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


@st.composite
def mutated(draw: st.DrawFn, base: bytes) -> bytes:
    """A file with some bytes changed, left out, doubled or put in."""
    data = bytearray(base)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["flip", "cut", "insert", "repeat", "end"])):
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at : at + draw(st.integers(1, 40))]
            case "insert":
                data[at:at] = draw(st.binary(max_size=8) | st.sampled_from(WORDS))
            case "repeat":
                data[at:at] = data[at : at + draw(st.integers(1, 400))]
            case "end":
                del data[at:]
    return bytes(data)


WORDS = [
    *(b"null", b"true", b"-1", b"0", b"1e400", b"NaN", b"999999999999999999999", b"[", b"{", b'"'),
    *(b"&a ", b"*a", b"!!x ", b"\xff\xff\xff\xff", b"\0", b"\n", b": ", b"- ", b'"float": "nan"'),
]


def check(target: str, data: bytes) -> None:
    before = time.monotonic()
    TARGETS[target](data)
    assert time.monotonic() - before < _SECONDS


def test_every_target_has_a_corpus() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_corpus_is_taken_or_refused(path: Path) -> None:
    check(path.parent.name, path.read_bytes())


@pytest.mark.parametrize("target", list(TARGETS))
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_anything_is_taken_or_refused(target: str, data: st.DataObject) -> None:
    base = data.draw(st.sampled_from(examples(target)))
    check(target, data.draw(st.binary(max_size=200) | mutated(base)))


def test_a_crash_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(data: bytes) -> None:
        int(data)

    monkeypatch.setitem(TARGETS, "careless", careless)
    with pytest.raises(ValueError, match="invalid literal"):
        check("careless", b"x")
