"""What tests of several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest

from wordsight.runtime.backends import auto
from wordsight.runtime.cli import main


@pytest.fixture(scope="module", autouse=True)
def one_engine(request: pytest.FixtureRequest):
    """Scores that are held to 1e-6 must come from one engine, whatever `auto` finds quickest on a busy machine.

    Engines agree to 1e-4, and those of the runtime have tests of their own.
    """
    if not {"export", "benchmarks"} & set(request.path.parts):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auto, "candidates", lambda path, manifest: ())
        yield


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
