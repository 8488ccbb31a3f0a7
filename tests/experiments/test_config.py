from dataclasses import replace

import pytest
import yaml
from pydantic import ValidationError
from small_config import small

from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config import leaves, sections_for, validated
from hypermnesia.experiments.resolve import load_recipe


def raw(of="finetune", **changes):
    return small(method=of).model_dump(mode="python") | changes


def test_yaml_and_back_is_the_same_configuration():
    config = small("optimizer.schedule={0.4: 0.1, 0.6: 1e-2}", "hypernet.hidden=[]", method="hnet")
    assert config.optimizer.schedule == {0.4: 0.1, 0.6: 0.01}
    assert validated(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="python")))) == config


@pytest.mark.parametrize("value", ["1e4", "10000.0", "1.0e4", "10000"])
def test_a_whole_number_may_be_written_as_a_float(value):
    config = small(f"hypernet.chunk={value}", method="hnet")
    assert config.hypernet.chunk == 10_000
    assert isinstance(config.hypernet.chunk, int)


def test_sections_start_from_the_one_that_they_are_like():
    config = small("optimizer.lr=0.5", "vae.optimizer.eps=1e-5", method="hnet-r")
    assert (config.vae.optimizer.lr, config.vae.optimizer.eps) == (0.5, 1e-5)
    assert config.vae.embedding_optimizer == config.vae.optimizer
    assert config.optimizer.eps is None
    assert (
        config.vae.regularizer.beta == load_recipe("split-digits").sections["regularizer"]["beta"]
    )


def test_a_section_beside_one_that_it_is_like_is_filled_from_it():
    config = small("optimizer.lr=0.5", "embedding_optimizer.eps=1e-5", method="hnet-ent")
    assert config.embedding_optimizer == replace(config.optimizer, eps=1e-5)


def test_an_error_names_the_section_that_it_is_in():
    with pytest.raises(ConfigError) as caught:
        small("vae.hypernet.plan=full", method="hnet-r")
    assert "vae.hypernet.plan=full has no use" in str(caught.value)
    assert "got vae.hypernet.chunk=1000; set vae.hypernet.chunk=null" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("beta=-1", "must be greater than or equal to 0, or 'auto'; got -1"),
        ("rows=some", "must be a valid integer, or 'auto'; got 'some'"),
    ],
)
def test_an_error_names_a_field_of_several_kinds_as_it_is_written(value, rule):
    with pytest.raises(ConfigError) as caught:
        small(f"regularizer.{value}", method="hnet")
    assert str(caught.value) == f"regularizer.{value.partition('=')[0]} {rule}"


def test_it_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        small().benchmark = "other"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"computer": {}}, "did you mean 'compute'"),
        ({"optimizer": {"lrr": 1}}, "did you mean 'optimizer.lr'"),
        ({"recipe": {"nam": "x"}}, "did you mean 'recipe.name'"),
        ({"data": {"data_dir": "/x"}}, "it is set as machine.data_dir"),
        ({"train": {"iterations": 3, "batchsize": 1}}, "did you mean 'train.batch_size'"),
        ({"train": {"iterations": 3}}, "train.batch_size must be set"),
        ({"optimizer": {"name": "sgd", "betas": [0.5, 0.9]}}, "option of sgd must be one that"),
        ({"optimizer": {"lr": [1]}}, "optimizer.lr must be a valid number"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [-1]}, "seeds.0 must be greater than or equal to 0; got -1"),
        ({"format": 3}, "format must be 2"),
        ({"method": 3}, "must be names"),
        ({"scenario": "CL1"}, "scenario must be"),
        ({"train": 3}, "train"),
    ],
)
def test_errors_name_field_rule_and_value(changes, expected):
    with pytest.raises(ConfigError) as caught:
        validated(raw(**changes))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["hnet-lik", "hnet-tir", "ewc", "dgr-distill", "hnet-ent"])
def test_every_number_has_bounds(method):
    for section, kind in sections_for(method).items():
        for path in leaves(kind):
            for value in (float("nan"), float("inf"), -(10**30), 10**30):
                changed = raw(method)
                *sections, field = f"{section}.{path}".split(".")
                inner = changed
                for name in sections:
                    inner = inner[name]
                inner[field] = value
                with pytest.raises(ConfigError):
                    validated(changed)
