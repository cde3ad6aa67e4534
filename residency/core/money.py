"""How amounts of money are written."""

from __future__ import annotations


def amount(value: float, currency: str = "") -> str:
    """`12.35 EUR`; below a tenth with two digits that count, so that the cost of a call is not nothing."""
    if value >= 0.1 or not value:
        written = f"{value:,.2f}"
    else:
        written = f"{value:.2g}" if value >= 0.0001 else f"{value:.1e}"
    return f"{written} {currency}".rstrip()
