"""Names to things: registered, in a module of the user's (`module:attribute`) or a plug-in's."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from hypermnesia.errors import ConfigError, HypermnesiaError

T = TypeVar("T")

PLUGINS = "HYPERMNESIA_PLUGINS"
"""Environment variable: modules, with commas, that stored files may have imported."""


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
    return ConfigError(f"the {kind} must be one that exists", got=f"'{name}'", hint=hint)


_LOADED: set[str] = set()


def plugin_environment() -> dict[str, str]:
    """The environment for a process that is to know the plug-ins which this one has imported."""
    named = os.environ.get(PLUGINS, "").split(",")
    return {**os.environ, PLUGINS: ",".join(sorted({*named, *_LOADED} - {""}))}


def is_path(name: object) -> bool:
    """Whether `name` is `package.module:attribute`."""
    parts = name.split(":") if isinstance(name, str) else []
    return len(parts) == 2 and all(word.isidentifier() for p in parts for word in p.split("."))


def check_known_modules(stored: Any) -> None:
    """Refuse `module:attribute` texts of a file that would import what nobody has asked for.

    Reading a file runs nothing: a module must have been imported, or be named in the environment's
    HYPERMNESIA_PLUGINS. Raises `ConfigError`.
    """
    if isinstance(stored, Mapping | list | tuple):
        for each in stored.values() if isinstance(stored, Mapping) else stored:
            check_known_modules(each)
    elif is_path(stored):
        module = stored.partition(":")[0]
        if module not in (*sys.modules, *_LOADED, *os.environ.get(PLUGINS, "").split(",")):
            raise ConfigError(
                "a file may not have modules imported that you did not name",
                got=stored,
                hint=f"if you trust it: {PLUGINS}={module} hypermnesia ...",
            )


class Registry(Generic[T]):
    """Things of one kind by name, in the order in which they were added.

    A name that holds a colon, `package.module:attribute`, is imported. Entry points of `group`,
    which installed packages declare, are further names.

    Args:
        kind: what a name stands for, as an error calls it.
        group: group of entry points, `hypermnesia.<group>`; None for a registry without plug-ins.
        adapt: (name, what was imported) -> the entry; raises `TypeError` saying what it must be.
    """

    def __init__(
        self, kind: str, group: str | None = None, adapt: Callable[[str, Any], T] | None = None
    ) -> None:
        self.kind, self.group = kind, group
        self._adapt = adapt
        self._entries: dict[str, T | str] = {}
        self._imported: dict[str, T] = {}

    def add(self, name: str, entry: T | str) -> None:
        """Register an entry, or `module:attribute` to import later; raises for a name taken."""
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is already registered")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        """The entry called `name`; raises `ConfigError`, with a suggestion for an unknown name."""
        entry = self._entries.get(name)
        if entry is not None and not isinstance(entry, str):
            return entry
        if name in self._imported:
            return self._imported[name]
        if entry is not None or self._is_path(name):
            self._imported[name] = self._load(name, EntryPoint(name, entry or name, ""))
        elif name in self._plugins:
            self._imported[name] = self._load(name, self._plugins[name])
        else:
            raise unknown_name(self.kind, name, self)
        return self._imported[name]

    def _is_path(self, name: object) -> bool:
        return self.group is not None and is_path(name)

    def _load(self, name: str, point: EntryPoint) -> T:
        try:
            import_module(point.module)
            _LOADED.add(point.module)
            entry = point.load()
            return cast(T, entry) if self._adapt is None else self._adapt(name, entry)
        except HypermnesiaError:
            raise
        except Exception as error:  # whatever a module of someone else's raises
            rule = f"the {self.kind} {name} must be one that can be imported"
            got = f"{type(error).__name__}: {error}".splitlines()[0]
            hint = "name it as package.module:attribute; its folder must be on PYTHONPATH"
            raise ConfigError(rule, got=got, hint=hint) from error

    @cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        found = entry_points(group=f"hypermnesia.{self.group}") if self.group else ()
        return {point.name: point for point in found}

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._plugins or self._is_path(name)

    def __iter__(self) -> Iterator[str]:
        """The names that are registered, and those of plug-ins."""
        yield from self._entries
        yield from (name for name in self._plugins if name not in self._entries)


def must_be(what: str, holds: Callable[[Any], bool] = callable) -> Callable[[str, Any], Any]:
    """An `adapt` that lets through what `holds` and raises for anything else that is not `what`."""

    def adapt(name: str, entry: Any) -> Any:
        if not holds(entry):
            raise TypeError(f"{name} must be {what}")
        return entry

    return adapt
