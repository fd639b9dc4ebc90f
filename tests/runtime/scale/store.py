"""An archive in a folder: pictures whose scores are known, the command that scores them, and what it left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

LIMIT_S = 120.0
HOLD = """
import os, re, sys, time

def hold(event, words):
    shard = re.search(r"shard-(\\d+)[.]parquet$", os.fsdecode(words[1])) if event == "os.rename" else None
    while shard and int(shard[1]) >= {first} and not os.path.exists({gate!r}):
        time.sleep(0.01)

sys.addaudithook(hold)
"""


class Store:
    """Pictures of one colour each, so that a tiny model's scores follow in closed form, and runs over them."""

    def __init__(self, folder, model):
        self.folder, self.model = folder, model
        self.out = folder / "out"
        self.colours = {}
        self.started = []

    def picture(self, number, side=24):
        """The bytes of a picture of a colour of its own, a BMP: lossless, and quick to write."""
        import cv2

        blue, green = number % 251, number // 251 % 251
        good, data = cv2.imencode(".bmp", np.full((side, side, 3), (blue, green, 7), np.uint8))
        assert good
        return data.tobytes()

    def fill(self, folder, count, first=0, side=24):
        """Write pictures and remember what each must score."""
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            path = folder / f"part-{number:05d}.bmp"
            path.write_bytes(self.picture(number, side))
            self.know(str(path), number)

    def fill_slowly(self, folder, count, side=900):
        """Large pictures, of which each takes some ten milliseconds: ten of their own, the others links to those."""
        self.fill(folder, 10, side=side)
        for number in range(10, count):
            path = folder / f"part-{number:05d}.bmp"
            os.link(folder / f"part-{number % 10:05d}.bmp", path)
            self.know(str(path), number % 10)

    def know(self, source, number):
        self.colours[source] = ((number % 251) / 255, (number // 251 % 251) / 255)

    def words(self, source, *options):
        return ["archive", str(source), "--model", str(self.model), "-o", str(self.out), "--backend", "ort-cpu",
                *map(str, options)]  # fmt: skip

    def start(self, source, *options, file_bytes=None, **environment):
        """Run the command as a process."""

        def limit():
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

        child = subprocess.Popen(
            [sys.executable, "-m", "wordsight.runtime", *self.words(source, *options)],
            cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "COLUMNS": "200", **environment}, preexec_fn=limit if file_bytes else None,
        )  # fmt: skip
        self.started.append(child)
        return child

    def held(self, first):
        """What `start` is given so that no shard from this number on is finished before `release`.

        However late a test looks, the run is still in its middle. Python imports what is called sitecustomize.
        """
        place = self.folder / "held"
        place.mkdir()
        (place / "sitecustomize.py").write_text(HOLD.format(first=first, gate=str(place / "released")))
        return {"PYTHONPATH": os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")]))}

    def release(self):
        """Let the run go on."""
        (self.folder / "held" / "released").touch()

    def run(self, source, *options, **more):
        """Run the command as a process to its end -> (exit code, stdout, stderr)."""
        child = self.start(source, *options, **more)
        out, err = child.communicate(timeout=400)
        return child.returncode, out, err

    def finished(self):
        return sorted((self.out / "shards").glob("shard-*.parquet"))

    def rows(self):
        import pyarrow.parquet

        return [row for path in self.finished() for row in pyarrow.parquet.read_table(path).to_pylist()]

    def unread(self):
        lists = sorted((self.out / "shards").glob("*.unreadable.jsonl"))
        return [json.loads(line) for path in lists for line in path.read_text("utf-8").splitlines()]

    def check(self):
        """Every picture exactly once, in order, with the score of its own colour."""
        rows = self.rows()
        assert [row["source"] for row in rows] == sorted(self.colours)
        found = np.array([(row["s_pr"], row["s_fnn"], row["score"]) for row in rows])
        known = np.array([(blue, green, blue + green) for blue, green in map(self.colours.get, sorted(self.colours))])
        np.testing.assert_allclose(found, known, atol=2e-6)
        return rows

    def close(self):
        for child in self.started:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            child.communicate()


def wait(condition, what, limit_s=LIMIT_S):
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} within {limit_s:g} s"
        time.sleep(0.01)
    return value


def children(pid, word):
    """Processes below `pid` whose command line holds `word`."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if parent == pid:
                found += ([int(entry.name)] if word in words else []) + children(int(entry.name), word)
    return found


def gone(pid):
    """Whether a process has ended."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
