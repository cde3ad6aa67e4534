from __future__ import annotations

from collections.abc import Iterator

import pytest

from residency.core.progress import Silent, speak_through


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def said_aside() -> Iterator[list[str]]:
    """Lines said from where no reporter is at hand."""
    reporter = Said()
    speak_through(reporter)
    yield reporter.lines
    speak_through(Silent())
