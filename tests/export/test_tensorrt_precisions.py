"""Every precision of the paper's encoder, and of mini, against TensorRT's own parser and builder, ahead of time."""

from __future__ import annotations

from pathlib import Path

import pytest

from wordsight.export.onnx import export_model
from wordsight.export.precision import PRECISIONS
from wordsight.runtime.manifest import read_manifest

pytestmark = pytest.mark.tensorrt

SHARE = {"fp32": 1.0, "fp16": 0.5, "bf16": 0.5, "int8": 0.25, "fp8": 0.25}
"""Bytes of a weight, of those in fp32."""


@pytest.mark.parametrize("precision", PRECISIONS)
def test_parser_and_builder_take_the_papers_encoder(paper, precision: str, build_engine, tmp_path: Path):
    path = paper.model_path
    if precision != "fp32":
        path = tmp_path / "model.onnx"
        # A ViT takes a minute to be scored on all check frames: its drift has its own figures, here it is the graph.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("wordsight.export.calibration.CALIBRATION", 8)
            patch.setattr("wordsight.export.calibration.CHECK", 8)
            patch.setattr("wordsight.export.reduced._AIM", 1e9)  # no layer is left out
            # Of the same outputs as the session's own file: its fp32 graph is not written again.
            export_model(paper.head_path, path, precision=precision, allow_drift=True, seeds_output=True)
    manifest = read_manifest(path)
    assert manifest.precision == precision
    weights = sum(p.numel() * 4 for p in paper.encoder.model.visual.parameters())
    assert path.stat().st_size == pytest.approx(SHARE[precision] * weights, rel=0.12)
    engine = build_engine(path.read_bytes(), manifest.input.shape, tuple(manifest.outputs))
    assert engine is not None
    assert engine.nbytes == pytest.approx(SHARE[precision] * weights, rel=0.2)
