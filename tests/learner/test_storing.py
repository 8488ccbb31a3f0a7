"""A learner through a folder: the same answers, bit by bit, and nothing that is no learner."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import getitem
from pathlib import Path

import numpy as np
import pytest
import torch
from learners import clouds, held, learner, mlp, same, words
from torch import nn

from hypermnesia import ContinualLearner
from hypermnesia.errors import RunError
from hypermnesia.learner import persistence as storing
from hypermnesia.state_files import MANIFEST, TENSORS, decode_state, encode_state


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[ContinualLearner, Path]:
    made, path = learner("likelihood", iterations=5), tmp_path_factory.mktemp("saved") / "learner"
    made.save(path)
    return made, path


@pytest.mark.parametrize("way", [None, "likelihood", "entropy"])
def test_the_same_answers_and_the_same_future(way, tmp_path) -> None:
    made = learner(way, iterations=5)
    made.save(tmp_path / "one")
    again = ContinualLearner.load(tmp_path / "one", mlp())
    assert same(held(made), held(again))
    assert again.tasks == made.tasks
    assert again.summary() == made.summary()
    assert again.settings == made.settings
    for each in (made, again):
        each.fit(*clouds(2), task="c")
        each.fit(clouds(3)[0], words(clouds(3)[1]), task="a")
    assert same(held(made), held(again))


def test_labels_and_names_come_back(tmp_path) -> None:
    settings = {"iterations": 1, "generated": ["0.*", "4.*"]}
    made = ContinualLearner(mlp(), None, problem="classification", **settings)
    x, y = clouds(0)
    kinds = [[("a", 1), ("b", 2)], [False, True], ["ä", "\x00"], [1.5, 2.5], [7, 9]]
    for task, labels in enumerate(kinds):
        made.fit(x, [labels[each] for each in y], task=task)
    made.save(tmp_path / "kinds")
    again = ContinualLearner.load(tmp_path / "kinds", mlp())
    assert again.tasks == [0, 1, 2, 3, 4]
    assert again.settings == made.settings
    for task, labels in enumerate(kinds):
        assert again.classes(task).tolist() == sorted(labels)
        assert again.predict(x, task).tolist() == made.predict(x, task).tolist()


def test_a_new_task_starts_with_the_buffers_of_the_first_model(tmp_path) -> None:
    model = mlp()
    model[1].running_mean += 1
    made = ContinualLearner(model, None, iterations=1).fit(*clouds(0), task="a")
    made.save(tmp_path / "one")
    again = ContinualLearner.load(tmp_path / "one", mlp())
    for each in (made, again):
        each.fit(*clouds(1), task="b")
    assert same(held(made), held(again))


def test_frozen_layers_are_shared_and_kept(tmp_path) -> None:
    """As of a pretrained backbone: the hypernetwork makes the rest."""
    model = mlp()
    model[0].requires_grad_(False)
    made = ContinualLearner(model, None, iterations=20, start="scratch")
    made.fit(*clouds(0), task="a").fit(*clouds(1), task="b").save(tmp_path / "one")
    for task in made.tasks:
        assert torch.equal(made.export(task)[0].weight, model[0].weight)
    other = mlp()
    other[0].requires_grad_(False).weight.zero_()
    again = ContinualLearner.load(tmp_path / "one", other)
    assert same(held(made), held(again))
    with pytest.raises(RunError, match=r"'0.weight' \[12, 6\] learned, where it had .* frozen"):
        ContinualLearner.load(tmp_path / "one", mlp())


def _no_room(path: Path, files: object) -> None:
    raise OSError(28, "No space left on device", str(path))


def test_nothing_is_overwritten_untold(saved, tmp_path, monkeypatch) -> None:
    made, path = saved
    before = (path / MANIFEST).read_bytes()
    with pytest.raises(RunError, match="overwrite=True"):
        learner(iterations=1).save(path)
    assert (path / MANIFEST).read_bytes() == before
    other = tmp_path / "mine"
    other.mkdir()
    (other / "file").write_text("precious")
    with pytest.raises(RunError, match="only a learner is overwritten"):
        made.save(other, overwrite=True)
    assert (other / "file").read_text() == "precious"
    copy = tmp_path / "copy"
    made.save(copy)
    (copy / "notes").write_text("precious")
    with pytest.raises(RunError, match=r"another file too.*notes"):
        made.save(copy, overwrite=True)
    (copy / "notes").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(storing, "write_folder", _no_room)
        with pytest.raises(RunError, match="No space left"):
            learner(iterations=1).save(copy, overwrite=True)
    assert ContinualLearner.load(copy, mlp()).settings.infer_task == "likelihood"
    learner(iterations=1).save(copy, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "mine"]
    assert ContinualLearner.load(copy, mlp()).settings.infer_task is None


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_save_cut_off_loses_nothing(saved, tmp_path, monkeypatch, overwrite) -> None:
    copy = tmp_path / "copy"
    saved[0].save(copy)
    rename = Path.rename

    def cut_off(self: Path, target: Path) -> Path:
        if self.name.startswith(".new-"):
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", cut_off)
        with pytest.raises(KeyboardInterrupt):
            learner(iterations=1).save(copy, overwrite=True)
    assert not copy.exists()
    if overwrite:
        learner(iterations=1).save(copy, overwrite=True)
        assert ContinualLearner.load(copy, mlp()).settings.infer_task is None
    else:
        with pytest.raises(RunError, match="overwrite=True"):
            learner(iterations=1).save(copy)
        assert ContinualLearner.load(copy, mlp()).settings.infer_task == "likelihood"


def test_a_link_is_followed_and_stays(saved, tmp_path) -> None:
    (tmp_path / "link").symlink_to("real")
    for _ in range(2):
        saved[0].save(tmp_path / "link", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]
    assert (tmp_path / "link").is_symlink()


def test_savers_side_by_side_lose_nothing(saved, tmp_path) -> None:
    def save(name: str) -> None:
        for _ in range(15):
            saved[0].save(tmp_path / name, overwrite=True)
            ContinualLearner.load(tmp_path / name, mlp())

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(save, ["one", "other", "one"]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]


def test_it_holds_no_pickle(saved) -> None:
    _, path = saved
    assert sorted(file.name for file in path.iterdir()) == [MANIFEST, TENSORS]
    fields = json.loads((path / MANIFEST).read_text())
    assert fields["format"] == 4
    assert [task["name"] for task in fields["tasks"]] == ["a", "b"]


OTHERS = {
    "wider": mlp(inputs=7),
    "other layer": nn.Sequential(
        nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Dropout(0.1), nn.Linear(12, 2)
    ),
    "shorter": nn.Sequential(*list(mlp())[:-1]),
}


@pytest.mark.parametrize("model", OTHERS.values(), ids=OTHERS)
def test_another_model_is_refused(saved, model) -> None:
    with pytest.raises(RunError, match=r"of another model.*as it was when the learner was saved"):
        ContinualLearner.load(saved[1], model)


def forged(path: Path, tmp_path: Path, **changes: object) -> Path:
    """A copy with other fields, whole as far as checksums tell."""
    fields, state = decode_state(path, lambda _: None)
    other = tmp_path / "forged"
    other.mkdir()
    for name, content in encode_state({**fields, **changes}, state).items():
        (other / name).write_bytes(content)
    return other


@pytest.mark.parametrize(
    ("changes", "got"),
    [
        ({"format": 2}, "format version 2 is older than 4"),
        ({"format": 5}, "format version 5 is newer than 4"),
        ({"format": "one"}, "TypeError"),
        ({"kind": "something"}, "not that of a learner"),
        ({"settings": {"lr": "fast"}}, "settings"),
        ({"settings": {"lr": -1.0}}, "lr must be above 0|settings"),
        ({"design": None}, "design"),
        ({"tasks": [{"name": "a"}]}, "KeyError"),
        ({"tasks": 3}, "TypeError"),
        ({"tasks": []}, "another number of tasks"),
    ],
    ids=str,
)
def test_what_this_version_cannot_read(saved, tmp_path, changes, got) -> None:
    with pytest.raises(RunError, match=got):
        ContinualLearner.load(forged(saved[1], tmp_path, **changes), mlp())


@pytest.mark.parametrize("size", [-1, 10**7, 10**12])
@pytest.mark.parametrize(
    "path",
    [
        *(("hypernet", name) for name in ("chunk", "chunk_embedding", "task_embedding", "hidden")),
        ("autoencoder", "sample_shape"),
        ("autoencoder", "hypernet", "chunk"),
        *(("autoencoder", "vae", name) for name in ("encoder", "decoder", "latent")),
    ],
    ids="-".join,
)
def test_sizes_that_no_tensors_are_there_for_make_nothing(
    saved, tmp_path, monkeypatch, path, size
) -> None:
    design = decode_state(saved[1], lambda _: None)[0]["design"]
    *way, last = path
    owner = reduce(getitem, way, design)
    owner[last] = [size] if isinstance(owner[last], list) else size
    folder = forged(saved[1], tmp_path, design=design)
    monkeypatch.setattr(storing, "Knowledge", None)  # calling it would be a TypeError
    with pytest.raises(
        RunError, match=r"must hold a learner .*(ValueError|RuntimeError|ValidationError)"
    ):
        ContinualLearner.load(folder, mlp())


@pytest.mark.parametrize("name", [MANIFEST, TENSORS])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_file_is_refused(saved, tmp_path, name, damage) -> None:
    path = forged(saved[1], tmp_path)
    content = bytearray((path / name).read_bytes())
    if damage == "gone":
        (path / name).unlink()
    else:
        content[len(content) // 2] ^= 1
        (path / name).write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    with pytest.raises(RunError, match="restore it from a copy"):
        ContinualLearner.load(path, mlp())


def test_no_learner_there(tmp_path) -> None:
    with pytest.raises(RunError, match="No such file"):
        ContinualLearner.load(tmp_path / "nowhere", mlp())


def test_parameters_of_the_model_given_do_not_matter(saved) -> None:
    made, path = saved
    other = mlp()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert np.array_equal(
        ContinualLearner.load(path, other).predict_proba(clouds(0)[0], "a"),
        made.predict_proba(clouds(0)[0], "a"),
    )
