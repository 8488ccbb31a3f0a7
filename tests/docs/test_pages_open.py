"""Built pages in a real browser: nothing is missing, nothing is wider than the screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from report.chromium import browser, executable

BUILT = Path(__file__).parents[2] / "build/docs"
PAGES = ("index", "gallery/index", "gallery/sensors", "concepts/regulariser", "methods/hnet-lik")
PAGES = (*PAGES, "results", "compared", "genindex")

pytestmark = [
    pytest.mark.skipif(executable() is None, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.skipif(not BUILT.is_dir(), reason="needs sphinx-build docs build/docs"),
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_quietly(opened, page: str) -> None:
    for width, dark in ((1280, False), (390, True)):
        visit = opened.visit((BUILT / f"{page}.html").as_uri(), width, dark=dark)
        assert [each for each in visit.requests if not each.startswith(BUILT.as_uri())] == []
        assert (visit.complaints, visit.images_shown) == ([], True)
        assert visit.width <= width
