"""The figures of real runs hold what was measured, and those that cannot be drawn say why."""

import json
import shutil

import numpy as np
import pytest
import torch

from figure_runs import KINDS, SHORT, cells, drawn_of
from hypermnesia.cli import main
from hypermnesia.data.benchmarks import BenchmarkSettings, make_tasks
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.experiments.results import write_weights
from hypermnesia.report.learned import figures_and_missing
from unsealed import unseal


@pytest.mark.parametrize("method", list(KINDS))
def test_a_run_has_the_figures_of_its_method(runs, method):
    drawn = drawn_of(runs[method])
    assert drawn.keys() == KINDS[method]
    for each in drawn.values():
        assert each.title
        assert len(each.text) > 100
        assert "\n" not in each.text


def test_confusion_counts_every_test_sample(runs):
    result = finished_seed(runs["hnet-ent"]).result
    tasks = make_tasks("split-digits", BenchmarkSettings(tasks=3), 0)
    counts = result.confusion["class"]
    assert counts.sum(axis=1).tolist() == [len(task.test) for task in tasks]
    found = cells(drawn_of(runs["hnet-ent"])["task-confusion-domain-class"])
    np.testing.assert_allclose(found, 100 * counts / counts.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(np.diagonal(found), result.inference["class"][-1])


def test_scenarios_with_other_counts_have_figures_of_their_own(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["hnet-ent"], run)
    path = run / "seed-0" / "result.json"
    fields = json.loads(path.read_text())
    fields["confusion"]["class"][0] = fields["confusion"]["class"][0][::-1]
    path.write_text(json.dumps(fields))
    unseal(path)
    assert {"task-confusion-domain", "task-confusion-class"} <= drawn_of(run).keys()


@pytest.mark.parametrize(("method", "seed"), [("hnet-tir", 1), ("hnet-lik", None)])
def test_the_diagonal_of_the_transfer_matrix_is_the_accuracy_at_the_end(runs, method, seed):
    matrix = cells(drawn_of(runs[method], seed)["embedding-transfer"])
    accuracy = finished_seed(runs[method], seed).result.accuracy["task"]
    np.testing.assert_array_equal(np.diagonal(matrix), accuracy[-1])
    assert len(np.unique(matrix)) > 3


@pytest.fixture
def damaged(runs, tmp_path):
    """A copy of a run, to damage."""
    run = tmp_path / "run"
    shutil.copytree(runs["hnet-tir"], run)
    return run


def missing(run):
    """Why figures are missing, by kind, and the names of those that are not."""
    drawn, without = figures_and_missing(finished_seed(run))
    return {each.kind: each.reason for each in without}, {each.name for each in drawn}


WEIGHTS, SAMPLES = "seed-0/weights.safetensors", "seed-0/samples"
EMBEDDED = ["embedding transfer", "task embeddings", "calibration"]


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, None])
def test_without_weights_the_other_figures_are_drawn(damaged, content):
    (damaged / WEIGHTS).unlink() if content is None else (damaged / WEIGHTS).write_bytes(content)
    reasons, drawn = missing(damaged)
    assert list(reasons) == EMBEDDED
    for reason in reasons.values():
        assert "must hold weights as they were written" in reason
    assert drawn == {"task-confusion-domain-class", "memory-samples"}


def test_embeddings_that_are_no_numbers_are_refused(damaged):
    of = finished_seed(damaged)
    with torch.no_grad():
        of.method.memory.condition.embeddings[1].fill_(torch.nan)
    write_weights(damaged / WEIGHTS, of.method.state_dict())
    unseal(damaged / "seed-0" / "result.json")
    reasons, _ = missing(damaged)
    assert "must hold finite embeddings" in reasons["task embeddings"]


def test_a_damaged_result_costs_the_confusion(damaged):
    (damaged / "seed-0" / "result.json").write_text("{}")
    reasons, _ = missing(damaged)
    assert list(reasons) == ["task confusion"]
    assert "no field 'seed'" in reasons["task confusion"]


def test_of_an_autoencoder_a_class_there_is_an_embedding_a_class(tmp_path):
    command = ["run", "split-digits", "--method", "hnet-lik", "--out", str(tmp_path), *SHORT]
    assert main([*command, "--set", "likelihood.of=class"]) == 0
    drawn = drawn_of(tmp_path / "split-digits_hnet-lik_all")
    assert "The 3 task embeddings" in drawn["embeddings-networks"].text
    assert "The 6 class embeddings" in drawn["embeddings-autoencoders"].text


def test_images_that_are_gone_or_no_good(runs, damaged):
    kind, second = (
        "samples of the generative memory",
        damaged / SAMPLES / "after_task_2.safetensors",
    )
    other = runs["dgr"] / SAMPLES / second.name
    for content, reason in (
        (b"x", "must hold samples; got"),
        (other.read_bytes(), "must be of one training; got images of several kinds"),
    ):
        second.write_bytes(content)
        reasons, _ = missing(damaged)
        assert list(reasons) == [kind]
        assert reason in reasons[kind]
    second.unlink()
    (damaged / WEIGHTS).unlink()  # to draw less
    drawn, _ = figures_and_missing(finished_seed(damaged))
    text = {each.name: each.text for each in drawn}["memory-samples"]
    assert "after learning task 1, 3 (a row each)" in text
    shutil.rmtree(damaged / SAMPLES)
    reasons, _ = missing(damaged)
    assert "images learns; got no file in" in reasons[kind]
    assert "got hnet-ent" in missing(runs["hnet-ent"])[0][kind]
