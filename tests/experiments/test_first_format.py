"""Run folders of format 1, in which autoencoders had five sections, are read and go on."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from small_config import small

from hypermnesia.errors import RunError
from hypermnesia.experiments.config import checksum
from hypermnesia.experiments.results import read_result
from hypermnesia.experiments.run_folder import RunFolder, opened

STORED = sorted(Path(__file__).parents[2].glob("docs/results/*/config.yaml"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.parent.name)
def test_stored_results_are_read(path):
    folder = RunFolder(path.parent)
    config = folder.read_config()
    assert folder.finished_seeds()
    for seed in folder.finished_seeds():
        read_result(folder.seed(seed), config, seed)  # its owner is that of the configuration


def first_format(config) -> dict:
    """The fields as the first format had them."""
    fields = config.model_dump(mode="python") | {"format": 1}
    for name in ("loggers", "launcher"):
        del fields["machine"][name]
    if "vae" in fields:
        for name in ("hypernet", "regularizer", "optimizer", "embedding_optimizer"):
            fields[f"vae_{name}"] = fields["vae"].pop(name)
    return fields


def write(folder: RunFolder, fields: dict) -> None:
    folder.path.mkdir(exist_ok=True)
    folder.config.write_text(yaml.safe_dump({**fields, "checksum": checksum(fields)}))


@pytest.mark.parametrize("method", ["hnet-lik", "dgr", "finetune", "ewc"])
def test_it_is_today_s_configuration(tmp_path, method):
    config, folder = small(method=method), RunFolder(tmp_path / "run")
    others = {"inference": {"criterion": "entropy"}, "replay": {"share": "half"}}
    write(folder, {**others, **first_format(config)})  # sections that its method does not take
    assert folder.read_config() == config
    write(folder, first_format(config))
    assert folder.read_config() == config
    with opened(folder.path, config, overwrite=False):
        assert "format: 2" in folder.config.read_text()
    assert folder.read_config() == config


@pytest.mark.parametrize(
    ("section", "field", "value", "expected"),
    [
        ("inference", "screen", "int8", "inference.screen=int8 is no more; use .*screen=bf16"),
        ("vae_hypernet", "chnk", 3, "did you mean 'vae.hypernet.chunk'"),
        ("optimizer", "lr", -1, "optimizer.lr must be greater than 0"),
    ],
)
def test_what_is_wrong_with_it_is_said_in_a_line(tmp_path, section, field, value, expected):
    method = "hnet-ent" if section == "inference" else "hnet-lik"
    fields, folder = first_format(small(method=method)), RunFolder(tmp_path / "run")
    fields[section][field] = value
    write(folder, fields)
    with pytest.raises(RunError, match=expected) as caught:
        folder.read_config()
    assert "\n" not in str(caught.value)
