"""Names to things, with a suggestion for a name that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from hypermnesia.errors import ConfigError

T = TypeVar("T")


def unknown_name(kind: str, name: object, known: Iterable[str]) -> ConfigError:
    """The error for a `name` that is not among the `known` ones, with "did you mean".

    Example:
        >>> from hypermnesia.registry import unknown_name
        >>> print(unknown_name("method", "hnt", ["hnet", "joint"]))
        the method must be one that exists; got 'hnt'; did you mean 'hnet'?
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"choose one of: {', '.join(names)}"
    return ConfigError(f"the {kind} must be one that exists", got=f"'{name}'", cure=hint)


class Registry(Generic[T]):
    """Things of one kind by name, in the order in which they were added."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> T:
        """Enter `entry` under `name`, which must be free, and return it.

        Raises:
            ValueError: it is not.
        """
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is already registered")
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> T:
        """The entry called `name`; raises `ConfigError` with a suggestion."""
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)
