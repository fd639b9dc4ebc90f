"""The fault matrix of a line: a test marked with a row of it tells the state that was shown and what was lost.

    @pytest.mark.faults("server restarts")
    def test_...(told):
        ...
        told("retrying: connection refused, then running", lost=0, of=120)

A run with `-m faults` ends with the table; `make faults` is that run.
"""

import pytest

ROWS = (
    "source never opens",
    "stops mid-frame",
    "freezes",
    "changes size",
    "corrupt packets",
    "wrong password",
    "server restarts",
    "buffers fail",
    "trigger never comes",
    "clock jumps",
    "disk full",
    "model file swapped",
    "model file truncated",
    "SIGTERM in the middle of a write",
    "kill -9 in the middle of a write",
)


def rows_of(marks):
    """Return the rows that the marks of a test name; a mark without one is a fault beside the matrix."""
    return [row for mark in marks for row in mark.args]


@pytest.fixture
def told(record_property):
    """Record what a row of the matrix shows, and hold that nothing was lost: (state, frames or events lost, of)."""

    def record(shown, *, lost, of):
        assert lost == 0, f"{lost} of {of} came to nothing"
        record_property("shown", shown)
        record_property("lost", f"{lost} of {of}")

    return record


class FaultMatrix:
    """The pytest plug-in that gathers and prints it."""

    def __init__(self):
        self.found, self.beside = [], [0, 0]

    def pytest_collection_modifyitems(self, items):
        for item in items:
            marks = list(item.iter_markers("faults"))
            for row in rows_of(marks):
                if row not in ROWS:
                    raise pytest.UsageError(f"{item.nodeid}: the fault matrix has no row {row!r}")
                item.user_properties.append(("row", row))
            if marks and not rows_of(marks):
                item.user_properties.append(("row", None))

    def pytest_runtest_logreport(self, report):
        rows = [value for key, value in report.user_properties if key == "row"]
        if not rows or (report.when != "call" and report.passed):
            return
        if rows == [None]:
            self.beside[report.passed] += 1
            return
        values = dict(report.user_properties)
        shown = values.get("shown", "") if report.passed else f"{report.outcome.upper()} at {report.when}"
        lost = values.get("lost", "") if report.passed else "?"
        self.found += [(row, shown, lost, report.nodeid.rpartition("::")[2]) for row in rows]

    def lines(self):
        """Return the table, in Markdown."""
        table = [("fault", "state shown", "lost", "test")]
        for row in ROWS:
            table += [entry for entry in self.found if entry[0] == row] or [(row, "NO TEST RAN", "?", "")]
        widths = [max(len(entry[column]) for entry in table) for column in range(3)] + [4]
        table.insert(1, tuple("-" * width for width in widths))
        return ["| " + " | ".join(map(str.ljust, entry, widths)) + " |" for entry in table]

    def pytest_terminal_summary(self, terminalreporter, config):
        if "faults" not in config.option.markexpr or "not faults" in config.option.markexpr or not self.found:
            return
        terminalreporter.section("fault matrix")
        for line in self.lines():
            terminalreporter.write_line(line)
        failed, passed = self.beside
        terminalreporter.write_line(f"beside the matrix: {passed} tests of faults passed, {failed} did not")
