import json
import os
import re
import signal
import threading
import time
from dataclasses import replace

import pytest

from hypermnesia.cli import main
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.compare import Question, carry_out, filled, plan
from hypermnesia.experiments.early_stopping import Halving, train_halving
from hypermnesia.experiments.launch import LAUNCHERS, Job
from hypermnesia.experiments.launch_ray import cluster
from hypermnesia.experiments.launch_ray import run_jobs as run_ray
from hypermnesia.experiments.run import Place, resume
from hypermnesia.experiments.run_folder import RunFolder, opened
from hypermnesia.training.checkpoint import steps_in
from hypermnesia.training.observers import Observer

pytest.importorskip("ray", reason="needs the extra ray")


@pytest.fixture(scope="module")
def nodes():
    """Two nodes of one CPU each, to which this process is connected."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def question(launcher, *assignments, seeds=(0, 1, 2)):
    short = ("train.iterations=3", "data.tasks=2", f"machine.launcher={launcher}", *assignments)
    names = {"benchmarks": ("split-digits",), "methods": ("finetune", "ewc")}
    return Question(**names, scenarios=("domain", "class"), seeds=seeds, assignments=short)


def weights(out):
    found = sorted(out.glob("*/seed-*/weights.safetensors"))
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def run_here(jobs, workers, say):
    """As a local process does."""
    for job in jobs:
        resume(job.folder, lambda config, seed: Observer(), {"threads": 1}, (job.seed,))
    return {}


def test_figures_on_two_nodes_are_those_of_local_trainings_bit_for_bit(
    nodes, tmp_path, monkeypatch
):
    monkeypatch.setitem(LAUNCHERS._entries, "local", run_here)
    said, figures = [], []
    for launcher in ("ray", "local"):
        cells = plan(question(launcher))
        assert carry_out(cells, tmp_path / launcher, 2, said.append) == {}
        found = filled(cells, tmp_path / launcher)
        assert [cell.over_seeds().n for cell in found] == [3, 3, 3, 3]
        figures.append([cell.figures for cell in found])
    assert repr(figures[0]) == repr(figures[1])
    remote, local = weights(tmp_path / "ray"), weights(tmp_path / "local")
    assert len(remote) == 12
    assert remote == local
    assert sum("process" in line for line in said) == 12
    for path in RunFolder(tmp_path / "ray/split-digits_ewc_class").path.glob("seed-*"):
        assert path.name in ("seed-0", "seed-1", "seed-2")
        assert len([*path.glob("checkpoints/*")]) in (1, 2)
    assert main(["check", str(tmp_path / "ray/split-digits_ewc_class")]) == 0


def test_a_killed_worker_loses_nothing(nodes, tmp_path):
    long = ("train.iterations=800", "train.checkpoint_seconds=0.05")
    cells = plan(question("ray", *long, seeds=(0,)))[:1]
    folder = Place(tmp_path).folder(cells[0].config)
    checkpoints, said = folder / "seed-0/checkpoints", []

    def kill():
        while not any(steps_in(checkpoints)):
            time.sleep(0.01)
        (line,) = (line for line in said if "process" in line)
        os.kill(int(line.rpartition(" ")[2]), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    assert carry_out(cells, tmp_path, 2, said.append) == {}
    thread.join()
    assert any("goes on from its last checkpoint" in line for line in said)
    (resumed,) = (line for line in said if "resumed at iteration" in line)
    assert int(re.search(r"iteration (\d+)", resumed)[1]) > 0
    here = tmp_path / "here" / folder.name
    with opened(here, cells[0].config, overwrite=False):
        pass
    run_here([Job(here, 0)], 1, print)
    assert weights(here.parent) == weights(tmp_path) | weights(here.parent)
    logs = [path / "seed-0/metrics.jsonl" for path in (folder, here)]
    assert logs[0].read_bytes() == logs[1].read_bytes()


def test_a_failure_is_told_and_stops_no_other(nodes, tmp_path):
    cells = plan(question("ray", seeds=(0, 1)))[:1]
    folder = Place(tmp_path).folder(cells[0].config)
    bad = folder / "seed-0/checkpoints/step-000000000001"
    bad.mkdir(parents=True)
    (bad / "state.json").write_text("{")
    with opened(tmp_path / "x", cells[0].config, overwrite=False):
        (folder / "config.yaml").write_bytes((tmp_path / "x/config.yaml").read_bytes())
    with RunFolder(folder).claimed(1):
        failed = run_ray([Job(folder, 0), Job(folder, 1)], 2, lambda line: None)
    assert "checkpoint of its own that is whole" in failed[Job(folder, 0)]
    assert "serves one process at a time" in failed[Job(folder, 1)]


def test_a_point_of_a_grid_that_looks_worse_is_stopped_and_is_not_the_best(nodes, tmp_path, capsys):
    grid = ["--grid", "optimizer.lr=1e-3,1e-9", "--validation", "20", "--seeds", "100,101"]
    short = ["--set", "train.iterations=250", "--set", "train.checkpoint_seconds=0.05"]
    command = ["tune", "split-digits", "--method", "finetune", *grid, *short]
    ray = ["--launcher", "ray", "--early-stopping", "--jobs", "1", "--out", str(tmp_path)]
    assert main([*command, *ray]) == 0
    shown = capsys.readouterr()
    (stopped,) = (line for line in shown.out.splitlines() if "1e-9" in line)
    assert "stopped early, after task 2 of 5" in stopped
    assert "best: --set optimizer.lr=1e-3" in shown.out
    assert "seed 101" in shown.err
    assert len([*tmp_path.glob("*/*/seed-*/result.json")]) == 2  # both seeds of the other point


def wrote(folder, figures, kind="accuracy"):
    lines = [
        {"kind": "evaluation", "task": task, "scenario": "task", kind: [figure]}
        for task, figure in enumerate(figures)
    ]
    log = folder / "seed-0/metrics.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Job(folder, 0)


def test_points_are_compared_after_as_many_tasks(tmp_path):
    judge = Halving(9, "task")
    good = wrote(tmp_path / "good", [90, 80])
    assert judge(good) is None
    assert judge(wrote(tmp_path / "late", [10])) is None  # the first look is after two tasks
    assert judge(wrote(tmp_path / "late", [10, 79])) == "stopped early, after task 2 of 9"
    assert judge(wrote(tmp_path / "better", [10, 81])) is None
    assert judge(wrote(tmp_path / "better", [10, 81, *[1] * 7])) is None  # alone at the next look
    assert judge(wrote(tmp_path / "good", [90, 80, 1, 1, 1, 0])) == (
        "stopped early, after task 6 of 9"
    )
    errors = Halving(9, "task")
    assert errors(wrote(tmp_path / "less", [1, 2], "mse")) is None
    assert errors(wrote(tmp_path / "more", [1, 3], "mse")) is not None
    with pytest.raises(ConfigError, match="needs more of them; got 2 tasks"):
        Halving(2, "task")
    seldom = plan(question("ray", seeds=(0,)))[0].config
    train = replace(seldom.train, evaluate_every=2)
    with pytest.raises(ConfigError, match=r"after every task; got train\.evaluate_every=2"):
        train_halving({tmp_path: seldom.model_copy(update={"train": train})}, "task", 1, print)


def test_options_that_need_a_cluster_are_refused_without(monkeypatch, capsys):
    command = ["tune", "split-digits", "--grid", "optimizer.lr=1,2", "--validation", "9"]
    assert main([*command, "--early-stopping"]) == 2
    assert "add --launcher ray" in capsys.readouterr().err
    assert main(["compare", "split-digits", "--address", "x:1"]) == 2
    assert "add --launcher ray" in capsys.readouterr().err
    monkeypatch.setenv("RAY_ADDRESS", "ray://x:1")
    with pytest.raises(ConfigError, match="HOST:PORT; got ray://x:1"), cluster():
        pass
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:1: .*refused; join it"), cluster():
        pass
    assert main([*command, "--jobs", "2"]) == 2
    assert "add --launcher local, or ray" in capsys.readouterr().err
