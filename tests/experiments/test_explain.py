import pytest
import yaml

from hypermnesia.cli import main
from hypermnesia.experiments.explain import about, explain, first_settings, plain
from hypermnesia.experiments.resolve import Request
from hypermnesia.methods import METHODS


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_is_explained(name):
    parts = dict(explain(name, "split-digits").parts)
    assert all(text.strip() for text in parts.values())
    assert {"When to use it", "Equations", "Symbols", "What it keeps and costs"} <= set(parts)
    assert "\\" not in parts["Equations"]
    settings = yaml.safe_load(parts["Settings on split-digits, recipe best"])
    assert settings["data"]["tasks"] == 5
    assert ("hypernet" in settings) is ("hypernet" in METHODS[name].sections)
    assert "null" not in parts["Settings on split-digits, recipe best"]
    unset = parts["Settings that are not set"].replace(",\n", ", ").split(", ")
    assert ("optimizer.clip" in unset) is ("optimizer" in METHODS[name].sections)


@pytest.mark.parametrize("name", list(METHODS))
def test_the_settings_that_matter_first_are_settings_with_a_meaning(name):
    found = list(first_settings(METHODS[name], Request("split-digits", (name,))))
    assert [path for path, _, _ in found] == about(METHODS[name]).first
    assert all(meaning for _, _, meaning in found)


def test_equations_are_plain_text_on_a_terminal():
    assert (
        plain(r"\frac{\lambda}{T-1} \sum_i (\theta_i - \theta^*_i)^2")
        == "λ/(T-1) Σ_i (θ_i - θ*_i)²"
    )
    assert (
        plain(r"\hat{y} = \operatorname{argmax}_c w_c^\top f \text{ of } x")
        == "ŷ = argmax_c w_cᵀ f of x"
    )
    assert plain("a line of\na user's own: x_i²") == "a line of\na user's own: x_i²"


def test_what_differs_by_scenario_is_said():
    parts = dict(explain("si", "split-mnist", "best").parts)
    settings = yaml.safe_load(parts["Settings on split-mnist, recipe best"])
    assert (settings["penalty"]["strength"], settings["train"]["augment"]) == (10, "shift")
    in_class = yaml.safe_load(parts["Where the class scenario differs"])
    assert in_class == {"penalty": {"strength": 5000}, "train": {"augment": None}}


@pytest.mark.usefixtures("confident")
def test_one_training_for_all_is_said():
    parts = dict(explain("separate", "split-mnist", "paper").parts)
    assert parts["Answers in"] == "the task scenario"
    assert "optimizer" in parts["Settings on split-mnist, recipe paper"]
    answers = dict(explain("confident", "split-digits").parts)["Answers in"]
    assert answers == "task, domain, class: one training for all of them"


def test_the_command(capsys):
    assert main(["explain", "hnet", "--benchmark", "split-mnist", "--recipe", "paper"]) == 0
    shown = capsys.readouterr().out
    assert "‖h(e_t; θ*) - h(e_t; θ + Δθ)‖²" in shown
    assert "chunk: 42000" in shown
    assert main(["explain", "hnt"]) == 2
    assert "did you mean 'hnet'" in capsys.readouterr().err
    assert main(["explain", "hnet", "--benchmark", "split-mnst"]) == 2
    assert "did you mean 'split-mnist'" in capsys.readouterr().err
