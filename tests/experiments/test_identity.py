import warnings

import pytest
from small_config import small

from hypermnesia.experiments.config import (
    ExperimentConfig,
    TargetConfig,
    first_difference,
    identity,
)


@pytest.mark.parametrize(
    "assignment",
    [
        "machine.device=auto",
        "machine.threads=2",
        "machine.data_dir=/x",
        "train.checkpoint_seconds=1",
        "optimizer.lr=1e-3",
    ],
)
def test_what_does_not_change_numbers_keeps_the_identity(assignment):
    assert identity(small(assignment, seeds=(4,))) == identity(small())


@pytest.mark.parametrize(
    "assignment",
    [
        "hypernet.chunk=999",
        "regularizer.beta=0.5",
        "optimizer.lr=0.5",
        "optimizer.schedule={0.5: 0.1}",
        "embedding_optimizer.lr=0.5",
        "train.batch_size=7",
        "data.class_order=1",
        "target.hidden=[9]",
    ],
)
def test_what_changes_numbers_changes_it_and_is_named(assignment):
    ours, theirs = small(assignment, method="hnet"), small(method="hnet")
    assert identity(ours) != identity(theirs)
    assert assignment.split("=")[0] in first_difference(ours, theirs)


def test_settings_that_a_method_has_no_use_for_do_not_count():
    hnet, other = small(method="hnet"), small("hypernet.chunk=999", method="hnet")
    assert identity(hnet) != identity(other)
    plain, plain_other = (c.model_copy(update={"method": "finetune"}) for c in (hnet, other))
    assert identity(plain) == identity(plain_other)
    assert first_difference(plain, plain_other) is None


def test_fields_that_a_method_has_no_use_for_do_not_count():
    changes = ("compute.compile=true", "target.generated=[0.*]", "compute.precision=bf16")
    for method, expected in (("hnet", 3), ("finetune", 1)):
        config = small(method=method)
        others = [small(each, method="hnet") for each in changes]
        others = [other.model_copy(update={"method": method}) for other in others]
        assert sum(identity(other) != identity(config) for other in others) == expected


def test_a_memory_counts_for_those_who_have_one():
    changes = (
        "vae.latent=3",
        "vae_hypernet.chunk=999",
        "vae_optimizer.lr=0.5",
        "replay.share=tasks",
    )
    for method, changed in (("hnet-tir", False), ("hnet", True), ("finetune", True)):
        ours = small(method=method)
        theirs = small(*changes, method="hnet-r").model_copy(update={"method": method})
        theirs = theirs.model_copy(update={"scenario": ours.scenario})
        assert (identity(ours) == identity(theirs)) is changed


@pytest.mark.parametrize(
    ("method", "read", "ignored"),
    [("ewc", "samples", "xi"), ("si", "xi", "samples"), ("ewc-online", "decay", "xi")],
)
def test_a_field_that_a_method_ignores_does_not_count(method, read, ignored):
    def with_changed(*fields):
        config = small(method=method)
        penalty = config.penalty.model_copy(update=dict.fromkeys(fields, 1 / 2))
        return config.model_copy(update={"penalty": penalty})

    old, same, other = with_changed(), with_changed(ignored), with_changed(read)
    with warnings.catch_warnings(action="ignore"):  # half a sample
        assert identity(same) == identity(old) != identity(other)
        assert first_difference(same, old) is None


def test_a_field_added_later_with_a_default_changes_no_identity():
    class NewTarget(TargetConfig):
        added: int = 3

    class NewConfig(ExperimentConfig):
        target: NewTarget

    old = small(method="hnet")
    new = NewConfig.model_validate(old.model_dump())
    assert identity(new) == identity(old)
    other = new.model_copy(update={"target": new.target.model_copy(update={"added": 4})})
    assert identity(other) != identity(old)
    assert first_difference(other, new) == "target.added = 4 here and 3 there"
