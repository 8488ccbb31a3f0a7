import pytest

from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config import nested
from hypermnesia.experiments.resolve import merged, parsed


def test_values_are_yaml():
    assignments = ["hypernet.hidden=[10, 20]", "regularizer.beta=1.5", "data.class_order=null"]
    assert parsed(assignments) == {
        "hypernet.hidden": [10, 20],
        "regularizer.beta": 1.5,
        "data.class_order": None,
    }


def test_paths_make_sections():
    values = {"vae.latent": 3, "vae.optimizer.lr": 1, "vae.optimizer.schedule": {0.5: 0.1}}
    inner = {"lr": 1, "schedule": {0.5: 0.1}}
    assert nested(values) == {"vae": {"latent": 3, "optimizer": inner}}


@pytest.mark.parametrize("name", ["hypernet", "regularizer", "optimizer", "embedding_optimizer"])
def test_an_old_name_says_the_new_one(name):
    with pytest.raises(ConfigError, match=rf"write vae\.{name}\.x$"):
        parsed([f"vae_{name}.x=1"])


def test_the_last_word_counts_and_an_equals_sign_may_be_in_the_value():
    assert parsed(["target.net=a", "target.net=b=c"]) == {"target.net": "b=c"}


def test_merging_keeps_the_other_fields_of_a_section_and_replaces_whole_values():
    optimizer = {"lr": 1, "schedule": {0.5: 0.1}}
    below = {"optimizer": optimizer, "vae": {"latent": 2, "optimizer": optimizer}}
    above = {"schedule": {0.2: 0.3}}
    both = {"lr": 1, "schedule": {0.2: 0.3}}
    assert merged(below, {"optimizer": above, "vae": {"optimizer": above}}) == {
        "optimizer": both,
        "vae": {"latent": 2, "optimizer": both},
    }
    assert below["vae"]["optimizer"] == optimizer == {"lr": 1, "schedule": {0.5: 0.1}}


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
