import pytest

from hypermnesia.report.collect import safe_text, seed_list


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
    assert safe_text(value) == expected
    safe_text(value).encode()


def test_many_seeds_are_a_few_numbers():
    assert seed_list([4]) == "seed 4"
    assert seed_list([0, 1]) == "seeds 0, 1"
    assert seed_list(range(1000)).endswith("10, 11 and 988 more")
