"""A command that scores keeps numpy's products to one thread; a program that uses the library keeps its own."""

import json
import subprocess
import sys

import pytest

TOLD = """
import json, sys
import numpy
from threadpoolctl import threadpool_info, threadpool_limits
threadpool_limits(2, user_api="blas")
{do}
print(json.dumps([pool["num_threads"] for pool in threadpool_info() if "/numpy" in pool["filepath"]]))
"""
SCORES = """
from wordsight.runtime.demo import demo_model, demo_pictures
from wordsight.runtime.model import Model
import cv2
with Model(demo_model(), "ort-cpu") as model:
    model.score([cv2.imread(str(next(iter(demo_pictures()))))])
"""
RUNS = """
import contextlib, io
from wordsight.runtime.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main(["run", "--demo", "--backend", "ort-cpu"])
"""


def threads_after(do):
    words = [sys.executable, "-c", TOLD.format(do=do)]
    told = subprocess.run(words, capture_output=True, text=True, check=True)
    found = json.loads(told.stdout.splitlines()[-1])
    if not found:
        pytest.skip("this numpy brings no library of products of its own: pip install numpy")
    return found


def test_run_keeps_products_to_one_thread():
    assert set(threads_after(RUNS)) == {1}


def test_the_library_leaves_them_alone():
    assert set(threads_after(SCORES)) == {2}
