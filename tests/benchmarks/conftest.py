"""What benchmarks' tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def _graphs(graphs_written_once: None) -> None:
    """Several commands export the same head of random rows: its graph is written once."""
