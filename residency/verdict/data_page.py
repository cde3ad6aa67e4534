"""What the check found, as one HTML page that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from residency.verdict.charts import bars_svg, fates_svg
from residency.verdict.html import fates_in_order, page_environment, page_style, page_text

_COMMON, _RARE = 20, 10


def render_data_page(document: Mapping[str, Any], review: Sequence[Mapping[str, Any]]) -> str:
    """The page of a check's document, with the rows to review first. Every text is escaped."""
    fates = {fate: rows for fate, rows in fates_in_order(document["fates"]).items() if rows}
    lengths = {f"{bin['from']:,} to {bin['to']:,}": bin["rows"] for bin in document["lengths"]}
    labels = _ends(document["labels"])
    return (
        page_environment()
        .from_string(page_text("data.html.jinja"))
        .render(
            document=document,
            review=review,
            style=page_style(),
            fates=fates,
            fates_chart=fates_svg(fates),
            labels_chart=bars_svg(labels, "Rows by label"),
            labels_between=len(document["labels"]) - len(labels),
            lengths_chart=bars_svg(lengths, "Rows by length in tokens"),
        )
    )


def _ends(labels: Mapping[str, int]) -> dict[str, int]:
    """The most common labels and the rarest."""
    if len(labels) <= _COMMON + _RARE:
        return dict(labels)
    shown = list(labels.items())
    return dict(shown[:_COMMON] + shown[-_RARE:])
