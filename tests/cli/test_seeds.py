import pytest

from hypermnesia.cli.options import parse_seeds
from hypermnesia.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", (0,)),
        ("0-2", (0, 1, 2)),
        ("0,3,5-7", (0, 3, 5, 6, 7)),
        (" 4 , 1 ", (1, 4)),
        ("3-3", (3,)),
        ("1,0-2,2", (0, 1, 2)),
    ],
)
def test_numbers_ranges_and_lists(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["", "x", "2-0", "-1", "1,,2", "1.5", "0-", "0-999999999", "9" * 30]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigError, match="0-2 or 0,3,5-7"):
        parse_seeds(text)
