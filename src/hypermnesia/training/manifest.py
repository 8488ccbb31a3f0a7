"""A checkpoint as files: a state that tells its format version, its owner and its step."""

from __future__ import annotations

from pathlib import Path

from hypermnesia.methods.base import State
from hypermnesia.training.state_files import (
    MANIFEST,
    TENSORS,
    Fields,
    decode_state,
    encode_state,
)

__all__ = ["FORMAT", "MANIFEST", "TENSORS", "OtherFormatError", "decode", "encode"]

FORMAT = 2
"""Version of the format; 1 knew one accuracy matrix, not one for each scenario."""


def encode(step: int, state: State, owner: str) -> dict[str, bytes]:
    """The files of a checkpoint, by name."""
    return encode_state({"format": FORMAT, "owner": owner, "step": step}, state)


def decode(folder: Path, owner: str | None) -> tuple[int, State]:
    """The step and the state that `folder` holds, of `owner` or, for None, of anyone.

    Raises:
        OtherFormatError: it is whole, but of a format version that this one does not read.
        ValueError: a file is missing, damaged or of another owner.
    """

    def accept(fields: Fields) -> None:
        _check_format(fields["format"])
        if owner not in (None, fields["owner"]):
            raise ValueError("it belongs to another run or configuration")
        if not isinstance(fields["step"], int):
            raise ValueError("its step is no number")

    fields, state = decode_state(folder, accept)
    return fields["step"], state


class OtherFormatError(Exception):
    """A checkpoint that is whole, and of another version of Hypermnesia."""


def _check_format(version: object) -> None:
    # Checksum and version stay where they are in every format, so that any of them is known.
    if isinstance(version, int) and version != FORMAT:
        age = "an earlier" if version < FORMAT else "a later"
        raise OtherFormatError(f"format {version}, of {age} version, where {FORMAT} is read")
    if version != FORMAT:
        raise ValueError(f"{MANIFEST} is damaged")
