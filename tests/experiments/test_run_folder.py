import multiprocessing
import os
import threading

import pytest
import yaml
from small_config import small

from hypermnesia.errors import RunError
from hypermnesia.experiments.config import checksum
from hypermnesia.experiments.run_folder import RunFolder, opened


def test_a_new_folder_holds_the_configuration_that_began_it(tmp_path):
    config = small(seeds=(3, 1))
    with opened(tmp_path / "a" / "b", config, overwrite=False) as folder:
        assert folder.read_config() == config


def test_seeds_of_the_same_run_add_up(tmp_path):
    for seeds in ((0, 2), (1, 2)):
        with opened(tmp_path, small(seeds=seeds), overwrite=False):
            pass
    assert RunFolder(tmp_path).read_config().seeds == (0, 1, 2)


def test_another_configuration_is_refused_with_field_and_hint(tmp_path):
    with opened(tmp_path, small(), overwrite=False):
        pass
    other = small("optimizer.lr=0.5")
    with (
        pytest.raises(RunError, match=r"optimizer\.lr = 0\.5 here and 0\.001 there.*--overwrite"),
        opened(tmp_path, other, overwrite=False),
    ):
        pass


def test_overwriting_removes_the_results_of_the_run_and_nothing_else(tmp_path):
    with opened(tmp_path, small(), overwrite=False) as folder:
        folder.seed(0).path.mkdir()
        folder.seed(0).result.write_text("{}")
        (tmp_path / "notes.txt").write_text("mine")
        for name in ("seed-notes", "seed-01", "seed-1b"):
            (tmp_path / name).mkdir()
    with opened(tmp_path, small("optimizer.lr=0.5"), overwrite=True) as folder:
        assert not folder.seed(0).path.exists()
        assert folder.read_config().optimizer.lr == 0.5
    assert (tmp_path / "notes.txt").read_text() == "mine"
    for name in ("seed-notes", "seed-01", "seed-1b"):
        assert (tmp_path / name).is_dir()


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_that_is_no_run_is_never_touched(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("mine")
    with (
        pytest.raises(RunError, match="new or empty"),
        opened(tmp_path, small(), overwrite=overwrite),
    ):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_somebody_elses_configuration_is_no_run(tmp_path):
    (tmp_path / "config.yaml").write_text("mine: 1")
    (tmp_path / "seed-0").mkdir()
    with (
        pytest.raises(RunError, match="new or empty"),
        opened(tmp_path, small(), overwrite=True),
    ):
        pass
    assert (tmp_path / "config.yaml").read_text() == "mine: 1"
    assert (tmp_path / "seed-0").is_dir()


def test_a_process_killed_before_the_configuration_was_written_is_no_obstacle(tmp_path):
    (tmp_path / ".writing-config.yaml").write_text("half")
    with opened(tmp_path, small(), overwrite=False) as folder:
        assert folder.read_config() == small()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("batch_size: 128", "batch_size: 64"),
        ("batch_size: 128", "batch_size: 0"),
        ("batch_size: 128", "batchsize: 128"),
        ("checksum:", "chcksum:"),
        ("batch_size: 128", "batch_size: 2026-11-22"),
        ("format: 2", "1: 1"),
        ("benchmark:", "benchmark: ["),
        ("benchmark: split-digits", "benchmark: !!python/name:os.system"),
        ("method: finetune", "method: nothing"),
        ("seeds:", "\x00"),
    ],
)
def test_an_edited_configuration_is_refused(tmp_path, old, new):
    with opened(tmp_path, small(), overwrite=False) as folder:
        text = folder.config.read_text()
    assert old in text
    folder.config.write_text(text.replace(old, new))
    with pytest.raises(RunError) as caught:
        folder.read_config()
    assert "\n" not in str(caught.value)


def test_a_field_that_the_stored_run_never_knew_has_its_default(tmp_path):
    with opened(tmp_path, small(), overwrite=False) as folder:
        stored = yaml.safe_load(folder.config.read_text())
    del stored["checksum"], stored["target"]["dropout"]
    stored["checksum"] = checksum(stored)
    folder.config.write_text(yaml.safe_dump(stored))
    assert folder.read_config() == small()
    with opened(tmp_path, small(seeds=(5,)), overwrite=False) as folder:
        assert folder.read_config().seeds == (0, 5)


