"""The parts of `report.json` on the examples."""

from __future__ import annotations

from residency.evals.statistics import Interval
from residency.verdict.part import Count, Part, Share


class FilePart(Part):
    """A file, a folder or a dataset of examples."""

    file: str
    """Its name."""
    role: str
    """What it was read for: train, validation, test or replay."""
    sha256: str
    """Hash of its bytes; of a folder or dataset, over its files' names and hashes."""
    rows: Count
    """Rows read from it."""


class FindingPart(Part):
    """Something the check found in the rows."""

    id: str
    """Short name of the kind of finding."""
    severity: str
    """`error` (rows left out), `warning` or `note`."""
    explanation: str
    """What was found, in plain words."""
    rows: list[str]
    """Where, as `file:row`."""
    fix: str
    """What to do about it."""


class CeilingPart(Part):
    """What no model can exceed on such rows, as inputs that stand more than once tell."""

    value: Share
    """Share of rows that the best possible model gets right."""
    interval: Interval
    """95 % interval of `value`."""
    source: str
    """`repeated inputs`, `near twins`, or `all rows`: a bound for these rows, where repeats were removed."""
    inputs: Count
    """Inputs that stand more than once, or pairs of near ones."""
    rows: Count
    """Rows with these inputs."""


class DataPart(Part):
    """The examples and what became of them."""

    files: list[FilePart]
    """Every file read."""
    rows: Count
    """Rows read in all."""
    fates: dict[str, Count]
    """Rows by fate; they sum to `rows`."""
    findings: list[FindingPart]
    """What the check found."""
    test_hash: str
    """Hash of the frozen test rows."""
    overlap: Count
    """Test rows whose input stands in the training or validation rows too."""
    leaks: Count
    """Test rows that ask what a training row asks, word for word or nearly so."""
    ceiling: CeilingPart | None = None
    """What no model can exceed; none where too few inputs stand more than once to tell."""
