import re
from itertools import pairwise

import pytest
from pages import parsed
from report_runs import made

from hypermnesia.report.collect import collect
from hypermnesia.report.page import html_page

COMMAND = "hypermnesia report runs/a --out 'my report.html'"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Three methods, the largest matrices that have numbers in their cells."""
    runs = tmp_path_factory.mktemp("runs")
    many = {"benchmark": "perm-digits", "tasks": 10}
    made(runs / "hnet", "hnet-ent", **many)
    made(runs / "ewc", "ewc", "penalty.strength=7", **many)
    made(runs / "joint", "joint", scenario="class", **many)
    return html_page(collect([runs / "hnet", runs / "ewc", runs / "joint"]), COMMAND)


@pytest.fixture(scope="module")
def tree(page):
    return parsed(page)


def test_the_page_is_small(page):
    assert len(page.encode()) < 3_000_000


def test_the_page_asks_for_nothing(page):
    assert not re.search(r"https?:|//|@import|url\(|<script|\bon\w+=", _without_data(page))
    assert "default-src 'none'; img-src data:" in page


def _without_data(page):
    return re.sub(r'"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]*"', '""', page)


def test_every_result_is_told(tree):
    (table, *_), text = tree.all("table"), tree.text
    rows = [[cell.text for cell in row.inside] for row in table.all("tr")]
    assert rows[0][:3] == ["method", "scenario", "ACC %"]
    assert [row[:2] for row in rows[1:]] == [
        ["hnet-ent", "task"],
        ["hnet-ent", "domain"],
        ["hnet-ent", "class"],
        ["ewc", "task"],
        ["joint", "class"],
    ]
    for fact in ("±", "Mean±standard error over n seeds", "penalty", "strength: 7", "2.13.0"):
        assert fact in text
    codes = [code.text for code in tree.all("code")]
    assert codes[-1] == COMMAND
    assert codes[1].endswith("--set penalty.strength=7.0")


@pytest.mark.parametrize(
    "title",
    [
        "Methods side by side",
        "Accuracy against numbers kept",
        "Forgetting, class scenario",
        "Cost against tasks",
        "Accuracy matrix, domain scenario",
        "Accuracy of each task over time, class scenario",
    ],
)
def test_every_figure_is_there(tree, title):
    assert title in [figure.all("h3")[0].text for figure in tree.all("figure")]


def test_every_figure_says_what_it_shows(tree):
    figures = tree.all("figure")
    assert len(figures) == (1 + 1 + 3 + 1) + (3 + 3) + (1 + 1) + 1 + 2
    for figure in figures:
        (image,), (dark,), (caption,) = map(figure.all, ("img", "source", "figcaption"))
        assert figure.all("h3")[0].text in image.attributes["alt"]
        assert re.search(r"\d", caption.text)
        assert dark.attributes["media"] == "(prefers-color-scheme: dark)"
        assert image.attributes["src"] != dark.attributes["srcset"]
        assert int(image.attributes["width"]) > 0


def test_headings_step_down_one_at_a_time(page):
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(b - a for a, b in pairwise(levels)) == 1


def test_every_table_names_its_rows_and_columns(tree):
    tables = tree.all("table")
    assert tables
    for table in tables:
        assert table.all("caption")[0].text
        head, body = table.all("thead")[0], table.all("tbody")[0]
        assert {cell.attributes["scope"] for cell in head.all("th")} == {"col"}
        for row in body.all("tr"):
            assert [cell.attributes["scope"] for cell in row.all("th")] == ["row"]
            assert len(row.inside) == len(head.all("th"))


def test_anchors_lead_somewhere_and_are_unique(page):
    anchors = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(anchors)) == len(anchors)
    assert all(re.fullmatch("[a-z0-9-]+", anchor) for anchor in anchors)
    told = re.findall(r'(?:href="#|aria-labelledby=")([^"]*)"', page)
    assert told
    assert set(told) <= set(anchors)


def test_what_strangers_wrote_is_text(tmp_path):
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"
    folder = tmp_path / "<script>alert('name')<"
    run = made(folder, environment={"torch": attack, attack: "\x00\u202e", "n": [1] * 10**5})
    config = run.read_config()
    recipe = config.recipe.model_copy(update={"name": attack, "source": attack})
    run.write_config(config.model_copy(update={"recipe": recipe}))
    made(tmp_path / "b", seeds=(0, 1), finished=(0,)).seed(1).path.mkdir()
    (tmp_path / "b" / "seed-1" / "result.json").write_text(f'{{"seed": "{attack[:8]}"}}')
    page = html_page(collect([folder, tmp_path / "b"]), f"hypermnesia report '{folder}'")
    tree = parsed(page)
    assert tree.all("script") == []
    assert {image.attributes["src"][:11] for image in tree.all("img")} == {"data:image/"}
    assert tree.text.count(attack) >= 2
    assert "<script>alert('name')<" in tree.text
    assert "\x00" not in page
    assert "\u202e" not in page
    assert len(_without_data(page)) < 50_000


def test_an_unfinished_run_says_so(tmp_path):
    made(tmp_path / "a", "hnet", finished=(1,))
    made(tmp_path / "b", "ewc", finished=())
    tree = parsed(html_page(collect([tmp_path / "a", tmp_path / "b"]), COMMAND))
    (missing,) = (part for part in tree.all("section") if "What is missing" in part.text)
    lines = [line.text for line in missing.all("li")]
    assert lines[0].startswith("hnet: seed 0: not finished; go on with: hypermnesia resume")
    assert lines[1].startswith("ewc: seeds 0, 1: not finished")
    assert "Run: ewc" in tree.text
    assert [row.inside[0].text for row in tree.all("table")[0].all("tr")] == ["method", "hnet"]


def test_weights_that_are_damaged_are_said(tmp_path):
    made(tmp_path / "a", "hnet")  # whose weights are empty
    tree = parsed(html_page(collect([tmp_path / "a"]), COMMAND))
    terms, said = ([each.text for each in tree.all(tag)] for tag in ("dt", "dd"))
    undrawn = [line for term, line in zip(terms, said, strict=True) if term == "Not drawn"]
    assert len(undrawn) == 3
    assert all("weights.safetensors must hold weights" in line for line in undrawn)


def test_nothing_finished_is_still_a_page(tmp_path):
    made(tmp_path / "a", "hnet", finished=())
    tree = parsed(html_page(collect([tmp_path / "a"]), COMMAND))
    assert tree.all("figure") == []
    assert "no seed" in tree.text


def test_runs_of_different_benchmarks_are_compared_apart(tmp_path):
    short = {"tasks": 1, "seeds": (0,)}
    made(tmp_path / "a", "hnet", **short)
    made(tmp_path / "b", "ewc", benchmark="perm-digits", **short)
    held_out = ("data.validation=60", "data.evaluate_on=validation")
    made(tmp_path / "c", "finetune", *held_out, **short)
    tree = parsed(html_page(collect([tmp_path / name for name in "abc"]), COMMAND))
    headings = [h.text for h in tree.all("h2")]
    assert headings[:3] == [
        "Results: split-digits",
        "Results: perm-digits",
        "Results: split-digits, validation samples",
    ]


def test_a_single_task_has_a_page(tmp_path):
    made(tmp_path / "a", "hnet", tasks=1, seeds=(0,))
    titles = [h.text for h in parsed(html_page(collect([tmp_path / "a"]), COMMAND)).all("h3")]
    assert titles == [
        "Methods side by side",
        "Accuracy against numbers kept",
        "Cost against tasks",
        "Accuracy matrix, task scenario",
    ]


def test_hundreds_of_tasks_stay_readable_and_small(tmp_path):
    made(tmp_path / "a", "hnet", benchmark="perm-digits", tasks=250, seeds=(0,))
    page = html_page(collect([tmp_path / "a"]), COMMAND)
    assert len(page.encode()) < 1_000_000
    assert max(len(table.all("tr")) for table in parsed(page).all("table")) < 40
