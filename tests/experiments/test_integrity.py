"""What `check` says of a run folder that is whole, damaged, or not finished."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import yaml
from small_config import small

from hypermnesia.errors import ConfigError, RunError
from hypermnesia.experiments.config import checksum
from hypermnesia.experiments.results import read_fields, read_weights
from hypermnesia.experiments.run import Place, resume, run_all
from hypermnesia.experiments.run_folder import opened
from hypermnesia.experiments.verify import Finding, check_run, run_folders
from hypermnesia.storage import sealed, unsealed
from hypermnesia.testing import same_state
from hypermnesia.training import CheckpointStore
from hypermnesia.training.observers import Observer


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A finished run with two seeds."""
    place = Place(tmp_path_factory.mktemp("runs"), "run")
    run_all([small(seeds=(0, 1))], place, lambda config, seed: Observer())
    return place.out / "run"


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def told(findings: list[Finding], verdict: str) -> dict[str, str]:
    return {str(f.path): f.remark for f in findings if f.verdict == verdict}


STORED = {
    "config.yaml",
    "environment.json",
    "summary.json",
    "accuracy_matrix_task.csv",
    *(
        f"seed-{seed}/{name}"
        for seed in (0, 1)
        for name in (
            "result.json",
            "weights.safetensors",
            "metrics.jsonl",
            "accuracy_matrix_task.csv",
            "environment.json",
            "checkpoints/step-000000000003",
            "checkpoints/step-000000000006",
        )
    ),
}


