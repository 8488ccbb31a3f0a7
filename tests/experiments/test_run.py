import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors
from small_config import small

from hypermnesia.errors import ConfigError, DataError, RunError
from hypermnesia.experiments.results import read_result
from hypermnesia.experiments.run import Place, resume, run_all
from hypermnesia.experiments.run_folder import opened
from hypermnesia.training.observers import Observer


class Counter:
    """Counts trainings, and breaks off the one of a given seed."""

    def __init__(self, broken=None):
        self.trained, self.broken = [], broken

    def __call__(self, config, seed):
        self.trained.append((config.method, seed))
        return Breaking() if seed == self.broken else Observer()


class Breaking(Observer):
    def on_task_end(self, phase, row):
        if phase.index == 1:
            raise KeyboardInterrupt


def run(place, *configs, watch=None):
    return run_all(configs, place, watch or Counter())


def test_what_a_run_leaves(tmp_path):
    place = Place(tmp_path)
    (summary,) = run(place, small(seeds=(0, 1)))
    path = tmp_path / "split-digits_finetune_task"
    assert summary.folder.path == path
    names = {"config.yaml", "environment.json", "summary.json", "accuracy_matrix_task.csv"}
    assert names <= {file.name for file in path.iterdir()}
    stored = json.loads((path / "summary.json").read_text())
    scenarios = {"scenarios": summary.scenarios}
    assert stored == {"evaluated_on": "test", **scenarios, **summary.figures}
    acc = stored["scenarios"]["task"]["acc"]
    values = acc["values"]
    results = [read_result(summary.folder.seed(s), summary.config, s) for s in (0, 1)]
    matrices = [result.accuracy["task"] for result in results]
    assert [values["0"], values["1"]] == [float(m[-1].mean()) for m in matrices]
    assert acc["mean"] == pytest.approx(np.mean(list(values.values())))
    assert acc["sem"] == pytest.approx(abs(values["0"] - values["1"]) / 2)
    assert len(stored["seconds_per_iteration"]["values"]["0"]) == 2
    np.testing.assert_array_equal(summary.matrices["task"], np.mean(matrices, axis=0))
    environment = json.loads((path / "environment.json").read_text())
    assert {"python", "torch", "numpy", "commit", "cpu", "cores", "threads"} <= set(environment)
    assert environment["device"] == "cpu"
    assert environment == json.loads((path / "seed-1" / "environment.json").read_text())
    with safetensors.safe_open(path / "seed-0" / "weights.safetensors", "pt") as file:
        assert len(file.keys()) > 0
        assert json.loads(file.metadata()["state"])


def test_a_method_that_is_trained_once_leaves_figures_of_every_scenario(tmp_path, confident):
    watch = Counter()
    asked = [small(method="confident", scenario=name) for name in ("task", "class")]
    assert asked[0] == asked[1]
    for config in asked:
        (summary,) = run(Place(tmp_path), config, watch=watch)
    assert watch.trained == [("confident", 0)]
    assert summary.folder.path == tmp_path / "split-digits_confident_all"
    assert list(summary.scenarios) == ["task", "domain", "class"]
    result = read_result(summary.folder.seed(0), summary.config, 0)
    assert result.inference.keys() == result.confusion.keys() == {"domain", "class"}
    for folder in (summary.folder, summary.folder.seed(0)):
        for name in summary.scenarios:
            assert folder.matrix(name).is_file()
    inferred = summary.scenarios["class"]["task_inference"]["mean"]
    assert inferred >= summary.scenarios["class"]["acc"]["mean"]
    assert summary.scenarios["task"]["task_inference"]["mean"] is None


def test_finished_seeds_are_kept_and_missing_ones_run(tmp_path):
    place, watch = Place(tmp_path), Counter()
    run(place, small(seeds=(0,)), watch=watch)
    before = (tmp_path / "split-digits_finetune_task/seed-0/result.json").read_bytes()
    (summary,) = run(place, small(seeds=(0, 1)), watch=watch)
    assert watch.trained == [("finetune", 0), ("finetune", 1)]
    assert (summary.folder.seed(0).result).read_bytes() == before
    assert summary.scenarios["task"]["acc"]["n"] == 2
    (again,) = run(place, small(seeds=(1,)), watch=watch)
    assert len(watch.trained) == 2
    assert again.figures == summary.figures


def test_resume_finishes_every_seed_with_the_same_numbers(tmp_path):
    (whole,) = run(Place(tmp_path, "whole"), small(seeds=(0, 1, 2), method="hnet"))
    with pytest.raises(KeyboardInterrupt):
        run(
            Place(tmp_path, "cut"),
            small(seeds=(0, 1, 2), method="hnet"),
            watch=Counter(broken=1),
        )
    watch = Counter()
    cut = resume(tmp_path / "cut", watch)
    assert watch.trained == [("hnet", 1), ("hnet", 2)]
    assert cut.scenarios == whole.scenarios
    for seed in (0, 1, 2):
        ours, theirs = cut.folder.seed(seed), whole.folder.seed(seed)
        assert ours.weights.read_bytes() == theirs.weights.read_bytes()


