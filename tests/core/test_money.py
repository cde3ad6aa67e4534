import pytest

from residency.core.money import amount


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1234.5, "1,234.50"),
        (1, "1.00"),
        (0, "0.00"),
        (0.25, "0.25"),
        (0.00123, "0.0012"),
        (1.26e-7, "1.3e-07"),
    ],
)
def test_small_amounts_keep_two_digits(value, written):
    assert amount(value) == written and amount(value, "EUR") == f"{written} EUR"
