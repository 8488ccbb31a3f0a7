from dataclasses import replace

import pytest
from small_config import small

from hypermnesia.data.benchmarks import make_tasks
from hypermnesia.errors import ConfigError
from hypermnesia.experiments import run as module
from hypermnesia.experiments.run import rehearse
from hypermnesia.methods.plain import Finetune


def test_one_task_of_every_head_width_is_tried(monkeypatch):
    def of_two_widths(benchmark, settings, seed):
        first, second = make_tasks(benchmark, settings, seed)
        return [first, replace(second, outputs=5)]

    widths = []
    begin = Finetune.begin_task

    def spy(self, spec):
        widths.append(spec.outputs)
        begin(self, spec)

    monkeypatch.setattr(Finetune, "begin_task", spy)
    rehearse(small())
    assert widths == [2]
    monkeypatch.setattr(module, "make_tasks", of_two_widths)
    rehearse(small())
    assert widths == [2, 2, 5]


def test_it_is_tried_on_batches_no_larger_than_those_to_come(monkeypatch):
    sizes = []
    update = Finetune.update

    def spy(self, batch):
        sizes.append(len(batch))
        return update(self, batch)

    monkeypatch.setattr(Finetune, "update", spy)
    rehearse(small())
    rehearse(small("train.batch_size=1"))
    assert sizes == [2, 1]


@pytest.mark.parametrize("name", ["update", "predict"])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("shapes differ\nat length"), "batch of 2; got shapes differ; change"),
        (RuntimeError("out of memory"), "fit into memory"),
        (MemoryError(), "fit into memory; got MemoryError"),
        (ConfigError("its own words"), "^its own words$"),
    ],
)
def test_what_fails_in_it_is_told_in_one_line(monkeypatch, name, error, expected):
    def fail(*_):
        raise error

    monkeypatch.setattr(Finetune, name, fail)
    with pytest.raises(ConfigError, match=expected):
        rehearse(small())
