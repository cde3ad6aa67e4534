import pytest

from tests.data.checks.planted import PLANTERS, measure, table, table_on_page

AT_LEAST = 0.95


@pytest.mark.parametrize("id", PLANTERS)
def test_planted_faults_are_found_and_little_else(id: str) -> None:
    measured = measure(id)
    assert measured.recall >= AT_LEAST, measured.missed
    assert measured.precision >= AT_LEAST, measured.false
    row = table([measured]).splitlines()[-1]
    assert row in table_on_page(), "python -m tests.data.checks.planted --write"
