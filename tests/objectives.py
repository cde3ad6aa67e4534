"""Objectives that a test registers, gone after it: pages and messages name all that there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from residency.training.objectives import get_objective, registry


@pytest.fixture
def own_objectives() -> Iterator[None]:
    """Take out what was registered meanwhile; the package's own are loaded before."""
    get_objective("sft")
    before = set(registry._REGISTRY)
    yield
    for name in registry._REGISTRY.keys() - before:
        del registry._REGISTRY[name]
