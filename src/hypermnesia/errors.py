"""Errors a user can act on: each states the rule, what was received and a hint, in one line."""

from __future__ import annotations


class HypermnesiaError(Exception):
    """Base of every error that Hypermnesia raises on purpose.

    Args:
        rule: what must hold.
        got: what was found instead.
        hint: what the user can do about it.
    """

    def __init__(self, rule: str, *, got: object = None, hint: str | None = None) -> None:
        self.rule, self.got, self.hint = rule, got, hint
        parts = [rule]
        if got is not None:
            parts.append(f"got {got}")
        if hint is not None:
            parts.append(hint)
        super().__init__("; ".join(parts))


class ConfigError(HypermnesiaError, ValueError):
    """A name, value or combination of settings that cannot work."""


class DataError(HypermnesiaError, ValueError):
    """A data file or data set that is missing, damaged or out of range."""


class RunError(HypermnesiaError, RuntimeError):
    """A run folder or checkpoint that cannot be written, read or continued."""


class TargetError(HypermnesiaError, ValueError):
    """A module that cannot serve as a target network as asked."""


def printable(text: str) -> str:
    """`text` with a replacement character for what a page or terminal would obey.

    That is control characters, marks that turn the direction of writing and halves of surrogate
    pairs, which no UTF-8 file can hold.
    """
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
