"""config.pbtxt as Triton's own schema reads it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordsight.runtime.errors import SettingError
from wordsight.runtime.golden import golden_spec
from wordsight.runtime.manifest import Manifest
from wordsight.runtime.triton.config import Serving, config_text, opened, read_back, sealed

text_format = pytest.importorskip("google.protobuf.text_format", reason="pip install 'wordsight[remote]'")
schema = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="pip install 'wordsight[remote]'")
pytestmark = pytest.mark.scale
GOLDEN = golden_spec([0.75, 0.5, 0.25], parity=1e-5, drift=0.0)


def parsed(text):
    return text_format.Parse(text, schema.ModelConfig())


@pytest.fixture
def manifest(onnx_writer):
    return onnx_writer.manifest(
        golden=GOLDEN, outputs={**onnx_writer.manifest().outputs, "heatmap": ("N", "h", 4)}, **heat(onnx_writer)
    )


def heat(onnx_writer):
    return {"heatmap": onnx_writer.HeatmapSpec(way="grid")}


def test_every_field_is_what_the_file_and_the_settings_say(manifest):
    serving = Serving(
        kind="onnxruntime", batch=16, delay_ms=2.5, instances=2, device="gpu:0,3", threads=5, drop_after_s=60
    )
    config = parsed(config_text("press", 7, serving, manifest, {"wordsight_sha256": "ab" * 32}))
    assert (config.name, config.platform, config.backend) == ("press", "onnxruntime_onnx", "")
    assert config.max_batch_size == 16
    assert list(config.version_policy.specific.versions) == [7]
    (frames,) = config.input
    assert (frames.name, frames.data_type, list(frames.dims)) == ("frames", schema.TYPE_UINT8, [8, 8, 3])
    outputs = {output.name: output for output in config.output}
    assert list(outputs) == list(manifest.outputs)
    assert {output.data_type for output in config.output} == {schema.TYPE_FP32}
    assert list(outputs["embedding"].dims) == [3]
    assert not outputs["embedding"].HasField("reshape")
    assert list(outputs["heatmap"].dims) == [-1, 4]
    assert list(outputs["score"].dims) == [1]  # Triton wants one; reshape says that the file has none
    assert outputs["score"].HasField("reshape")
    assert list(outputs["score"].reshape.shape) == []
    (group,) = config.instance_group
    assert (group.count, group.kind, list(group.gpus)) == (2, schema.ModelInstanceGroup.KIND_GPU, [0, 3])
    assert config.dynamic_batching.max_queue_delay_microseconds == 2500
    policy = config.dynamic_batching.default_queue_policy
    assert (policy.allow_timeout_override, policy.default_timeout_microseconds) == (True, 60_000_000)
    told = {key: value.string_value for key, value in config.parameters.items()}
    assert Manifest.from_json(told.pop("wordsight")) == manifest
    assert told == {"wordsight_sha256": "ab" * 32, "intra_op_thread_count": "5"}
    assert [sample.batch_size for sample in config.model_warmup] == [1, 16]
    for sample in config.model_warmup:
        assert sample.inputs["frames"].input_data_file == "golden"
        assert list(sample.inputs["frames"].dims) == [8, 8, 3]


@pytest.mark.parametrize(
    ("kind", "device", "platform", "backend", "group"),
    [
        ("onnxruntime", "auto", "onnxruntime_onnx", "", "KIND_AUTO"),
        ("onnxruntime", "cpu", "onnxruntime_onnx", "", "KIND_CPU"),
        ("tensorrt", "auto", "tensorrt_plan", "", "KIND_GPU"),
        ("python", "auto", "", "python", "KIND_CPU"),
        ("python", "gpu", "", "python", "KIND_GPU"),
    ],
)
def test_each_kind_names_its_backend_and_device(manifest, kind, device, platform, backend, group):
    config = parsed(config_text("m", 1, Serving(kind=kind, batch=1, device=device), manifest, {}))
    assert (config.platform, config.backend) == (platform, backend)
    assert config.instance_group[0].kind == getattr(schema.ModelInstanceGroup, group)
    assert [sample.batch_size for sample in config.model_warmup] == [1]
    # Any limit of the queue turns Triton's prefetching off, and its batcher then sleeps while frames wait.
    assert config.HasField("dynamic_batching")
    assert not config.dynamic_batching.HasField("default_queue_policy")


def test_without_a_golden_frame_it_warms_up_with_a_black_one(onnx_writer):
    config = parsed(config_text("m", 1, Serving(kind="python", batch=2), onnx_writer.manifest(), {}))
    assert all(sample.inputs["frames"].zero_data for sample in config.model_warmup)
    assert all("black" in sample.name for sample in config.model_warmup)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_ours_and_from_protobufs_reader(onnx_writer, text):
    written = config_text("m", 3, Serving(kind="python", batch=1), onnx_writer.manifest(), {"key": text})
    assert parsed(written).parameters["key"].string_value == text
    assert read_back(opened(written))[0] == 3
    assert read_back(opened(written))[1]["key"] == text


def test_a_changed_text_is_known():
    text = sealed("name: one\nbatch: 2\n")
    assert opened(text) == "name: one\nbatch: 2\n"
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(text), 40):
        changed = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        assert opened(changed) is None
    assert opened("name: one\n") is None
    assert opened("") is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"device": "tpu"}, "expected auto, cpu, gpu"),
        ({"device": "gpu:0,"}, "expected auto, cpu, gpu"),
        ({"kind": "tensorrt", "device": "cpu"}, "runs on a GPU alone"),
        ({"kind": "tensorrt", "threads": 2}, "runs on a GPU alone"),
    ],
)
def test_settings_that_cannot_be_served_are_refused(settings, says):
    with pytest.raises(SettingError, match=says):
        Serving(**{"kind": "python", "batch": 1, **settings})
