"""`constraints.txt` says exactly what is installed, so that CI and an audit see the same."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

LINES = (Path(__file__).parent.parent / "constraints.txt").read_text().splitlines()
PINS = [line for line in LINES if line and not line.startswith("#")]


def installed(extras: set[str]) -> dict[str, Version]:
    """What hypermnesia needs with `extras`, and what that needs, as far as it is installed."""
    found: dict[str, Version] = {}
    waiting, seen = [("hypermnesia", frozenset(extras))], set()
    while waiting:
        name, wanted = entry = waiting.pop()
        if entry in seen:
            continue
        seen.add(entry)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # of an extra that is not installed
        found[canonicalize_name(name)] = Version(package.version)
        for line in package.requires or ():
            needed = Requirement(line)
            marker, of = needed.marker, wanted | {""}
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in of):
                waiting.append((needed.name, frozenset(needed.extras)))
    del found["hypermnesia"]
    return found


def test_every_line_pins_one_version() -> None:
    names = [line.split("==")[0].lower() for line in PINS]
    assert names == sorted(set(names))
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line) for line in PINS)


def test_what_is_installed_is_what_is_pinned() -> None:
    pinned = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in PINS}
    found = installed({"dev", "docs", "fuzz"})
    assert {"torch", "numpy", "pytest", "urllib3"} <= found.keys()
    if found["torch"].public != pinned["torch"]:
        pytest.skip("installed without -c constraints.txt")
    assert {name: version.public for name, version in found.items()} == {
        name: str(Version(pinned.get(name, "0"))) for name in found
    }
