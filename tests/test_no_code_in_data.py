"""What a user may load is data. The library has nothing that would run it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hypermnesia

SOURCES = sorted(Path(hypermnesia.__file__).parent.rglob("*.py"))
MODULES = {
    *("pickle", "cPickle", "_pickle", "marshal", "shelve", "copyreg"),
    *("dill", "cloudpickle", "joblib", "jsonpickle"),
}
ARRAYS = {"np.load", "numpy.load"}  # which must say that they unpickle nothing
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    *("torch.load", "torch.save", "torch.jit.load", "torch.package"),
    "np.save",
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"),
    *("yaml.FullLoader", "yaml.UnsafeLoader", "yaml.Loader"),
    *("os.system", "os.popen"),
}


def name_of(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def found(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Attribute) and name_of(node) in CALLS:
            yield name_of(node)
        elif isinstance(node, ast.Call) and name_of(node.func) in ARRAYS:
            given = {each.arg: ast.unparse(each.value) for each in node.keywords}
            if given.get("allow_pickle") != "False":
                yield name_of(node.func)
        elif isinstance(node, ast.Call) and name_of(node.func) in BUILTINS:
            yield name_of(node.func)
        elif isinstance(node, ast.keyword) and node.arg == "shell":
            yield "shell="


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_source_unpickles_or_evaluates(path: Path) -> None:
    assert not list(found(ast.parse(path.read_text())))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load(x, weights_only=True)",
        "np.load(x)",
        "yaml.load(x, Loader=L)",
        "eval(x)",
        "subprocess.run(x, shell=True)",
    ],
)
def test_it_would_be_noticed(code: str) -> None:
    assert list(found(ast.parse(code)))


def test_a_run_and_its_continuation_unpickle_nothing(tmp_path: Path) -> None:
    code = (
        "import pickle, sys\n"
        "from hypermnesia.cli import main\n"
        "def refuse(*args, **kwargs): raise SystemExit('something was unpickled')\n"
        "class Refuser(pickle.Unpickler):\n"
        "    load = refuse\n"
        "pickle.load = pickle.loads = refuse\n"
        "pickle.Unpickler = Refuser\n"
        f"run = ['run', 'split-digits', '--method', 'finetune', '--tasks', '2', "
        f"'--set', 'train.iterations=2', '--out', {str(tmp_path)!r}]\n"
        "assert main(run) == 0\n"
        f"folder = {str(tmp_path)!r} + '/split-digits_finetune_task'\n"
        "import os; os.remove(folder + '/seed-0/result.json')\n"
        "assert main(['resume', folder]) == 0\n"
        "assert main(['check', folder]) == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
