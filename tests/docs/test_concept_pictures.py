"""Pictures and equations of the documents: there, described, and drawn from what was measured."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from hypermnesia.experiments.explain import _texts, about, plain
from hypermnesia.methods import METHODS

DOCS = Path(__file__).parents[2] / "docs"
PICTURE = re.compile(r"^:::\{picture\} (\S+)\n:alt: (.+)\n(.+)\n:::", re.M)
PAGES = [*DOCS.glob("*.md"), *DOCS.glob("concepts/*.md")]
USED = [(page, *found) for page in PAGES for found in PICTURE.findall(page.read_text("utf-8"))]


@pytest.fixture(scope="module")
def draw():
    spec = importlib.util.spec_from_file_location("draw", DOCS / "figures/draw.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_is_used_described_and_drawn_by_a_command_that_is_shown(draw) -> None:
    assert {name for _, name, _, _ in USED} == set(draw.FIGURES)
    assert sum(page.read_text("utf-8").count("{picture}") for page in PAGES) == len(USED)
    for _, name, alt, caption in USED:
        assert len(alt) > 80
        assert f"docs/figures/draw.py {name}" in caption
        files = [DOCS / f"figures/{name}-{page}.svg" for page in ("light", "dark")]
        assert all(file.stat().st_size < 200_000 for file in files)


def test_the_front_picture_is_of_the_kept_results(draw) -> None:
    ends = [draw.accuracies(draw.RESULTS, run)[-1].mean() for run in draw._METHODS]
    (alt,) = [alt for page, name, alt, _ in USED if (page.name, name) == ("index.md", "front")]
    assert [round(end) for end in ends] == [19, 19, 95]
    assert "end at 19 percent" in alt
    assert "ends at 95 percent" in alt
    drawn = (DOCS / "figures/front-light.svg").read_text("utf-8")
    assert [f"{end:.0f} % at the end" in drawn for end in ends] == [True] * 3
    assert alt in (DOCS.parent / "README.md").read_text("utf-8")


def test_the_prose_of_drift_and_rejection_is_what_was_measured() -> None:
    numbers = json.loads((DOCS / "figures/numbers.json").read_text("utf-8"))
    ends = {row["beta"]: f"{100 * row['end']:.0f} %" for row in numbers["drift"]}
    assert (ends[1e-4], ends[0.1], ends["auto"]) == ("69 %", "95 %", "95 %")
    drift = " ".join((DOCS / "concepts/drift.md").read_text("utf-8").split())
    assert f"{ends[1e-4]} are left at the end" in drift
    assert f"all tasks end at {ends['auto']}" in drift
    rejected = [f"{100 * of['rejected']:.0f} %" for of in numbers["evidence"].values()]
    evidence = (DOCS / "concepts/evidence.md").read_text("utf-8")
    assert rejected == ["5 %", "99 %", "100 %"]
    assert all(share in evidence for share in rejected)


def test_every_equation_of_a_method_is_typeset() -> None:
    pytest.importorskip("latex2mathml")
    typeset = pytest.importorskip("typeset")
    for words in _texts().values():
        for line in words["equation"].splitlines():
            assert "\\" not in plain(line)
            assert typeset.mathml(line, "block").startswith("<math")
    assert 'alttext="\\alpha"' in typeset.mathml(r"\alpha", "inline")
    with pytest.raises(ValueError, match="not known in an equation: unheardof"):
        typeset.mathml(r"\unheardof x", "inline")


def test_every_method_has_a_drawing() -> None:
    diagrams = pytest.importorskip("diagrams")
    used = {about(METHODS[name]).picture for name in METHODS}
    assert used <= set(diagrams.DRAWINGS)
    for drawing in diagrams.DRAWINGS.values():
        assert "<title>" in diagrams.drawn(drawing)
