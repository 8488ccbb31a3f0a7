import pytest

from hypermnesia.errors import ConfigError
from hypermnesia.experiments.resolve import merged, parsed


def test_values_are_yaml():
    assignments = ["hypernet.hidden=[10, 20]", "regularizer.beta=1.5", "data.class_order=null"]
    assert parsed(assignments) == {
        "hypernet": {"hidden": [10, 20]},
        "regularizer": {"beta": 1.5},
        "data": {"class_order": None},
    }


def test_the_last_word_counts_and_an_equals_sign_may_be_in_the_value():
    assert parsed(["target.net=a", "target.net=b=c"]) == {"target": {"net": "b=c"}}


def test_merging_keeps_the_other_fields_of_a_section_and_replaces_whole_values():
    below = {"optimizer": {"lr": 1, "schedule": {0.5: 0.1}}, "train": {"iterations": 3}}
    above = {"optimizer": {"schedule": {0.2: 0.3}}}
    assert merged(below, above) == {
        "optimizer": {"lr": 1, "schedule": {0.2: 0.3}},
        "train": {"iterations": 3},
    }
    assert below["optimizer"]["schedule"] == {0.5: 0.1}


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("hypernet.chnk", "hypernet.chunk"),
        ("chunk", "hypernet.chunk"),
        ("iterations", "train.iterations"),
        ("lr", "optimizer.lr"),
        ("regulariser.beta", "regularizer.beta"),
    ],
)
def test_did_you_mean(path, meant):
    with pytest.raises(ConfigError, match=f"did you mean '{meant}'"):
        parsed([f"{path}=1"])
