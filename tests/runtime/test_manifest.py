import json
from dataclasses import replace
from pathlib import Path

import pytest

from wordsight.runtime.errors import (
    ExternalDataRefused,
    ManifestInvalid,
    ManifestMissing,
    ManifestTooNew,
    ModelDamaged,
    ModelError,
)
from wordsight.runtime.manifest import CropSpec, Manifest, ObjectSpec, read_manifest


@pytest.fixture
def data(onnx_writer):
    return json.loads(onnx_writer.manifest().to_json())


def test_round_trip(onnx_writer, tiny_model):
    manifest = onnx_writer.manifest()
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert read_manifest(tiny_model) == manifest


def test_unknown_keys_are_ignored(data, onnx_writer):
    data["later"] = {"x": 1}
    data["encoder"]["later"] = 2
    assert Manifest.from_json(json.dumps(data)) == onnx_writer.manifest()


def paths(value, prefix=()):
    for key, inner in value.items():
        if prefix[:1] not in (("training",), ("tools",), ("outputs",)):
            yield (*prefix, key)
            if isinstance(inner, dict):
                yield from paths(inner, (*prefix, key))


LATER_KEYS = ("crops", "objects", "heatmap", "winclip", "camera", "frame", "centre", "cost", "drift")
LATER = (
    "golden",
    "crops",
    "objects",
    "heatmap",
    "winclip",
    "centre",
    "cost",
    "drift",
    ("input", "camera"),
    ("input", "frame"),
)  # keys that files of the first version do not have


def test_every_missing_key_is_named(data):
    whole = json.dumps(data)
    every = [p for p in paths(data) if p[0] not in ("training", "tools", "outputs") or len(p) == 1]
    every = [p for p in every if p[0] not in LATER and p not in LATER]
    assert len(every) > 35
    for path in every:
        broken = json.loads(whole)
        place = broken
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        with pytest.raises(ManifestInvalid, match=rf"\b{'.'.join(path)}\b"):
            Manifest.from_json(json.dumps(broken))


def test_a_file_from_before_there_were_crops_and_objects_reads_as_one_square_and_one_object(data, onnx_writer):
    del data["crops"], data["objects"], data["input"]["camera"], data["heatmap"], data["winclip"], data["centre"]
    del data["input"]["frame"]
    assert Manifest.from_json(json.dumps(data)) == onnx_writer.manifest()


def test_the_manifest_of_the_first_packaged_model_is_such_a_file():
    text = Path(__file__).with_name("first_manifest.json").read_text(encoding="utf-8")
    assert not any(f'"{key}"' in text for key in LATER_KEYS)
    manifest = Manifest.from_json(text)
    assert (manifest.crops.name, manifest.crops.boxes, manifest.objects) == ("single", (), ())
    assert manifest.heatmap.way == ""
    assert manifest.centre.count == 0
    assert (manifest.winclip.temperature, manifest.winclip.mean, manifest.winclip.templates) == (0.01, "raw", 22)
    assert (manifest.cost.flops, manifest.golden.pattern) == (0, "")
    assert manifest.input.shape == (96, 96)


def test_crops_tiles_and_objects_make_the_round_trip(onnx_writer):
    plain = onnx_writer.manifest()
    manifest = onnx_writer.manifest(
        input=replace(plain.input, fit="tiles", size=9, camera=(9, 16)),
        crops=CropSpec(name="single", boxes=((0, 0, 9), (0, 7, 9))),
        objects=(ObjectSpec(name="nut", guiding_normal="a nut", guiding_anomalous="a bad nut"),),
        outputs={**plain.outputs, "s_pr_objects": ("N", 1)},
    )
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.input.shape == (9, 16)


