import pytest

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.experiments.resolve import FOLDER, Request, load_recipe, recipe_names, resolve
from hypermnesia.methods import METHODS
from hypermnesia.methods.penalties import PenaltySettings

FILES = sorted(FOLDER.glob("*/*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_is_valid_for_every_method(path):
    benchmark, recipe = path.parent.name, path.stem
    every = [(method, scenario) for method in METHODS for scenario in METHODS[method].scenarios]
    for method, scenario in every:
        (config,) = resolve(Request(benchmark, (method,), scenario, recipe=recipe))
        assert config.recipe.name == recipe
        assert config.recipe.source
        assert config.data.tasks <= (BENCHMARKS[benchmark].max_tasks or config.data.tasks)


@pytest.mark.parametrize("benchmark", list(BENCHMARKS))
def test_every_benchmark_has_a_default_recipe(benchmark):
    default = load_recipe(benchmark).name
    assert default == recipe_names(benchmark)[0]
    assert default == next(n for n in ("best", "paper", "derived") if n in recipe_names(benchmark))


def test_only_what_the_paper_has_is_called_the_papers():
    papers = {path.parent.name for path in FILES if path.stem.startswith("paper")}
    assert papers == {"curves", "split-mnist", "perm-mnist", "split-cifar10-100"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_optimiser_of_a_recipe_can_be_another_one(path):
    request = Request(path.parent.name, recipe=path.stem, assignments=("optimizer.name=sgd",))
    (config,) = resolve(request)
    assert config.optimizer.name == config.embedding_optimizer.name == "sgd"


def test_a_recipe_takes_what_it_does_not_say_from_its_base():
    (large,) = resolve(Request("perm-mnist", ("hnet",), recipe="paper-250"))
    assert large.data.tasks == 250
    assert large.hypernet.chunk == 12_000
    assert large.hypernet.hidden == (200, 250, 350)
    assert large.target.hidden == (1000, 1000)


def test_published_values():
    (mnist,) = resolve(Request("split-mnist", recipe="paper"))
    assert (mnist.hypernet.hidden, mnist.hypernet.chunk) == ((10, 10), 42_000)
    assert (mnist.regularizer.beta, mnist.train.iterations) == (0.01, 2000)
    (cifar,) = resolve(Request("split-cifar10-100"))
    assert cifar.hypernet.hidden == ()
    assert cifar.optimizer.schedule == {0.4: 0.1, 0.6: 0.01, 0.8: 0.001, 0.9: 0.0005}


def test_the_order_is_recipe_then_method_then_options_then_assignments(monkeypatch):
    recipe = load_recipe("split-digits")
    recipe.methods["joint"] = {"train": {"iterations": 7, "batch_size": 9}}
    recipe.methods["finetune"] = {"train": {"iterations": 8}}
    monkeypatch.setattr("hypermnesia.experiments.resolve.load_recipe", lambda *_: recipe)
    joint, finetune = resolve(
        Request(
            "split-digits",
            ("joint", "finetune"),
            assignments=("train.batch_size=5", "data.tasks=3"),
            options={"data": {"tasks": 2, "class_order": None}},
        )
    )
    assert (joint.train.iterations, finetune.train.iterations) == (7, 8)
    assert joint.train.batch_size == finetune.train.batch_size == 5
    assert joint.data.tasks == 3
    assert joint.optimizer == finetune.optimizer


def test_a_recipe_may_differ_by_method_and_scenario(monkeypatch):
    recipe = load_recipe("split-digits")
    recipe.methods["ewc"] = {
        "penalty": {"strength": 5, "samples": 9},
        "scenarios": {"class": {"penalty": {"strength": 7}, "train": {"iterations": 8}}},
    }
    monkeypatch.setattr("hypermnesia.experiments.resolve.load_recipe", lambda *_: recipe)
    (task,) = resolve(Request("split-digits", ("ewc",), "task"))
    (in_class,) = resolve(Request("split-digits", ("ewc",), "class"))
    assert (task.penalty.strength, task.penalty.samples) == (5, 9)
    assert (in_class.penalty.strength, in_class.penalty.samples) == (7, 9)
    assert in_class.train.iterations == 8 != task.train.iterations
    assert not in_class.recipe.changed


def test_a_recipe_s_strengths_reach_those_that_are_based_on_it():
    default = PenaltySettings.strength
    for scenario in ("task", "domain", "class"):
        (base,) = resolve(Request("split-mnist", ("si",), scenario, recipe="paper"))
        (config,) = resolve(Request("split-fashion", ("si",), scenario, recipe="derived"))
        assert config.penalty.strength == base.penalty.strength != default


def test_the_embedding_optimizer_follows_the_main_one_unless_told():
    (config,) = resolve(Request("split-digits", assignments=("optimizer.lr=0.5",)))
    assert config.embedding_optimizer == config.optimizer
    (config,) = resolve(
        Request("split-digits", assignments=("optimizer.lr=0.5", "embedding_optimizer.lr=0.25"))
    )
    assert (config.optimizer.lr, config.embedding_optimizer.lr) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("assignments", "options", "changed"),
    [
        ((), {}, False),
        (("regularizer.beta=0.01",), {"data": {"tasks": 5}}, False),
        (("machine.threads=2",), {}, False),
        (("regularizer.beta=0.02",), {}, True),
        ((), {"data": {"tasks": 2}}, True),
    ],
)
def test_it_knows_whether_it_is_the_recipe(assignments, options, changed):
    (config,) = resolve(Request("split-digits", assignments=assignments, options=options))
    assert config.recipe.changed is changed


def test_what_one_of_several_methods_reads_can_be_set():
    request = Request("split-digits", ("finetune", "hnet"), assignments=("regularizer.beta=5",))
    finetune, hnet = resolve(request)
    assert hnet.regularizer.beta == 5
    assert not hasattr(finetune, "regularizer")


@pytest.mark.parametrize("alias", ["CL1", "TIL", "1", "task"])
def test_scenario_aliases(alias):
    assert resolve(Request("split-digits", scenario=alias))[0].scenario == "task"
