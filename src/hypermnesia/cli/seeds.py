"""Seeds as people write them: `0-2`, `0,3,5-7`."""

from __future__ import annotations

import re

from hypermnesia.errors import ConfigError

_PART = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")
_MOST = 100_000


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds that `text` names, in order and each once.

    Raises:
        ConfigError: it is neither a number, a range nor a list of them.
    """
    seeds: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise _wrong(text)
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 <= last - first < _MOST:
            raise _wrong(text)
        seeds.update(range(first, last + 1))
    return tuple(sorted(seeds))


def _wrong(text: str) -> ConfigError:
    return ConfigError(
        "seeds must be numbers and rising ranges",
        got=f"'{text}'",
        cure="write for example 0-2 or 0,3,5-7",
    )
