"""YAML that holds values and nothing else: no tags, no anchors, no number a mile long.

A tag could name something to be made of a value. An alias costs a few bytes and may stand for
all that is above it, so that ten lines of them are more than a memory holds.
"""

from __future__ import annotations

from typing import Any

import yaml

_LONGEST = 20_000  # characters of a scalar; 1:59:59:... is a number to YAML 1.1, and a large one


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise ValueError("an anchor, or an alias of one")
        if getattr(event, "tag", None) is not None:
            raise ValueError("a tag")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > _LONGEST:
            raise ValueError("a value that is too long")
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def load_plain(text: str) -> Any:
    """The value that `text` describes, made of dicts, lists, texts, numbers, dates and None.

    Raises:
        ValueError: it is no YAML, or says more than a value.
    """
    try:
        return _Loader(text).get_single_data()
    except RecursionError:
        raise ValueError("values nested too deeply") from None
    except (yaml.YAMLError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(str(error)) from error


def dump_plain(value: Any) -> str:
    """`value` as YAML that `load_plain` reads."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
