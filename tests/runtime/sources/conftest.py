import pytest


@pytest.fixture
def until(waiting):
    """Wait until a condition holds, at most a minute: (condition) -> its last value."""
    return waiting(60.0)
