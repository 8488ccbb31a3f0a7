from dataclasses import MISSING, fields

import pytest
import yaml
from pydantic import ValidationError
from small_config import small

from hypermnesia.data.benchmarks import BenchmarkSettings
from hypermnesia.errors import ConfigError
from hypermnesia.evidence.autoencoders import ReplaySettings
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.evidence.likelihood import LikelihoodSettings
from hypermnesia.experiments.config import ExperimentConfig, validated
from hypermnesia.experiments.config_errors import field_paths
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.methods.lwf import DistillationSettings
from hypermnesia.methods.penalties import PenaltySettings
from hypermnesia.nets import NetSettings
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.training.phases import TrainSettings
from hypermnesia.vae import BoundSettings, VaeSettings


def raw(**changes):
    return small().model_dump(mode="python") | changes


def test_yaml_and_back_is_the_same_configuration():
    config = small("optimizer.schedule={0.4: 0.1, 0.6: 1e-2}", "hypernet.hidden=[]", method="hnet")
    assert config.optimizer.schedule == {0.4: 0.1, 0.6: 0.01}
    assert validated(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="python")))) == config


@pytest.mark.parametrize("value", ["1e4", "10000.0", "1.0e4", "10000"])
def test_a_whole_number_may_be_written_as_a_float(value):
    config = small(f"hypernet.chunk={value}", method="hnet")
    assert config.hypernet.chunk == 10_000
    assert isinstance(config.hypernet.chunk, int)


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        ("data", BenchmarkSettings),
        ("target", NetSettings),
        ("hypernet", HypernetSettings),
        ("regularizer", RegularizerSettings),
        ("penalty", PenaltySettings),
        ("distillation", DistillationSettings),
        ("replay", ReplaySettings),
        ("vae", VaeSettings),
        ("inference", EntropySettings),
        ("bound", BoundSettings),
        ("likelihood", LikelihoodSettings),
        ("optimizer", OptimizerSettings),
        ("train", TrainSettings),
    ],
)
def test_a_default_that_the_library_has_too_is_the_same(section, settings):
    model = ExperimentConfig.model_fields[section].annotation
    theirs = {f.name: f.default for f in fields(settings) if f.default is not MISSING}
    for name, field in model.model_fields.items():
        if name in theirs and not field.is_required():
            assert field.default == theirs[name], name


def test_sections_start_from_the_one_that_they_are_like():
    config = small("optimizer.lr=0.5", "vae_optimizer.eps=1e-5", method="hnet-r")
    assert (config.vae_optimizer.lr, config.vae_optimizer.eps) == (0.5, 1e-5)
    assert config.vae_embedding_optimizer == config.vae_optimizer
    assert config.optimizer.eps is None
    assert config.vae_regularizer == config.regularizer


def test_an_error_names_the_section_that_it_is_in():
    with pytest.raises(ConfigError) as caught:
        small("vae_hypernet.chunk=null", method="hnet-r")
    assert "vae_hypernet.plan=even needs" in str(caught.value)
    assert "got vae_hypernet.chunk=null" in str(caught.value)


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
            changed = raw()
            if field:
                changed[section] = {**changed[section], field: value}
            else:
                changed[section] = value
            with pytest.raises(ConfigError):
                validated(changed)
