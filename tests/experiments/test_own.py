"""What a user defines, a file each, through the command line and the learner."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import EntryPoint

import pytest
import torch
import yaml
from torch import nn

from hypermnesia import ContinualLearner, HypernetSettings
from hypermnesia.cli import main
from hypermnesia.errors import ConfigError
from hypermnesia.methods import METHODS, MethodEntry
from hypermnesia.nets import NETS, net_settings
from hypermnesia.registry import Registry, must_be
from hypermnesia.testing import check_condition

FILES = {
    "own_method": '''
from dataclasses import dataclass
from hypermnesia.errors import ConfigError
from hypermnesia.methods.plain import Finetune
from hypermnesia.settings import Positive

@dataclass(frozen=True)
class DecaySettings:
    strength: Positive = 1.0
    def __post_init__(self):
        if self.strength == 13:
            raise ConfigError("decay.strength=13 brings bad luck")

class Decayed(Finetune):
    """Finetuning with a decay of the weights.

    Args:
        decay: how strong.
    """
    scenarios = ("task", "domain")

    def __init__(self, network, scenario, *, decay: DecaySettings, **plain):
        super().__init__(network, scenario, **plain)
        self.decay = decay

    def _loss(self, own, scores, batch):
        squares = sum(p.square().sum() for p in self.network.parameters())
        return own + self.decay.strength * squares
''',
    "own_network": """
from dataclasses import dataclass
from torch import nn
from hypermnesia.settings import Width

@dataclass(frozen=True)
class Sizes:
    width: Width = 5

def narrow(sample_shape, outputs, settings: Sizes):
    n = settings.width
    return nn.Sequential(nn.Linear(sample_shape[0], n), nn.Tanh(), nn.Linear(n, outputs))
""",
    "own_benchmark": """
import torch
from hypermnesia.data.benchmarks import Benchmark
from hypermnesia.data.types import Part, Task

def clouds(settings, tasks, seed):
    generator = torch.Generator().manual_seed(seed)
    def part(index, n):
        y = torch.arange(n) % 2
        return Part(torch.randn(n, 3, generator=generator) + 3 * y[:, None], y, index)
    return tuple(Task(i, f"cloud {i}", 2, part(i, 40), None, part(i, 20)) for i in range(tasks))

CLOUDS = Benchmark("clouds", shape=(3,), classes=(2, 2, 2), build=clouds)
""",
    "own_evidence": '''
from dataclasses import dataclass
from hypermnesia.evidence import Evidence
from hypermnesia.settings import Positive

@dataclass(frozen=True)
class PeakSettings:
    power: Positive = 1.0

class Peak(Evidence):
    """The task whose network has the largest logit."""

    def __init__(self, networks, *, peak: PeakSettings):
        self.power = peak.power

    def log_evidence(self, x, logits):
        return self.power * logits.amax(dim=2)
''',
    "own_condition": '''
from hypermnesia.hypernet.conditions import TaskEmbedding

class Tilted(TaskEmbedding):
    """Embeddings of which every entry is moved by a constant."""

    def __init__(self, settings, device, tilt=1.0):
        super().__init__(settings, device)
        self.tilt = tilt

    def __call__(self, tasks, context=None):
        return super().__call__(tasks, context) + self.tilt
''',
}
RECIPE = """
source: my notes
train: {iterations: 4, batch_size: 8}
target: {net: "own_network:narrow", width: 4}
decay: {strength: 0.5}
methods:
  "own_method:Decayed": {optimizer: {lr: 0.01}}