def test_a_finished_run_is_summarised_again_without_its_data(tmp_path, monkeypatch):
    (summary,) = run(Place(tmp_path), small())
    summary.folder.summary.unlink()

    def no_data(*_):
        raise DataError("the data are gone")

    monkeypatch.setattr("hypermnesia.experiments.run.make_tasks", no_data)
    assert resume(summary.folder.path, Counter()).scenarios == summary.scenarios
    assert summary.folder.summary.is_file()


def test_some_seeds_of_a_run_can_be_resumed_by_themselves(tmp_path):
    with opened(tmp_path / "run", small(seeds=(0, 1, 2)), overwrite=False):
        pass
    watch = Counter()
    for seeds in ((1,), (0, 1)):
        summary = resume(tmp_path / "run", watch, seeds=seeds)
    assert watch.trained == [("finetune", 1), ("finetune", 0)]
    assert set(summary.scenarios["task"]["acc"]["values"]) == {"0", "1"}
    assert summary.folder.read_config().seeds == (0, 1, 2)
    with pytest.raises(ConfigError, match=r"seeds must be of the run; got 7; it has 0, 1, 2"):
        resume(tmp_path / "run", watch, seeds=(1, 7))


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    for name, change in (("a", "optimizer.lr=0.5"), ("b", "optimizer.lr=0.25")):
        with pytest.raises(KeyboardInterrupt):
            run(Place(tmp_path, name), small(change), watch=Counter(broken=0))
    (tmp_path / "a" / "config.yaml").write_bytes((tmp_path / "b" / "config.yaml").read_bytes())
    with pytest.raises(RunError, match="another run or configuration"):
        resume(tmp_path / "a", Counter())


def test_all_is_checked_before_the_first_training(tmp_path):
    watch = Counter()
    run(Place(tmp_path), small("optimizer.lr=0.5", method="joint"))
    with pytest.raises(RunError, match="joint"):
        run(Place(tmp_path), small(), small(method="joint"), watch=watch)
    assert watch.trained == []


def test_data_that_are_missing_leave_no_folder(tmp_path):
    config = small().model_copy(update={"benchmark": "split-mnist"})
    machine = replace(config.machine, data_dir=str(tmp_path / "none"))
    with pytest.raises(DataError):
        run(Place(tmp_path / "runs"), config.model_copy(update={"machine": machine}))
    assert not (tmp_path / "runs").exists()


def test_a_damaged_result_is_an_error_with_the_hint(tmp_path):
    (summary,) = run(Place(tmp_path), small())
    summary.folder.seed(0).result.write_text("{")
    with pytest.raises(RunError, match="move it away and resume"):
        resume(summary.folder.path, Counter())
    summary.folder.seed(0).result.unlink()
    assert resume(summary.folder.path, Counter()).scenarios == summary.scenarios


def test_overwriting_with_the_same_configuration_begins_only_its_seeds_anew(tmp_path):
    watch = Counter()
    (first,) = run(Place(tmp_path), small(seeds=(0, 1, 2)), watch=watch)
    kept = first.folder.seed(2).result.read_bytes()
    (again,) = run(Place(tmp_path, overwrite=True), small(seeds=(0, 1)), watch=watch)
    assert [seed for _, seed in watch.trained] == [0, 1, 2, 0, 1]
    assert again.folder.seed(2).result.read_bytes() == kept
    assert again.scenarios == first.scenarios


def test_a_file_where_a_seed_goes_is_an_error_with_its_name(tmp_path):
    (tmp_path / "run").mkdir()
    with opened(tmp_path / "run", small(), overwrite=False):
        (tmp_path / "run" / "seed-0").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(RunError, match="seed-0"):
            run(Place(tmp_path, "run", overwrite), small())
    assert (tmp_path / "run" / "seed-0").read_text() == "mine"


def test_a_lost_diary_does_not_keep_a_run_from_going_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Place(tmp_path, "cut"), small(), watch=Counter(broken=0))
    (tmp_path / "cut/seed-0/metrics.jsonl").unlink()
    assert resume(tmp_path / "cut", Counter()).scenarios["task"]["acc"]["n"] == 1


def test_going_on_elsewhere_is_noted_and_warned_about(tmp_path, caplog):
    with pytest.raises(KeyboardInterrupt):
        run(Place(tmp_path, "cut"), small(), watch=Counter(broken=0))
    path = tmp_path / "cut/seed-0/environment.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"torch": "1.0", "device": "cuda"}))
    resume(tmp_path / "cut", Counter(), {"threads": 1})
    device, version = caplog.messages
    assert "seed-0: went on with device cpu where it had cuda" in device
    assert "where it had 1.0" in version
    noted = json.loads(path.read_text())
    assert noted["torch"] == "1.0"
    assert noted["continued"] == [stored]


def test_resuming_can_change_the_machine_within_its_bounds(tmp_path):
    run(Place(tmp_path, "a"), small())
    summary = resume(tmp_path / "a", Counter(), {"threads": 1, "device": "auto"})
    assert summary.folder.read_config().machine.device == "auto"
    with pytest.raises(ConfigError, match=r"machine\.threads"):
        resume(tmp_path / "a", Counter(), {"threads": 0})
