"""Figures as people read them."""

import pytest

from wordsight.benchmarks.tables import number, span
from wordsight.runtime.figures import Figure


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "none"),
        (0.91234, "", "0.9123"),
        (4.77e-7, "", "4.77e-07"),
        (0.0, "", "0.0000"),
        (331.4, "MB", "331 MB"),
        (0, "", "0"),
        (12_345, "bytes", "12,345 bytes"),
    ],
)
def test_numbers_are_as_long_as_they_need_to_be(value, unit, text):
    assert number(value, unit) == text


def test_a_span_needs_both_ends():
    assert span(Figure("auroc.sum", 0.9, low=0.8, high=0.95)) == "0.8000 ... 0.9500"
    assert span(Figure("auroc.sum", 0.9, low=0.8)) == ""
