import pytest

from hypermnesia.report.collect import seeds_listed, shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain text ✓ Straße", "plain text ✓ Straße"),
        (None, "None"),
        ("a\x1b[31m\n\x00", "a�[31m��"),
        ("\u202egpj.exe", "�gpj.exe"),
        (b"\xff".decode("utf-8", "surrogateescape"), "�"),
        ("x" * 301, "x" * 299 + "…"),
    ],
)
def test_what_is_shown_is_short_and_can_be_seen(value, expected):
    assert shown(value) == expected
    shown(value).encode()


def test_many_seeds_are_a_few_numbers():
    assert seeds_listed([4]) == "seed 4"
    assert seeds_listed([0, 1]) == "seeds 0, 1"
    assert seeds_listed(range(1000)).endswith("10, 11 and 988 more")
