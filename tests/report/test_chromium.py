"""The page in a real browser: no complaint, no request, nothing wider than the screen."""

import pytest
from chromium import browser, executable
from report_runs import made

from hypermnesia.report.collect import collect
from hypermnesia.report.page import html_page

pytestmark = pytest.mark.skipif(
    executable() is None, reason="needs Chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Three methods, one of them not finished, and a folder with a hostile name."""
    folder = tmp_path_factory.mktemp("runs")
    names = {"<script>throw 1<": "hnet-ent", "ewc": "ewc", "finetune": "finetune"}
    for name, method in names.items():
        made(folder / name, method, tasks=5, finished=(0, 1) if method != "ewc" else (0,))
    path = folder / "report.html"
    path.write_text(html_page(collect([folder / name for name in names]), "hypermnesia report"))
    return path


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_opens_quietly(opened, report, width, dark):
    visit = opened.visit(report.as_uri(), width, dark=dark)
    assert visit.requests == [report.as_uri()]
    assert visit.complaints == []
    assert visit.images_shown
    assert visit.width <= width


def test_light_and_dark_differ(opened, report):
    light, dark = (opened.visit(report.as_uri(), 390, dark=dark) for dark in (False, True))
    assert light.screenshot != dark.screenshot


def test_a_bad_page_would_be_noticed(opened, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        '<p style="width: 2000px">wide</p><img src="http://127.0.0.1:9/x.png">'
        '<script>console.error("oh"); throw new Error("no")</script>'
    )
    visit = opened.visit(page.as_uri(), 390)
    assert "http://127.0.0.1:9/x.png" in visit.requests
    assert any("oh" in complaint for complaint in visit.complaints)
    assert len(visit.complaints) >= 3
    assert not visit.images_shown
    assert visit.width > 390
