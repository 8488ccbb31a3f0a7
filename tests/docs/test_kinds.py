"""The page of kinds shows every row of the tables that the tests run."""

from __future__ import annotations

from types import SimpleNamespace

from kind_tables import kinds, table


def test_a_table_has_a_row_for_each_group_and_a_column_for_each_outcome() -> None:
    rows = [
        SimpleNamespace(name=name, kind=kind, outcome=outcome)
        for name, kind, outcome in [
            ("one", "a", "right"),
            ("two|three", "b", "refused"),
            ("four", "a", "right"),
            ("five", "a", "refused"),
        ]
    ]
    assert table(rows).splitlines() == [
        "|  | right | refused |",
        "| --- | --- | --- |",
        "| **a** | one; four | five |",
        "| **b** |  | two/three |",
    ]


def test_every_kind_of_module_is_on_the_page() -> None:
    rows = kinds("module")
    shown = table(rows)
    assert all(row.name in shown for row in rows)
