"""YAML from strangers: plain values, and no aliases, by which a few lines stand for gigabytes."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Reads what `safe_load` reads, but for aliases."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def load_plain(text: str) -> Any:
    """The value of `text`.

    Raises:
        yaml.YAMLError: it is no YAML, or has aliases or tags of Python.
        ValueError: a value that does not exist, such as the 40th of a month.
        RecursionError: it is nested too deeply.
    """
    return yaml.load(text, _Loader)  # noqa: S506 (a safe loader)
