"""What passed in one environment is not run again in the other: `make test` runs both.

    .venv-lean: pytest --passed-to=FILE tests/runtime    # writes the ids of what passed
    .venv:      pytest --passed-in=FILE                  # runs all the others

A test that fails, skips or is left out in the lean environment is not in the file, and so runs in the other one.
"""

from pathlib import Path

import pytest


def add_options(parser):
    """Add the two options."""
    parser.addoption("--passed-to", metavar="FILE", help="Write the ids of the tests that passed to a file.")
    parser.addoption("--passed-in", metavar="FILE", help="Leave out the tests whose ids are in this file.")


class TwoEnvironments:
    """The pytest plug-in that writes and reads the ids."""

    def __init__(self):
        self.outcomes = {}

    def pytest_collection_modifyitems(self, config, items):
        place = config.getoption("--passed-in")
        if place is None:
            return
        try:
            passed = set(Path(place).read_text(encoding="utf-8").splitlines())
        except OSError as error:
            raise pytest.UsageError(f"--passed-in: {error}; a run with --passed-to writes it") from None
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed])
        items[:] = [item for item in items if item.nodeid not in passed]

    def pytest_runtest_logreport(self, report):
        self.outcomes.setdefault(report.nodeid, set()).add(report.outcome)

    def pytest_sessionfinish(self, session):
        place = session.config.getoption("--passed-to")
        if place is not None:
            passed = [name for name, outcomes in self.outcomes.items() if outcomes == {"passed"}]
            Path(place).write_text("".join(f"{name}\n" for name in passed), encoding="utf-8")
