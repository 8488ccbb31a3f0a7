"""One target under atheris: `python fuzz/harness.py TARGET [options of libFuzzer] [folders]`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["hypermnesia", "yaml", "targets"]):
    from targets import TARGETS


def main() -> None:
    """Fuzz the target that the first argument names; libFuzzer ends the process."""
    program, name, *options = sys.argv
    atheris.Setup([program, *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
