"""What tests of the whole command line share."""

from __future__ import annotations

from pathlib import Path

import pytest

from wordsight.runtime.cli import main


@pytest.fixture
def refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Run a command that must fail; gives what it said, having checked what holds for every failure."""

    def check(code: int, *words: object) -> str:
        before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        told = "".join(capfd.readouterr())
        assert end.value.code == code, told
        assert 1 <= len(told.splitlines()) <= 8, told
        assert "Traceback" not in told
        assert "mistake of ours" not in told
        assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
        return " ".join(told.split())

    return check
