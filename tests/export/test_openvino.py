"""OpenVINO on the paper's architecture: fp32 within the file's own tolerance, bf16 with the same direction."""

from __future__ import annotations

import numpy as np
import pytest

from wordsight.export.parity import parity_frames
from wordsight.runtime import MissingPart, Model
from wordsight.runtime.backends.openvino import core_for

pytestmark = pytest.mark.openvino


@pytest.fixture(scope="module")
def by_onnxruntime(paper):
    with Model(paper.model_path, "ort-cpu") as model:
        return model.score(parity_frames(240)[::2])


def test_fp32_agrees_in_every_output(paper, by_onnxruntime):
    with Model(paper.model_path, "openvino") as model:
        got = model.score(parity_frames(240)[::2])
        for name in model.manifest.outputs:
            wanted = getattr(by_onnxruntime, name)
            np.testing.assert_allclose(getattr(got, name), wanted, atol=model.manifest.parity.tolerance, err_msg=name)


def test_bf16_keeps_the_direction_of_the_embedding(paper, by_onnxruntime):
    if "BF16" not in core_for("f32").get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(MissingPart, match="needs a processor with bf16"):
            Model(paper.model_path, "openvino-bf16")
        return
    with Model(paper.model_path, "openvino-bf16") as model:
        got = model.score(parity_frames(240)[::2])
    cosines = (got.embedding * by_onnxruntime.embedding).sum(1)
    assert cosines.min() >= 0.9999
    assert np.abs(got.embedding - by_onnxruntime.embedding).max() > 1e-5  # or it was not bf16 at all