def test_a_run_of_a_later_version_is_not_called_edited(tmp_path):
    with opened(tmp_path, small(), overwrite=False) as folder:
        stored = yaml.safe_load(folder.config.read_text())
    del stored["checksum"]
    stored["target"]["added"] = 1
    stored["checksum"] = checksum(stored)
    folder.config.write_text(yaml.safe_dump(stored))
    with pytest.raises(RunError, match=r"target\.added.*version that began it"):
        folder.read_config()


def test_a_file_in_the_way_is_an_error_with_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunError, match="file/run"),
        opened(tmp_path / "file" / "run", small(), overwrite=False),
    ):
        pass


def _hold_and_die(path, ready):
    with opened(path, small(), overwrite=False):
        ready.set()
        os.kill(os.getpid(), 9)


@pytest.mark.parametrize("assignments", [(), ("optimizer.lr=0.5",)])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_second_process_at_a_seed_is_refused(tmp_path, overwrite, assignments):
    with (
        opened(tmp_path, small(seeds=(1, 2)), overwrite=False),
        pytest.raises(RunError, match=r"training of seed [12] serves one process at a time"),
        opened(tmp_path, small(*assignments, seeds=(0, 2)), overwrite=overwrite),
    ):
        pass


def test_processes_train_the_seeds_of_a_run_side_by_side(tmp_path):
    with (
        opened(tmp_path, small(seeds=(0,)), overwrite=False) as folder,
        opened(tmp_path, small(seeds=(1,)), overwrite=False),
        opened(tmp_path, small(seeds=(2,)), overwrite=True),
    ):
        assert folder.read_config().seeds == (0, 1, 2)


def test_a_run_of_which_another_process_trains_a_seed_is_not_replaced(tmp_path):
    with (
        opened(tmp_path, small(seeds=(3,)), overwrite=False) as folder,
        pytest.raises(RunError, match="training of seed 3"),
        opened(tmp_path, small("optimizer.lr=0.5"), overwrite=True),
    ):
        pass
    assert folder.read_config() == small(seeds=(3,))


def test_a_finished_seed_is_nobodys(tmp_path):
    with opened(tmp_path, small(seeds=(0, 1)), overwrite=False) as folder:
        folder.seed(0).path.mkdir()
        folder.seed(0).result.write_text("{}")
        with opened(tmp_path, small(seeds=(0,)), overwrite=False):
            pass


def test_what_is_written_for_the_whole_run_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("hypermnesia.experiments.run_folder._PATIENCE", 0.1)
    with opened(tmp_path, small(seeds=(0,)), overwrite=False) as folder:
        hold = folder.locked()
        hold.__enter__()
        release = threading.Timer(0.05, hold.__exit__, (None, None, None))
        release.start()
        with folder.locked():
            release.join()
            with pytest.raises(RunError, match="a run folder serves one"), folder.locked():
                pass


def test_a_dead_process_keeps_no_lock(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold_and_die, args=(tmp_path, ready))
    process.start()
    process.join(60)
    assert process.exitcode == -9
    assert ready.is_set()
    with opened(tmp_path, small(), overwrite=False) as folder:
        assert folder.read_config() == small()


def test_a_configuration_that_unfolds_without_end_is_refused_unread(tmp_path):
    levels = (f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]" for i in range(6))
    bomb = "\n".join(["a0: &a0 x", *levels, "checksum: x"])
    (tmp_path / "config.yaml").write_text(bomb)
    with pytest.raises(RunError, match="got a file that is not plain YAML"):
        RunFolder(tmp_path).read_config()


@pytest.mark.parametrize("text", ["# " + "x" * 2**21, "a: " + "[" * 5000])
def test_a_configuration_too_long_or_too_deep_is_one_line(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(RunError) as caught:
        RunFolder(tmp_path).read_config()
    assert "\n" not in str(caught.value)
