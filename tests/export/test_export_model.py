"""From a head file to the product: what is written, and when nothing is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from wordsight.export import onnx as export_onnx
from wordsight.export.errors import HeadMismatch, ParityError
from wordsight.export.onnx import export_model
from wordsight.runtime.errors import MissingPart, OutputError, SettingError
from wordsight.runtime.golden import require_golden
from wordsight.runtime.manifest import read_manifest
from wordsight.runtime.model import Model
from wordsight.train.encoders import Encoder
from wordsight.train.errors import EncoderError

SIZE, WIDTH = 32, 16


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def test_the_manifest_says_what_is_inside(head_path: Path, tiny: Encoder, out: Path):
    report = export_model(head_path, out, fit="pad", seeds_output=True, w_pr=0.5)
    assert report
    manifest = read_manifest(out)
    assert (manifest.input.size, manifest.input.fit) == (SIZE, "pad")
    assert manifest.encoder.weights == "local checkpoint"
    assert manifest.encoder.sha256 == tiny.sha256
    assert manifest.prompts.guiding_anomalous == "a photo of a cracked gear"
    assert manifest.head.seeds == (4, 5, 6)
    assert manifest.outputs["s_fnn_seeds"] == ("N", 3)
    assert (manifest.score.w_pr, manifest.score.w_fnn) == (0.5, 1.0)
    assert manifest.training["num_pairs"] == 10
    assert manifest.parity.status == "passed"
    assert manifest.parity.max == report.max
    assert manifest.parity.max["score"] <= manifest.parity.tolerance == 1e-5
    onnx.checker.check_model(str(out))
    assert str(Path(tiny.weights).parent).encode() not in out.read_bytes()


def test_the_written_file_scores_as_the_encoder_and_the_prompts_do(head_path: Path, tiny: Encoder, out: Path):
    import onnxruntime as ort

    export_model(head_path, out)
    frames = np.random.default_rng(2).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    session = ort.InferenceSession(out, providers=["CPUExecutionProvider"])
    s_pr, embedding = session.run(["s_pr", "embedding"], {"frames": frames})
    rgb = torch.from_numpy(frames[..., ::-1].copy()).permute(0, 3, 1, 2) / 255
    images = (rgb - torch.tensor(tiny.mean)[:, None, None]) / torch.tensor(tiny.std)[:, None, None]
    with torch.no_grad():
        unit = tiny.model.encode_image(images, normalize=True)
        texts = tiny.model.encode_text(
            tiny.tokenize(["a photo of a fine gear", "a photo of a cracked gear"]), normalize=True
        )
    np.testing.assert_allclose(embedding, unit.numpy(), atol=1e-6)
    np.testing.assert_allclose(s_pr, (100 * unit @ texts.T).softmax(1)[:, 1].numpy(), atol=2e-5)


def test_a_vision_transformer_with_crops_and_patches(head_path: Path, out: Path):
    assert export_model(head_path, out, crops="full+2x2@0.7", patches_output=True, objects=("nut",))
    manifest = read_manifest(out)
    assert manifest.outputs["patches"] == ("N", (SIZE // 8) ** 2, WIDTH)
    assert manifest.input.size == round(SIZE / 0.7) == 46
    assert manifest.objects[0].guiding_anomalous == "a photo of a cracked nut"
    assert manifest.parity.max["patches"] <= 1e-5


def perturb(model: onnx.ModelProto) -> onnx.ModelProto:
    weight = next(t for t in model.graph.initializer if t.name.startswith("head.bias_3"))
    changed = onnx.numpy_helper.to_array(weight) + np.float32(1e-2)
    weight.CopyFrom(onnx.numpy_helper.from_array(changed, weight.name))
    return model


@pytest.mark.parametrize("older", [None, b"the file of yesterday"])
def test_a_graph_that_disagrees_leaves_no_file(
    head_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, older: bytes | None
):
    if older is not None:
        out.write_bytes(older)
    honest = export_onnx.build_graph
    monkeypatch.setattr(export_onnx, "build_graph", lambda *args, **named: perturb(honest(*args, **named)))
    with pytest.raises(ParityError, match="disagrees") as caught:
        export_model(head_path, out, unverified=True)  # a comparison that can be made is made all the same
    assert caught.value.report.max["score"] > 1e-5
    assert [path.name for path in out.parent.iterdir()] == ([] if older is None else [out.name])
    assert older is None or out.read_bytes() == older


def test_without_a_backend_only_an_unverified_file_is_written(
    head_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPart, match="pip install"):
        export_model(head_path, out)
    assert not out.exists()
    assert not export_model(head_path, out, unverified=True)
    assert read_manifest(out).parity.status == "not run"


def test_other_weights_are_refused(head_path: Path, tiny: Encoder, out: Path, tmp_path: Path):
    state = torch.load(tiny.weights, weights_only=True)
    state["visual.class_embedding"] += 1
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(EncoderError, match="other weights"):
        export_model(head_path, out, encoder_spec=f"tiny-vit:{tmp_path / 'other.pt'}")
    assert not out.exists()


def test_another_encoder_is_refused(head_path: Path, out: Path):
    with pytest.raises(HeadMismatch, match="tiny-vit"):
        export_model(head_path, out, encoder_spec="mini")


@pytest.mark.parametrize(
    "wrong",
    [
        {"fit": "stretch"},
        {"precision": "int3"},
        {"opset": 17},
        {"w_pr": -1.0},
        {"w_pr": 0.0, "w_fnn": 0.0},
        {"w_fnn": float("nan")},
    ],
)
def test_settings_out_of_range(head_path: Path, out: Path, wrong: dict[str, object]):
    with pytest.raises(SettingError, match="got"):
        export_model(head_path, out, **wrong)


def test_the_head_is_not_overwritten(head_path: Path):
    before = head_path.read_bytes()
    with pytest.raises(OutputError, match="head itself"):
        export_model(head_path, head_path)
    assert head_path.read_bytes() == before


@pytest.mark.usefixtures("written_anew")  # what torch says while it writes is looked at, too
def test_the_command_prints_the_report_and_warns_of_what_is_not_seen(head_path: Path, out: Path, tmp_path: Path):
    import typer
    from typer.testing import CliRunner

    from wordsight.export.cli import export

    app = typer.Typer()
    app.command()(export)
    figures = tmp_path / "figures.json"
    result = CliRunner().invoke(app, [str(head_path), "-o", str(out), "--weights", "1", "2", "--json", str(figures)])
    assert result.exit_code == 0, result.output
    assert "parity: passed" in result.stdout
    assert "s_fnn" in result.stdout
    assert "torch.onnx" not in result.output
    assert "56.2% of a 1920x1080 frame" in result.stderr  # 1080 of 1920 columns
    written = {figure["name"]: figure for figure in json.loads(figures.read_text(encoding="utf-8"))["figures"]}
    assert written["drift.fp32.max"]["value"] == read_manifest(out).parity.max["score"]
    assert written["file.size"]["value"] == out.stat().st_size


def test_the_command_checks_its_output_before_any_work(head_path: Path, tmp_path: Path):
    import typer
    from typer.testing import CliRunner

    from wordsight.export.cli import export

    app = typer.Typer()
    app.command()(export)
    result = CliRunner().invoke(app, [str(head_path), "-o", str(tmp_path / "absent" / "model.onnx")])
    assert isinstance(result.exception, OutputError)


def test_the_golden_frame_scores_as_the_manifest_says(head_path: Path, tiny: Encoder, out: Path):
    export_model(head_path, out)
    with Model(out, backend="ort") as model:
        assert "of the manifest" in require_golden(model)
        assert model.manifest.golden.tolerance == 1e-4
