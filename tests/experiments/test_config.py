import pytest
import yaml
from pydantic import ValidationError
from small_config import small

from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config import ExperimentConfig, validated
from hypermnesia.experiments.config_errors import field_paths


def raw(**changes):
    return small().model_dump(mode="python") | changes


def test_yaml_and_back_is_the_same_configuration():
    config = small("optimizer.schedule={0.4: 0.1, 0.6: 1e-2}", "hypernet.hidden=[]")
    assert config.optimizer.schedule == {0.4: 0.1, 0.6: 0.01}
    assert validated(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="python")))) == config


def test_it_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        small().benchmark = "other"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"hypernets": {}}, "did you mean 'hypernet'"),
        ({"train": {"iterations": 3, "batchsize": 1}}, "did you mean 'train.batch_size'"),
        ({"optimizer": {"name": "adam"}}, "optimizer.lr must be set"),
        ({"optimizer": {"lr": [1]}}, "optimizer.lr must be a valid number"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [-1]}, "seeds.0 must be greater than or equal to 0; got -1"),
        ({"format": 2}, "format must be 1"),
        ({"scenario": "CL1"}, "scenario must be"),
        ({"train": 3}, "train"),
    ],
)
def test_errors_name_field_rule_and_value(changes, expected):
    with pytest.raises(ConfigError) as caught:
        validated(raw(**changes))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_number_has_bounds():
    for path in field_paths(ExperimentConfig):
        section, _, field = path.partition(".")
        for value in (float("nan"), float("inf"), -(10**30), 10**30):
            fields = raw()
            if field:
                fields[section] = {**fields[section], field: value}
            else:
                fields[section] = value
            with pytest.raises(ConfigError):
                validated(fields)
