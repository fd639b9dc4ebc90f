"""Runs the real command line with a model that needs no engine: a frame's score is twice its mean brightness.

    python run_driver.py run any.onnx SOURCE ...

Everything else (sources, preprocessing, sinks, options, errors, signals) is the product's own.
"""

import os
import sys
import time
import types

import numpy as np

from wordsight.runtime import manifest as manifests

SIZE = 32
SHA = "0" * 64
MANIFEST = manifests.Manifest(
    created="2026-11-24T06:00:00Z",
    wordsight="0.1.0",
    input=manifests.InputSpec(size=SIZE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), fit="crop"),
    outputs={"score": ("N",), "s_pr": ("N",), "s_fnn": ("N",)},
    encoder=manifests.EncoderSpec(
        name="brightness", weights="mini", sha256=SHA, licence="MIT", embed_dim=4, note="a stand-in for tests"
    ),
    prompts=manifests.PromptSpec(
        object="object",
        normal_word="a",
        anomalous_word="a damaged",
        guiding_normal="a photo",
        guiding_anomalous="a bad photo",
        template_normal="t n",
        template_anomalous="t a",
    ),
    score=manifests.ScoreSpec(),
    head=manifests.HeadSpec(sha256=SHA, seeds=(0, 1)),
    training={"lr": 0.001},
    precision="fp32",
    opset=18,
    parity=manifests.ParitySpec(status="not run"),
    tools={"numpy": np.__version__},
)


class Model:
    def __init__(self, path, backend="auto", *, batch_size=32):
        self.manifest = MANIFEST

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def seen_share(self, height, width):
        return min(height, width) / max(height, width)

    def score(self, frames):
        time.sleep(float(os.environ.get("DRIVER_DELAY_S", "0")))
        s = np.array([frame.mean() / 255 for frame in frames], np.float32)
        return types.SimpleNamespace(score=2 * s, s_pr=s, s_fnn=s)


if __name__ == "__main__":
    double = types.ModuleType("wordsight.runtime.model")
    double.Model = Model
    sys.modules["wordsight.runtime.model"] = double
    manifests.read_manifest = lambda path: MANIFEST
    from wordsight.runtime.cli import main

    main()