def test_a_whole_run_is_good_and_left_as_it_is(run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    findings = check_run(run)
    assert {str(f.path) for f in findings if f.verdict == "good"} == STORED
    assert len(findings) == len(STORED)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def flip(path: Path, generator: random.Random) -> None:
    content = bytearray(path.read_bytes())
    bit = generator.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def same(path: Path, other: Path) -> bool:
    """Whether two files read the same: `null` and `Null` do."""
    try:
        read = yaml.safe_load if path.suffix == ".yaml" else json.loads
        return read(path.read_text()) == read(other.read_text())
    except (ValueError, yaml.YAMLError):
        return False


CHECKED = sorted(
    STORED - {"environment.json", "seed-0/environment.json", "seed-1/environment.json"}
)


@pytest.mark.parametrize("name", CHECKED)
def test_a_flipped_bit_is_found_and_the_rest_is_still_good(
    run: Path, whole: Path, name: str
) -> None:
    generator = random.Random(name)  # noqa: S311
    path = run / name
    if path.is_dir():
        path = path / generator.choice(["tensors.safetensors", "state.json"])
    original = path.read_bytes()
    for _ in range(5):
        flip(path, generator)
        findings = check_run(run)
        damaged = told(findings, "damaged")
        assert name in damaged or same(path, whole / path.relative_to(run))
        others = {n for n in damaged if n != name}
        assert not others
        path.write_bytes(original)
    assert not told(check_run(run), "damaged")


@pytest.mark.parametrize("name", CHECKED)
def test_what_is_missing_is_found(run: Path, name: str) -> None:
    path = run / name
    if path.is_dir():
        (path / "state.json").unlink()
    else:
        path.unlink()
    findings = check_run(run)
    good = {str(f.path) for f in findings if f.verdict == "good"}
    assert name not in good
    assert "seed-1/weights.safetensors" in good or "seed-1" in name


def test_without_its_configuration_the_seeds_are_still_checked(run: Path) -> None:
    (run / "config.yaml").write_text("a: 1\n")
    findings = check_run(run)
    assert told(findings, "damaged").keys() == {"config.yaml"}
    assert "seed-1/result.json" in told(findings, "good")
    assert "seed-1/weights.safetensors" in told(findings, "good")
    (run / "seed-1/weights.safetensors").write_bytes(b"")
    assert "seed-1/weights.safetensors" in told(check_run(run), "damaged")


def test_what_it_says_to_do_mends_it(run: Path, whole: Path) -> None:
    (run / "seed-1/weights.safetensors").write_bytes(b"short")
    for file in ("accuracy_matrix_task.csv", "seed-0/accuracy_matrix_task.csv"):
        (run / file).write_text("")
    result = (run / "seed-0/result.json").read_bytes()
    remarks = told(check_run(run), "damaged")
    assert "move result.json beside it away and resume" in remarks["seed-1/weights.safetensors"]
    for file in ("accuracy_matrix_task.csv", "seed-0/accuracy_matrix_task.csv"):
        assert "resume writes it anew" in remarks[file]
    (run / "seed-1/result.json").unlink()
    resume(run, lambda config, seed: Observer())
    assert not told(check_run(run), "damaged")
    name = "seed-1/weights.safetensors"
    assert (run / name).read_bytes() == (whole / name).read_bytes()
    assert (run / "seed-0/result.json").read_bytes() == result


def test_an_unfinished_seed_says_where_it_goes_on(run: Path) -> None:
    (run / "seed-0/result.json").unlink()
    shutil.rmtree(run / "seed-1")
    findings = check_run(run)
    remarks = told(findings, "unfinished")
    assert remarks["seed-0"] == "resume goes on from iteration 6"
    assert remarks["seed-1"] == "resume begins it anew"
    for name in ("000000000003", "000000000006"):
        (run / f"seed-0/checkpoints/step-{name}/state.json").write_text("{}")
    assert "restore one, or delete them" in told(check_run(run), "unfinished")["seed-0"]


def test_a_checkpoint_of_another_version_is_left_to_that(run: Path) -> None:
    (run / "seed-0/result.json").unlink()
    name = "seed-0/checkpoints/step-000000000006"
    fields = unsealed(json.loads((run / name / "state.json").read_text()))
    (run / name / "state.json").write_text(json.dumps(sealed(fields | {"format": 5})))
    findings = check_run(run)
    assert not told(findings, "damaged")
    assert "resume with the version of Hypermnesia" in told(findings, "unverified")[name]
    assert "resume with the version of Hypermnesia" in told(findings, "unfinished")["seed-0"]


def test_a_summary_of_fewer_seeds_is_old_and_one_of_none_to_come(run: Path) -> None:
    with opened(run, small(seeds=(0, 1)), overwrite=False) as folder:
        shutil.copytree(folder.seed(1).path, folder.path / "seed-2")
    assert "seed-2/result.json" in told(check_run(run), "damaged")  # it is seed 1's
    shutil.rmtree(run / "seed-2")
    (run / "seed-1/result.json").unlink()
    assert told(check_run(run), "unverified").keys() == {"summary.json"}
    (run / "summary.json").unlink()
    assert told(check_run(run), "unfinished")["summary.json"] == "resume writes it anew"


def test_a_summary_of_a_seed_that_is_not_there_is_damaged(run: Path) -> None:
    path = run / "summary.json"
    fields = json.loads(path.read_text())
    values = fields["compression"]["values"]
    values["7"] = values.pop("1")
    path.write_text(json.dumps(fields))
    assert told(check_run(run), "damaged").keys() == {"summary.json"}


def test_a_run_that_cannot_be_read_further_is_damaged(run: Path) -> None:
    shutil.rmtree(run / "seed-0/checkpoints")
    (run / "seed-0/checkpoints").write_text("mine")
    assert "Not a directory" in told(check_run(run), "damaged")["."]


@pytest.mark.parametrize("files", [None, [], {"weights.safetensors": 3}])
def test_a_result_without_notes_of_its_files_is_damaged(run: Path, files: object) -> None:
    path = run / "seed-0/result.json"
    fields = unsealed(json.loads(path.read_text()))
    del fields["files"]
    path.write_text(json.dumps(sealed(fields | ({} if files is None else {"files": files}))))
    assert "move it away and resume" in told(check_run(run), "damaged")["seed-0/result.json"]


def test_a_swapped_checkpoint_and_a_link_are_damage(run: Path) -> None:
    name = "checkpoints/step-000000000006"
    shutil.rmtree(run / "seed-0" / name)
    shutil.copytree(run / "seed-1" / name, run / "seed-0" / name)
    (run / "seed-1" / "more").symlink_to("/etc")
    damaged = told(check_run(run), "damaged")
    assert "another run or configuration" in damaged[f"seed-0/{name}"]
    assert "a link" in damaged["seed-1/more"]


def test_what_was_written_before_checksums_is_unverified(run: Path) -> None:
    path = run / "seed-0/result.json"
    fields = unsealed(json.loads(path.read_text()))
    path.write_text(json.dumps({k: v for k, v in fields.items() if k not in ("format", "files")}))
    findings = check_run(run)
    assert not told(findings, "damaged")
    assert told(findings, "unverified").keys() == {
        f"seed-0/{name}"
        for name in ("weights.safetensors", "metrics.jsonl", "accuracy_matrix_task.csv")
    }
    (run / "seed-0/weights.safetensors").write_bytes(b"short")
    assert "seed-0/weights.safetensors" in told(check_run(run), "damaged")


def test_a_configuration_of_a_later_format_is_refused(run: Path) -> None:
    fields = yaml.safe_load((run / "config.yaml").read_text())
    del fields["checksum"]
    fields["format"] = 3
    fields["checksum"] = checksum(fields)
    (run / "config.yaml").write_text(yaml.safe_dump(fields))
    assert "version that began it" in told(check_run(run), "damaged")["config.yaml"]


def test_weights_are_compared_with_their_checksum_when_loaded(run: Path) -> None:
    with opened(run, small(seeds=(0, 1)), overwrite=False) as folder:
        seed = folder.seed(0)
    noted = read_fields(seed)["files"]["weights.safetensors"]
    state = read_weights(seed.weights, noted)
    newest = CheckpointStore(seed.checkpoints, json.loads(seed.result.read_text())["owner"])
    found = newest.load_newest()
    assert found is not None
    assert same_state(state, found.state["method"])
    content = bytearray(seed.weights.read_bytes())
    content[-1] ^= 1
    seed.weights.write_bytes(content)
    with pytest.raises(RunError, match=r"checksum is wrong; restore it; or move .*result"):
        read_weights(seed.weights, noted)
    read_weights(seed.weights, None)


def test_run_folders_are_found_where_they_are(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "tune" / "method" / "abc")
    (tmp_path / "table1.md").write_text("")
    assert run_folders(run) == [run]
    assert run_folders(tmp_path) == [run, tmp_path / "tune" / "method" / "abc"]
    for nothing in (tmp_path / "none", tmp_path / "table1.md", run / "seed-0"):
        with pytest.raises(ConfigError, match="run folders"):
            run_folders(nothing)
