import pytest
from small_config import small

from hypermnesia.errors import ConfigError
from hypermnesia.experiments.compare import TrialPlace, judged, points, trials
from hypermnesia.experiments.config import identity
from hypermnesia.experiments.resolve import Request
from hypermnesia.experiments.run import run_all
from hypermnesia.training.observers import Observer

EWC = Request("split-digits", ("ewc",), "class", seeds=(100,))


def test_a_grid_is_every_combination_in_order():
    axes = ["penalty.strength=1, 1e3", "optimizer.lr=0.1"]
    assert points(axes) == [
        ("penalty.strength=1", "optimizer.lr=0.1"),
        ("penalty.strength=1e3", "optimizer.lr=0.1"),
    ]


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("target.hidden=[9, 9],[],[5]", ["[9, 9]", "[]", "[5]"]),
        ("optimizer.schedule={0.5: 0.3, 0.9: 0.1},{}", ["{0.5: 0.3, 0.9: 0.1}", "{}"]),
    ],
)
def test_commas_in_brackets_belong_to_a_value(axis, values):
    field = axis.partition("=")[0]
    assert points([axis]) == [(f"{field}={value}",) for value in values]


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ([], "one axis or more"),
        (["penalty.strength"], "got 'penalty.strength'"),
        (["penalty.strength=1,,2"], "name a field once, and its values"),
        (["penalty.strength=1", "penalty.strength=2"], "name a field once, and its values"),
        (["penalty.strength=1,1.0"], "different runs; got penalty.strength=1.0 and penalty.str"),
        (["penalty.strenght=1"], "did you mean 'penalty.strength'"),
        (["penalty.xi=1"], "penalty.xi does nothing for ewc"),
        (["penalty.strength=x"], "penalty.strength must be"),
    ],
)
def test_impossible_grids_are_refused(axes, expected):
    with pytest.raises(ConfigError) as caught:
        trials(EWC, axes, 20)
    assert expected in str(caught.value)


def test_every_trial_is_judged_on_validation_samples_whatever_is_set():
    request = Request(
        "split-digits",
        ("ewc",),
        assignments=("data.evaluate_on=test", "data.validation=0", "train.iterations=3"),
    )
    for trial in trials(request, ["penalty.strength=1,2", "data.evaluate_on=test"], 20):
        assert (trial.config.data.evaluate_on, trial.config.data.validation) == ("validation", 20)
        assert trial.config.train.iterations == 3


def test_points_have_folders_of_their_own_that_last():
    place = TrialPlace()
    few = trials(EWC, ["penalty.strength=1,10"], 20)
    more = trials(EWC, ["penalty.strength=10,1,100"], 20)
    folders = {trial.settings: place.folder(trial.config) for trial in more}
    assert len(set(folders.values())) == 3
    assert all(folders[trial.settings] == place.folder(trial.config) for trial in few)
    name = identity(small(method="ewc"))[:16]
    assert place.folder(small(method="ewc")) == place.out / "split-digits_ewc_task" / name


def test_points_are_judged_by_the_seeds_asked_for(tmp_path):
    def tried(*seeds, values="1"):
        short = ("train.iterations=3", "data.tasks=2")
        request = Request("split-digits", ("ewc",), "class", seeds, assignments=short)
        found = trials(request, [f"penalty.strength={values}"], 20)
        configs = [trial.config for trial in found]
        return judged(found, run_all(configs, TrialPlace(tmp_path), lambda *_: Observer()))

    (several,) = tried(100, 101)
    again, other = tried(100, values="1,2")
    acc = [summary.scenarios["class"]["acc"] for summary in (several, again, other)]
    assert [each["n"] for each in acc] == [2, 1, 1]
    assert acc[1]["values"] == {"100": acc[0]["values"]["100"]}
