"""A plant in a folder: the packaged model, pictures, a line's file, and the processes that run it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from wordsight.runtime.demo import demo_model, demo_pictures

ENTRIES = (
    "[wordsight.sources]\ntest = plugins_of_tests:Camera\n"
    "[wordsight.sinks]\nbroken = plugins_of_tests:Broken\nhanging = plugins_of_tests:Hanging\n"
    "choosy = plugins_of_tests:Choosy\n"
)


class Hall:
    """A folder with a model, pictures, a line's file and the processes that run it."""

    def __init__(self, folder):
        self.folder, self.started = folder, []
        # Entry points of a package that is not installed: a folder on the path with its metadata is one. The import
        # machinery of an editable install is kept by the interpreter itself.
        info = folder / "entries" / "plant-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plant\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(ENTRIES)
        shutil.copy(Path(__file__).with_name("line") / "plugins_of_tests.py", info.parent)
        self.entries = os.pathsep.join(filter(None, [str(info.parent), os.environ.get("PYTHONPATH")]))
        shutil.copy(demo_model(), folder / "m.onnx")
        (folder / "parts").mkdir()
        for picture in demo_pictures():
            shutil.copy(picture, folder / "parts")
        (folder / "cable").touch()

    def write(self, text, head=""):
        top = f'model = "m.onnx"\nstatus = "status.json"\nbackend = "ort"\n{head}'
        (self.folder / "line.toml").write_text(top + text)

    def start(self, *options, **environment):
        child = subprocess.Popen(
            [sys.executable, "-m", "wordsight.runtime", "run", "--config", "line.toml", *options],
            cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": self.entries, **environment},
        )  # fmt: skip
        self.started.append(child)
        return child

    def close(self):
        for child in self.started:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            child.communicate()

    def status(self):
        try:
            return json.loads((self.folder / "status.json").read_text())
        except FileNotFoundError:
            return None

    def line(self, name):
        return next(line for line in self.status()["lines"] if line["name"] == name)

    def until(self, holds, limit_s=120.0):
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if any(child.poll() not in (None, -9) for child in self.started[-1:]):
                raise AssertionError((*self.started[-1].communicate(), self.started[-1].returncode))
            with contextlib.suppress(TypeError, IndexError, KeyError, StopIteration):  # nothing is there yet
                if found := holds():
                    return found
            time.sleep(0.05)
        raise AssertionError(self.status())

    def events(self, name="out.jsonl"):
        running = any(child.poll() is None for child in self.started)
        text = (self.folder / name).read_text()
        whole = text[: text.rfind("\n") + 1] if running else text  # a line may be seen while it is being written
        return [json.loads(line) for line in whole.splitlines()]