"""
METHOD, BENCHMARK = "own_method:Decayed", "own_benchmark:CLOUDS"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with the files, on Python's path, and a recipe; the current one."""
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "mine.yaml").write_text(RECIPE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in FILES:
        sys.modules.pop(name, None)


def run(*words):
    return main(["run", BENCHMARK, "--method", METHOD, "--recipe", "mine.yaml", *words])


def stored(folder):
    (config,) = folder.glob("runs/*/config.yaml")
    return yaml.safe_load(config.read_text()), config.parent


def test_they_run_and_are_resumed_compared_and_exported(own):
    assert run("--set", "decay.strength=0.25", "--set", "data.tasks=2") == 0
    config, folder = stored(own)
    assert folder.name == "own_benchmark.CLOUDS_own_method.Decayed_task"
    assert config["decay"] == {"strength": 0.25}
    assert (config["target"]["net"], config["target"]["width"]) == ("own_network:narrow", 4)
    assert (config["optimizer"]["lr"], config["data"]["tasks"]) == (0.01, 2)
    assert main(["resume", str(folder)]) == 0
    assert main(["check", str(folder)]) == 0
    to = ["--task", "1", "--to", "torch", "--out", "one.safetensors"]
    assert main(["export", str(folder), *to]) == 0
    assert main(["run", BENCHMARK, "--method", "hnet,finetune", "--set", "train.iterations=3"]) == 0


def test_the_library_methods_take_the_network(own):
    words = ["--set", "target.net=own_network:narrow", "--set", "target.width=3"]
    words += ["--set", "train.iterations=2", "--tasks", "2"]
    assert main(["run", BENCHMARK, "--method", "hnet", *words]) == 0
    config, _ = stored(own)
    assert "hidden" not in config["target"]


def test_an_evidence_is_a_method(own, capsys):
    words = ["--set", "peak.power=2", "--set", "train.iterations=2", "--tasks", "2"]
    command = ["run", BENCHMARK, "--method", "own_evidence:Peak", "--scenario", "class"]
    assert main([*command, *words]) == 0
    config, folder = stored(own)
    assert folder.name.endswith("own_evidence.Peak_all")
    assert config["peak"] == {"power": 2.0}
    assert config["hypernet"]["chunk"] == 1000
    assert (folder / "accuracy_matrix_class.csv").is_file()
    assert main(["explain", "own_evidence:Peak", "--benchmark", BENCHMARK]) == 0
    shown = capsys.readouterr().out
    assert "own_evidence:Peak: The task whose network has the largest logit" in shown
    assert "peak: {power: 1.0}" in shown


def test_they_are_explained(own, capsys):
    assert main(["explain", METHOD, "--benchmark", BENCHMARK, "--recipe", "mine.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "own_method:Decayed: Finetuning with a decay of the weights" in shown
    assert "decay: {strength: 0.5}" in shown
    assert "my notes" in shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--set", "decay.strngth=1"], "did you mean 'decay.strength'"),
        (["--set", "decay.strength=13"], "brings bad luck"),
        (["--set", "decay.strength=-1"], "decay.strength must be greater than 0"),
        (["--set", "target.widht=1"], "did you mean 'target.width'"),
        (["--set", "hypernet.chunk=1"], "hypernet.chunk does nothing for own_method:Decayed"),
        (["--scenario", "class"], "works in the scenarios task, domain"),
        (["--recipe", "none.yaml"], "a recipe must be a YAML file"),
        (["--method", "own_method:Nothing"], "has no attribute 'Nothing'"),
        (["--method", "own_methd:Decayed"], "No module named 'own_methd'"),
        (["--method", "own_network:narrow"], "or a class of the protocol Method"),
    ],
)
def test_mistakes_are_said_in_a_line(own, capsys, words, expected):
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert expected in line


def test_a_network_says_its_settings(own, monkeypatch):
    monkeypatch.setattr(NETS, "_imported", {})
    (own / "own_network.py").write_text("def narrow(shape, outputs, settings: int): ...")
    with pytest.raises(ConfigError, match="a frozen dataclass"):
        net_settings("own_network:narrow")


def test_plug_ins_have_names(own, monkeypatch):
    points = {"decayed": EntryPoint("decayed", METHOD, "hypermnesia.methods")}
    monkeypatch.setitem(METHODS.__dict__, "_plugins", points)
    monkeypatch.setattr(METHODS, "_imported", {})
    assert isinstance(METHODS["decayed"], MethodEntry)
    assert METHODS["decayed"].name == "decayed" in list(METHODS)
    assert "decayed" in METHODS
    with pytest.raises(ConfigError, match="did you mean 'decayed'"):
        METHODS["decayd"]


def test_a_text_is_imported_when_it_is_asked_for(own):
    registry = Registry("thing", "things", must_be("a number", lambda found: type(found) is int))
    registry.add("lazy", "own_method:Nothing")
    registry.add("wrong", "own_method:Decayed")
    assert list(registry) == ["lazy", "wrong"]
    with pytest.raises(ConfigError, match="can be imported"):
        registry["lazy"]
    with pytest.raises(ConfigError, match="wrong must be a number"):
        registry["wrong"]


def test_a_condition_runs_with_an_option_of_its_own(own, capsys):
    words = ["--set", "hypernet.condition=own_condition:Tilted", "--tasks", "2"]
    words += ["--set", "hypernet.condition_options={tilt: 2.0}", "--set", "train.iterations=2"]
    assert main(["run", BENCHMARK, "--method", "hnet", *words]) == 0
    config, folder = stored(own)
    assert config["hypernet"]["condition_options"] == {"tilt": 2.0}
    assert main(["resume", str(folder)]) == 0
    wrong = ["--set", "hypernet.condition_options={tlt: 2.0}", "--name", "other"]
    assert main(["run", BENCHMARK, "--method", "hnet", *words, *wrong]) == 2
    assert "must be arguments of the condition" in capsys.readouterr().err
    condition = importlib.import_module("own_condition").Tilted
    check_condition(lambda: condition(HypernetSettings(chunk=5), torch.device("cpu"), tilt=2.0))


@pytest.mark.parametrize(
    ("choice", "task"),
    [({"infer_task": "own_evidence:Peak"}, None), ({"method": METHOD, "infer_task": None}, "b")],
)
def test_the_learner_takes_them(own, choice, task):
    x, y = torch.randn(60, 4), torch.arange(60) % 2
    x[:, 0] += 3 * y
    made = nn.Linear(4, 2)
    learner = ContinualLearner(made, **choice, iterations=200)
    for name in "ab":
        learner.fit(x, y + (2 if name == "b" else 0), task=name)
    assert learner.score(x, y + 2, task="b") > (0.9 if task is None else 0.4)  # a strong decay
    learner.save("learner")
    again = ContinualLearner.load("learner", made)
    assert (again.predict(x, task) == learner.predict(x, task)).all()


def test_a_stranger_s_folder_has_nothing_imported(own, capsys, monkeypatch):
    assert run("--set", "data.tasks=1") == 0
    _, folder = stored(own)
    for name in FILES:
        sys.modules.pop(name, None)
    monkeypatch.setattr("hypermnesia.registry._LOADED", set())
    capsys.readouterr()
    assert main(["check", str(folder)]) == 2
    assert main(["resume", str(folder)]) == 2
    assert "HYPERMNESIA_PLUGINS=own_" in capsys.readouterr().err
    assert not {*FILES} & {*sys.modules}
    monkeypatch.setenv("HYPERMNESIA_PLUGINS", "own_method,own_network,own_benchmark")
    assert main(["resume", str(folder)]) == 0
