"""The plug-in that prints the fault matrix, and that the matrix is whole."""

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest


def named(path):
    """Return the rows that marks in a file name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.faults":
            yield from (argument.value for argument in node.args)


def test_every_row_has_a_test_and_no_other_row_is_named(fault_matrix):
    found = {row for path in Path(__file__).with_name("runtime").rglob("test_*.py") for row in named(path)}
    assert found == set(fault_matrix.ROWS)
    assert len(fault_matrix.ROWS) >= 15


def report(outcome, when="call", **told):
    return SimpleNamespace(outcome=outcome, passed=outcome == "passed", when=when, nodeid="tests/a.py::test_a",
                           user_properties=list(told.items()))  # fmt: skip


def test_a_test_that_fails_or_is_not_there_shows_no_state(fault_matrix):
    matrix = fault_matrix.FaultMatrix()
    for item in (
        report("passed", row="freezes", shown="frozen", lost="0 of 7"),
        report("failed", row="disk full", shown="failing", lost="0 of 7"),
        report("skipped", "setup", row="buffers fail"),
        report("passed", "setup", row="clock jumps"),
        report("failed", row=None),
        report("failed"),
    ):
        matrix.pytest_runtest_logreport(item)
    rows = {cells[1].strip(): [cell.strip() for cell in cells[2:4]] for line in matrix.lines()
            if (cells := line.split("|"))}  # fmt: skip
    assert rows["freezes"] == ["frozen", "0 of 7"]
    assert rows["disk full"] == ["FAILED at call", "?"]
    assert rows["buffers fail"] == ["SKIPPED at setup", "?"]
    assert rows["clock jumps"] == ["NO TEST RAN", "?"]
    assert matrix.beside == [1, 0]


def test_a_row_that_there_is_not_is_refused(fault_matrix):
    item = SimpleNamespace(nodeid="a", user_properties=[], iter_markers=lambda name: [pytest.mark.faults("rust").mark])
    with pytest.raises(pytest.UsageError, match="no row 'rust'"):
        fault_matrix.FaultMatrix().pytest_collection_modifyitems([item])