def test_a_resize_in_the_graph_parts_what_is_taken_from_what_squares_are_cut_from(onnx_writer):
    plain = onnx_writer.manifest()
    inside = CropSpec(name="x", boxes=((0, 0, 8),))
    spec = replace(plain.input, frame=(480, 640))
    manifest = onnx_writer.manifest(schema=2, input=spec, crops=inside)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert (manifest.input.shape, manifest.input.fitted) == ((480, 640), (8, 8))
    assert [spec.most_frames(batch) for batch in (1, 8, 10_000)] == [1, 8, (64 << 20) // (480 * 640 * 3)]
    assert replace(spec, frame=(4000, 6000)).most_frames(32) == 1
    assert plain.input.most_frames(10_000) == 10_000
    with pytest.raises(ManifestInvalid, match=r"crops.boxes\[0\]"):
        onnx_writer.manifest(schema=2, input=spec, crops=CropSpec(name="x", boxes=((0, 0, 480),)))


NUT = {"name": "nut", "guiding_normal": "a nut", "guiding_anomalous": "a bad nut"}


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("crops.boxes[0]", {"crops": {"name": "x", "boxes": [[0, 0, 9]]}}),
        ("crops.boxes[1]", {"crops": {"name": "x", "boxes": [[0, 0, 8], [-1, 0, 4]]}}),
        ("crops.boxes[0]", {"crops": {"name": "x", "boxes": [[0, 0, 0]]}}),
        ("crops.boxes[0]", {"crops": {"name": "x", "boxes": [[0, 0]]}}),
        ("crops.name", {"crops": {"name": "", "boxes": []}}),
        ("objects", {"objects": [NUT, NUT], "outputs.s_pr_objects": ["N", 2]}),
        ("objects[0].guiding_normal", {"objects": [{"name": "nut", "guiding_anomalous": "a bad nut"}]}),
        ("outputs.s_pr_objects", {"objects": [NUT], "outputs.s_pr_objects": ["N", 2]}),
        ("outputs", {"objects": [NUT]}),
        ("outputs.s_pr_objects", {"outputs.s_pr_objects": ["N", 1]}),
        ("outputs", {"heatmap": {"way": "grid", "blocks": 0}}),
        ("outputs.heatmap", {"heatmap": {"way": "grid", "blocks": 0}, "outputs.heatmap": ["N", 144]}),
        ("outputs.heatmap", {"outputs.heatmap": ["N"]}),
        ("heatmap.blocks", {"heatmap": {"way": "value-value attention", "blocks": -1}, "outputs.heatmap": ["N", 2, 2]}),
        ("heatmap.way", {"heatmap": {"way": "magic", "blocks": 0}, "outputs.heatmap": ["N", 2, 2]}),
        ("centre.count", {"centre": {"pictures": "the user's", "count": -1}}),
        ("centre.pictures", {"centre": {"pictures": "/home/me/frames", "count": 3}}),
        ("winclip.temperature", {"winclip": {"temperature": 0, "mean": "raw", "templates": 22}}),
        ("winclip.templates", {"winclip": {"temperature": 0.01, "mean": "raw", "templates": 23}}),
        ("winclip.mean", {"winclip": {"temperature": 0.01, "mean": "median", "templates": 22}}),
        ("schema", {"input.frame": [480, 640]}),
        ("schema", {"schema": 2}),
        ("input.frame", {"schema": 2, "input.frame": [480]}),
        ("input.frame", {"schema": 2, "input.frame": [480, 0]}),
        ("input.frame", {"schema": 2, "input.frame": [480, 100_000]}),
        ("input.frame", {"schema": 2, "input.fit": "tiles", "input.camera": [9, 16], "input.frame": [9, 16]}),
        ("input.camera", {"input.fit": "tiles"}),
        ("input.camera", {"input.camera": [9, 16]}),
        ("input.camera", {"input.fit": "tiles", "input.camera": [9, 0]}),
        ("input.camera", {"input.fit": "tiles", "input.camera": [9, 900]}),
        ("crops.boxes", {"input.fit": "tiles", "input.camera": [9, 16]}),
    ],
)
def test_what_contradicts_itself_in_later_keys_is_named(data, key, changes):
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = data
        for parent in parents:
            place = place[parent]
        place[last] = value
    with pytest.raises(ManifestInvalid) as caught:
        Manifest.from_json(json.dumps(data))
    assert str(caught.value).startswith(f"manifest key {key}")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", 0), ("schema", "1"), ("created", "yesterday"), ("wordsight", 1), ("opset", 0), ("opset", True),
        ("precision", ""), ("input", []), ("input.size", 0), ("input.size", 240.0), ("input.size", 10**9),
        ("input.colour", "RGB"), ("input.fit", "stretch"), ("input.mean", [0, 0]), ("input.std", [1, 1, 0]),
        ("input.mean", [0, 0, "0"]), ("outputs", {}), ("outputs.score", ["N", 1]), ("outputs.embedding", ["N", 4]),
        ("outputs.extra", [1]), ("outputs.extra", ["N", 0]), ("outputs.extra", ["N", 1.5]),
        ("encoder.sha256", "A" * 64), ("encoder.embed_dim", -1), ("encoder.weights", "/home/me/x.pt"),
        ("score.w_pr", -1), ("score.w_pr", None), ("score.temperature", 0), ("score.formula", "s_pr"),
        ("head.seeds", []), ("head.seeds", [-1]), ("head.seeds", 3), ("head.sha256", "b"), ("training", []),
        ("parity.status", "skipped"), ("parity.frames", -1), ("parity.max", {"score": "0"}), ("tools", {"a": 1}),
    ],
)  # fmt: skip
def test_wrong_values_are_named(data, path, value):
    *parents, last = path.split(".")
    place = data
    for key in parents:
        place = place[key]
    place[last] = value
    with pytest.raises(ManifestInvalid, match=path.replace(".", r"\.")) as caught:
        Manifest.from_json(json.dumps(data))
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_must_be_finite(data, number):
    with pytest.raises(ManifestInvalid, match=r"score\.w_pr"):
        Manifest.from_json(json.dumps(data).replace('"w_pr": 1.0', f'"w_pr": {number}'))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"schema": 1, "schema": 1}', "null"])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(ManifestInvalid):
        Manifest.from_json(text)


