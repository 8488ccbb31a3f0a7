import shlex

import pytest

from hypermnesia.cli.options import parse_seeds
from hypermnesia.experiments.config import first_difference, reads
from hypermnesia.experiments.resolve import Request, resolve
from hypermnesia.experiments.run_folder import opened
from hypermnesia.methods import METHODS
from hypermnesia.report.page import format_seeds, rerun_command

CHANGES = (
    "train.iterations=7",
    "target.hidden=[9, 8]",
    "data.tasks=2",
    "optimizer.name=sgd",
    "optimizer.momentum=0.5",
    "optimizer.schedule={0.5: 1e-5}",
)


def understood(command):
    """The configuration that the words of `command` ask for."""
    program, verb, benchmark, *options = shlex.split(command)
    assert (program, verb) == ("hypermnesia", "run")
    pairs = list(zip(options[::2], options[1::2], strict=True))
    one, assignments = dict(pairs), [value for name, value in pairs if name == "--set"]
    (config,) = resolve(
        Request(
            benchmark,
            (one["--method"],),
            one.get("--scenario", "task"),
            parse_seeds(one["--seeds"]),
            one.get("--recipe"),
            assignments,
        )
    )
    return config


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("settings", [(), CHANGES])
def test_the_command_asks_for_the_same_run(method, settings, tmp_path):
    scenario = METHODS[method].scenarios[-1]
    known = [each for each in settings if reads(method, each.partition("=")[0])]
    request = Request("split-digits", (method,), scenario, (0, 1, 2, 7), "quick", known)
    (config,) = resolve(request)
    # As it is read from a folder.
    with opened(tmp_path / "run", config, overwrite=False) as folder:
        config = folder.read_config()
    again = understood(rerun_command(config))
    assert first_difference(again, config) is None
    assert (again.seeds, again.scenario) == (config.seeds, config.scenario)


def test_an_unchanged_run_is_a_short_command():
    (config,) = resolve(Request("split-digits", ("hnet",), "task", (0, 1), "quick"))
    expected = "hypermnesia run split-digits --method hnet --scenario task --seeds 0-1"
    assert rerun_command(config) == f"{expected} --recipe quick"


def test_a_recipe_that_has_gone_is_spelt_out():
    (config,) = resolve(Request("split-digits", ("hnet",), "task", (0,), "quick"))
    recipe = config.recipe.model_copy(update={"name": "$(rm -rf ~)"})
    command = rerun_command(config.model_copy(update={"recipe": recipe}))
    assert "rm -rf" not in command
    assert first_difference(understood(command), config) is None


@pytest.mark.parametrize("text", ["0", "0-2", "0-2,5,7-8"])
def test_seeds_are_written_as_they_are_read(text):
    assert format_seeds(parse_seeds(text)) == text
