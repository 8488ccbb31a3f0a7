"""The gallery: programs run as they stand, but shorter; what is kept of full runs is theirs."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import warnings

import matplotlib as mpl
import numpy as np
import pytest
import torch
from kept_examples import EXAMPLES, KEPT, Example, gallery, readme, runs

ALL = gallery()
NEEDS = {"adapters": "peft", "folder": "peft", "images": "peft", "text": "transformers"}
NEWER = {"adapters": "5.10", "folder": "5.10"}  # where layers of ViT have the names that they use


class Shorter(ast.NodeTransformer):
    """Cuts trainings to a few updates."""

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        self.generic_visit(node)
        if node.arg in ("iterations", "updates"):
            node.value = ast.Constant(3)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name, last = ast.unparse(node.func), node.args[-1] if node.args else None
        if name == "range" and isinstance(last, ast.Constant) and last.value >= 20:
            node.args = [ast.Constant(3)] if len(node.args) == 1 else node.args
        if name == "torch.randint" and isinstance(last, ast.Tuple):  # (updates, rows)
            last.elts[0] = ast.Constant(3)
        return node


def shorter(code: str) -> str:
    return ast.unparse(ast.fix_missing_locations(Shorter().visit(ast.parse(code))))


def figures(name: str) -> np.ndarray:
    """(rows, columns) figures at the ends of lines that an example printed when it was kept."""
    rows = re.findall(r"(?: +\d+\.\d{2,4}){2,}$", runs()[name]["printed"], re.MULTILINE)
    return np.array([[float(each) for each in row.split()] for row in rows])


@pytest.fixture(autouse=True)
def _place(monkeypatch, tmp_path):
    """A folder to write to, the modules beside the programs, and no state left behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    with mpl.rc_context(), torch.random.fork_rng([]):
        yield


@pytest.mark.parametrize("example", ALL, ids=lambda each: each.name)
def test_a_notebook_runs_to_its_picture(example: Example, monkeypatch, capsys) -> None:
    pytest.importorskip(NEEDS.get(example.name, "sklearn"), reason="the extra is not installed")
    if example.name in NEWER:
        pytest.importorskip("transformers", minversion=NEWER[example.name])
    mpl.use("agg")
    from matplotlib import pyplot as plt

    cells = json.loads(example.notebook())["cells"]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    shown: list[int] = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(len(plt.gcf().axes)))
    scope = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="hypermnesia|__main__")
        warnings.filterwarnings("ignore", "task .* should be told from the others")
        warnings.filterwarnings("ignore", ".*", FutureWarning)
        try:
            for cell in code:
                exec(compile(shorter(cell), example.name, "exec"), scope)  # noqa: S102
        except SystemExit:
            pytest.skip(capsys.readouterr().out)
        finally:
            plt.close("all")
    assert len(shown) == 1
    kept = runs()[example.name]["printed"]
    assert len(capsys.readouterr().out.splitlines()) == len(kept.splitlines())


def test_all_are_here_short_and_described() -> None:
    assert {each.name for each in ALL} == {path.stem for path in EXAMPLES.glob("*.py")}
    assert len(ALL) >= 12
    for example in ALL:
        assert len(example.path.read_text("utf-8").splitlines()) < 80
        assert len(example.alt) > 80
        for page in ("light", "dark"):
            assert (KEPT / f"{example.name}-{page}.svg").stat().st_size < 200_000
    assert (EXAMPLES / "README.md").read_text("utf-8") == readme()


@pytest.mark.parametrize("name", ["adapters", "backbone", "merge", "tabular", "text"])
def test_a_description_of_bars_has_what_was_printed(name: str) -> None:
    (alt,) = [each.alt for each in ALL if each.name == name]
    printed = re.findall(r"\d\.\d{3}", runs()[name]["printed"])
    told = set(re.findall(r"\d\.\d\d", alt))
    assert told
    assert told <= {f"{float(figure):.2f}" for figure in printed}


@pytest.mark.parametrize("example", ALL, ids=lambda each: each.name)
def test_a_notebook_has_the_code_and_what_is_kept_is_of_it(example: Example) -> None:
    cells = json.loads(example.notebook())["cells"]
    code = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "code")
    script = ast.parse(example.path.read_text("utf-8"))
    script.body = script.body[1:]  # the docstring is the first cell
    assert ast.dump(ast.parse(code)) == ast.dump(script)
    hint = f"run it anew: python docs/figures/gallery.py {example.name}"
    assert runs()[example.name]["code"] == example.checksum(), hint


def test_nothing_is_forgotten_where_an_ordinary_network_forgets() -> None:
    for name, given, plain in (("tabular", 0.9, 0.8), ("convolutional", 0.95, 0.1)):
        rows = figures(name)
        assert (rows[:, 0] > given).all()
        assert (rows[:, 1] > 0.9).all()
        assert (rows[:2, 2] < plain).all()
    own, plain = figures("backbone").T
    assert (own > 0.95).all()
    assert plain[0] < own[0] - 0.03
    *people, (own, plain) = figures("sensors")
    assert (len(people), own > plain + 0.05) == (10, True)
    own, plain = figures("seasons").T
    assert own.sum() < plain.sum() - 1  # degrees


def test_curves_are_as_near_as_published() -> None:
    published = np.array([0.0042, 0.0024, 0.0061])  # von Oswald et al. 2020, with the task given
    given, inferred, plain = figures("regression").T
    assert (given < published).all()
    assert (inferred < published).all()
    assert (plain[:2] > 0.1).all()


def test_adapters_answer_elsewhere_as_here() -> None:
    learner, loaded = figures("adapters").T
    assert (learner > 0.85).all()
    assert (learner == loaded).all()
    before, after, _ = figures("folder").T
    assert before.mean() > 0.8
    assert before.mean() - after.mean() < 0.03


def test_tasks_come_and_go() -> None:
    adapted, alone = figures("few_shot").T
    assert (adapted > alone + 0.05).all()
    apart, merged, _ = figures("merge").T
    assert abs(apart - merged).max() < 0.02
    right, rejected, _ = figures("unknown").T
    assert ((right[:2] > 0.95).all(), rejected[2] > 0.9) == (True, True)
    assert "as before, bit for bit: True" in runs()["remove"]["printed"]
    assert "as the learner answers: True" in runs()["serving"]["printed"]


def test_the_module_of_efficientnet_has_its_shapes() -> None:
    spec = importlib.util.spec_from_file_location("net", EXAMPLES / "models" / "efficientnet.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    network = module.Lite0(7).eval()
    assert sum(p.numel() for p in network.parameters()) == 4_652_008 - 1281 * 993
    shown = module.prepare(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), 33)
    with torch.no_grad():
        assert network.maps(shown).shape == (2, 320, 2, 2)
        assert network(shown).shape == (2, 7)
