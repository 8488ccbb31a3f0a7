import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
from small_config import small

from hypermnesia.experiments.config import first_difference, identity, reads
from hypermnesia.experiments.resolve import Request, resolve
from hypermnesia.methods import METHODS
from hypermnesia.methods.penalties import Ewc, PenaltySettings


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


def test_fields_that_a_method_has_no_use_for_do_not_count():
    fields = ("compute.compile", "target.generated", "compute.precision", "target.head")
    assert [reads("hnet", field) for field in fields] == [True] * 4
    assert [reads("finetune", field) for field in fields] == [False, False, True, True]
    sections = ("hypernet.chunk", "vae.latent", "nothing.here")
    assert [reads("hnet-lik", field) for field in sections] == [True, True, False]
    assert not any(reads("joint", field) for field in sections)


def test_a_plain_generator_reads_its_sizes_and_optimiser():
    paths = ("vae.latent", "vae.optimizer.lr", "vae.hypernet.chunk", "vae.regularizer.beta")
    assert [reads("dgr", path) for path in paths] == [True, True, False, False]
    assert [reads("hnet-r", path) for path in paths] == [True] * 4
    assert reads("dgr-distill", "distillation.strength")
    assert not reads("dgr", "distillation.strength")


def test_a_memory_counts_for_those_who_have_one():
    changes = ("vae.latent=3", "vae.hypernet.chunk=999", "vae.optimizer.lr=0.5")
    for change in changes:
        assert identity(small(change, method="hnet-tir")) != identity(small(method="hnet-tir"))
        path = change.partition("=")[0]
        assert path in first_difference(small(change, method="hnet-r"), small(method="hnet-r"))


@pytest.mark.parametrize(
    ("method", "read", "ignored"),
    [("ewc", "samples", "xi"), ("si", "xi", "samples"), ("ewc-online", "decay", "xi")],
)
def test_a_field_that_a_method_ignores_does_not_count(method, read, ignored):
    def with_changed(*fields):
        config = small(method=method)
        penalty = replace(config.penalty, **dict.fromkeys(fields, 3))
        return config.model_copy(update={"penalty": penalty})

    old, same, other = with_changed(), with_changed(ignored), with_changed(read)
    assert identity(same) == identity(old) != identity(other)
    assert first_difference(same, old) is None


@dataclass(frozen=True)
class LaterPenalty(PenaltySettings):
    added: int = 3


class LaterEwc(Ewc):
    def __init__(self, network, scenario, *, penalty: LaterPenalty, **plain):
        super().__init__(network, scenario, penalty=penalty, **plain)


def test_a_field_added_later_with_a_default_changes_no_identity(monkeypatch):
    old = small(method="ewc")
    later = replace(METHODS["ewc"], builder=LaterEwc)
    monkeypatch.setitem(METHODS._entries, "ewc", later)
    new = small(method="ewc")
    assert new.penalty == LaterPenalty(**asdict(old.penalty))
    assert identity(new) == identity(old)
    other = small("penalty.added=4", method="ewc")
    assert identity(other) != identity(old)
    assert first_difference(other, new) == "penalty.added = 4 here and 3 there"


FROZEN = json.loads((Path(__file__).parent / "identities.json").read_text())


@pytest.mark.parametrize("name", FROZEN)
def test_identities_are_those_of_the_first_format(name):
    """Results that were stored under them must still be found."""
    where, method, scenario, *assignments = name.split(" | ")
    benchmark, _, recipe = where.partition("/")
    request = Request(
        benchmark, (method,), scenario, recipe=recipe or None, assignments=assignments
    )
    (config,) = resolve(request)
    assert identity(config) == FROZEN[name]
