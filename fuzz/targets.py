"""Everything that reads what someone else may have made, as functions of bytes.

Each either takes them or refuses them by the error that it promises; anything else is a find.
`harness.py` has them fuzzed by atheris, `tests/test_fuzz.py` by hypothesis.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from hypermnesia.cli.options import parse_seeds
from hypermnesia.data.datasets import Split, read_idx, read_note, read_split
from hypermnesia.errors import ConfigError, DataError, RunError
from hypermnesia.experiments.config import ExperimentConfig, checksum, validated
from hypermnesia.experiments.resolve import Request, merged, parsed, resolve
from hypermnesia.experiments.results import read_result, read_weights
from hypermnesia.experiments.run_folder import RunFolder, SeedFolder
from hypermnesia.settings import load_plain
from hypermnesia.state_files import MANIFEST, TENSORS, unpack
from hypermnesia.storage import canonical, sealed
from hypermnesia.training.checkpoint import OtherFormatError, decode

Target = Callable[[bytes], None]
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
_RECORD = 1 + 3072


def _file(name: str, data: bytes) -> Path:
    path = _FOLDER / name
    path.write_bytes(data)
    return path


def idx(data: bytes) -> None:
    """An IDX file, compressed or not, whose checksum is right."""
    with contextlib.suppress(DataError):
        array = read_idx(_file("idx", data), hashlib.md5(data, usedforsecurity=False).hexdigest())
        assert array.numel() < len(data)


def cifar(data: bytes) -> None:
    """Records of CIFAR-10, as many as the file is long."""
    with contextlib.suppress(DataError):
        split = Split(("cifar",), max(1, len(data) // _RECORD), None)
        images, labels, _ = read_split([_file("cifar", data)], split, (10,))
        assert len(images) == len(labels) == split.records


def note(data: bytes) -> None:
    """The note of digests beside CIFAR's files."""
    with contextlib.suppress(DataError):
        read_note(_file("note", data))


def settings(data: bytes) -> None:
    """What follows `--set`."""
    with contextlib.suppress(ConfigError):
        parsed([data.decode("utf-8", "replace")])


def seeds(data: bytes) -> None:
    """What follows `--seeds`; short, as each range of it is made."""
    with contextlib.suppress(ConfigError):
        parse_seeds(data[:60].decode("utf-8", "replace"))


def config(data: bytes) -> None:
    """`config.yaml`, as it is and with a checksum that is right."""
    folder = RunFolder(_FOLDER)
    _file("config.yaml", data)
    with contextlib.suppress(RunError):
        folder.read_config()
    with contextlib.suppress(ValueError, TypeError):
        fields = load_plain(data.decode("utf-8", "replace"))
        if isinstance(fields, dict):
            fields.pop("checksum", None)
            text = json.dumps({**fields, "checksum": checksum(fields)})
            _file("config.yaml", text.encode())
            with contextlib.suppress(RunError):
                folder.read_config()


def fields(data: bytes) -> None:
    """The fields of a configuration, changed where the bytes say."""
    with contextlib.suppress(ValueError, RecursionError):
        changes = json.loads(data)
        if isinstance(changes, dict):
            validated(merged(_base().model_dump(mode="json"), changes))


@cache
def _base() -> ExperimentConfig:
    (found,) = resolve(Request("split-digits", ("hnet",)))
    return found


def manifest(data: bytes) -> None:
    """A checkpoint: a manifest up to the first zero byte, then its tensor file.

    As it is, and with both checksums made right.
    """
    head, _, tensors = data.partition(b"\0")
    for content in (head, _resealed(head, tensors)):
        _file(MANIFEST, content)
        _file(TENSORS, tensors)
        with contextlib.suppress(ValueError, OtherFormatError):
            decode(_FOLDER, "me")


def _resealed(head: bytes, tensors: bytes) -> bytes:
    try:
        body = json.loads(head)
        body["owner"] = "me"
        body["tensors"] = {
            "bytes": len(tensors),
            "sha256": hashlib.sha256(tensors).hexdigest(),
        }
        return canonical(sealed(body))
    except (ValueError, TypeError, RecursionError):
        return head


def tree(data: bytes) -> None:
    """The JSON tree of a state."""
    with contextlib.suppress(ValueError, RecursionError):
        unpack(json.loads(data), {})


def weights(data: bytes) -> None:
    """`weights.safetensors`, header and all."""
    with contextlib.suppress(RunError):
        read_weights(_file("weights.safetensors", data), None)


def result(data: bytes) -> None:
    """`result.json`, as it is and with a checksum that is right."""
    folder, base = SeedFolder(_FOLDER), _base()
    _file("result.json", data)
    with contextlib.suppress(RunError):
        read_result(folder, base, 0)
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        _file("result.json", json.dumps(sealed(json.loads(data))).encode())
        with contextlib.suppress(RunError):
            read_result(folder, base, 0)


TARGETS: dict[str, Target] = {
    function.__name__: function
    for function in (
        *(idx, cifar, note, settings, seeds, config, fields, manifest, tree, weights, result),
    )
}
