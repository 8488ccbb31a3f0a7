"""Optional packages, as the installed distribution lists them: pyproject.toml is their one list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

_OWN = "hypermnesia"


@dataclass(frozen=True)
class Extra:
    """A set of optional packages, `pip install 'hypermnesia[NAME]'`.

    Attributes:
        name: of the set.
        missing: those of its packages that are not installed, or in another version, as pip
            would be asked for them.
    """

    name: str
    missing: tuple[str, ...]


def extras() -> list[Extra]:
    """Every set there is, by name."""
    names = sorted(metadata.metadata(_OWN).get_all("Provides-Extra") or ())
    return [Extra(name, tuple(_missing(name))) for name in names]


def _missing(extra: str) -> Iterator[str]:
    for requirement in map(Requirement, metadata.requires(_OWN) or ()):
        if requirement.marker is None or not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.name == _OWN:
            for other in sorted(requirement.extras):
                yield from _missing(other)
        elif not _met(requirement):
            yield f"{requirement.name}{requirement.specifier}"


def _met(requirement: Requirement) -> bool:
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(found, prereleases=True)
