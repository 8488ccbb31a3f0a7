"""YAML that holds values and nothing else: no tags, no anchors, nothing deep or long.

A tag could name something to be made of a value. An alias costs a few bytes and may stand for
all that is above it, so that ten lines of them are more than a memory holds.
"""

from __future__ import annotations

from typing import Any

import yaml

_DEEPEST = 20  # values within values
_LONGEST = 20_000  # characters of a scalar; 1:59:59:... is a number to YAML 1.1, and a large one

# libyaml's, ten times as fast, where PyYAML was built with it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def load_plain(text: str, *, anchors: bool = False) -> Any:
    """The value that `text` describes, made of dicts, lists, texts, numbers, dates and None.

    Args:
        text: YAML.
        anchors: allow them, for files of the user's own.

    Raises:
        ValueError: it is no YAML, or says more than a value.
    """
    try:
        _check_plain(text, anchors)
        return _Loader(text).get_single_data()
    except (yaml.YAMLError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(str(error)) from error


def _check_plain(text: str, anchors: bool) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        anchor = isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None
        if anchor and not anchors:
            raise ValueError("an anchor, or an alias of one")
        if getattr(event, "tag", None) is not None:
            raise ValueError("a tag")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > _LONGEST:
            raise ValueError("a value that is too long")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError("values nested too deeply")


def dump_plain(value: Any) -> str:
    """`value` as YAML that `load_plain` reads."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