def test_a_newer_schema_is_told_apart_whatever_else_it_holds():
    with pytest.raises(ManifestTooNew, match=r"schema 3.*up to 2"):
        Manifest.from_json('{"schema": 3}')


@pytest.fixture
def written(tmp_path, onnx_writer):
    def write(*parts):
        path = tmp_path / "model.onnx"
        path.write_bytes(b"".join(parts))
        return path

    return write


@pytest.fixture
def no_session(monkeypatch):
    """Fails the test if anything opens an engine."""
    import onnxruntime

    def opened(*_args, **_kwargs):
        raise AssertionError("a session was opened")

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)


@pytest.mark.usefixtures("no_session")
def test_bad_files_are_refused_before_a_session_exists(written, onnx_writer, tmp_path):
    from wordsight.runtime import Model

    parts = onnx_writer.model_parts()
    whole = b"".join(parts)
    newer = onnx_writer.entry("wordsight", '{"schema": 9}')
    external = onnx_writer.message(7, onnx_writer.message(5, onnx_writer.message(8, "w"), onnx_writer.integer(14, 1)))
    cases = [
        ((whole[: len(whole) // 2],), ModelDamaged, "truncated"),
        ((b"".join(onnx_writer.model_parts("")),), ManifestMissing, "wordsight export"),
        ((*onnx_writer.model_parts(""), newer), ManifestTooNew, "schema 9"),
        ((whole, newer), ModelDamaged, "given twice"),
        ((whole, external), ExternalDataRefused, "tensor 'w'"),
        ((b"PK\x03\x04" + whole,), ModelDamaged, "zip archive"),
        ((b"",), ModelError, "empty"),
        ((b"hello world",), ModelDamaged, "not an ONNX file"),
    ]
    for content, error, says in cases:
        with pytest.raises(error, match=says) as caught:
            Model(written(*content))
        assert "model.onnx" in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no such model"):
        Model(tmp_path / "absent.onnx")
    with pytest.raises(ModelError, match="is a folder"):
        Model(tmp_path)


def test_a_graph_without_a_promised_output_is_refused(written, onnx_writer):
    body = onnx_writer.graph().replace(onnx_writer.value(12, "s_pr", 1, ["batch"]), b"")
    with pytest.raises(ModelDamaged, match=r"lacks.*s_pr"):
        read_manifest(written(*onnx_writer.model_parts(body=body)))
