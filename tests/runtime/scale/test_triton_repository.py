"""`wordsight triton`: what a repository holds afterwards, and what is refused with nothing changed."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from wordsight.runtime.backends.cuda import Cuda
from wordsight.runtime.backends.engine_files import engine_folder
from wordsight.runtime.backends.tensorrt_cache import build_into_cache
from wordsight.runtime.golden import golden_frame, golden_spec
from wordsight.runtime.manifest import HeadSpec, InputSpec, Manifest, read_manifest
from wordsight.runtime.triton import plan, repository
from wordsight.runtime.triton.config import Serving, opened, read_back

pytestmark = pytest.mark.scale


@pytest.fixture
def model(tmp_path, onnx_writer):
    """Write a tiny model beside the repository: (file name, changes to the manifest) -> path."""

    def write(name="press.onnx", **changes):
        facts = {"golden": golden_spec([0.75, 0.5, 0.25], parity=1e-5, drift=0.0), **changes}
        path = tmp_path / name
        path.write_bytes(b"".join(onnx_writer.model_parts(onnx_writer.manifest(**facts).to_json())))
        return path

    return write


@pytest.fixture
def place(tmp_path):
    return tmp_path / "models"


def retrained(**changes):
    return {"head": HeadSpec(sha256="c" * 64, seeds=(1,)), **changes}


def served(folder):
    version, told = read_back(opened((folder / "config.pbtxt").read_text()))
    return version, told["wordsight_sha256"], Manifest.from_json(told["wordsight"])


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_new_model_is_whole_and_says_how_to_serve_it(wordsight, model, place):
    path = model()
    done = wordsight("triton", path, "-o", place)
    assert done.code == 0, done.err
    assert sorted(tree(place)) == ["press/1/model.onnx", "press/config.pbtxt", "press/warmup/golden"]
    assert (place / "press/1/model.onnx").read_bytes() == path.read_bytes()
    frame = np.frombuffer((place / "press/warmup/golden").read_bytes(), np.uint8).reshape(8, 8, 3)
    np.testing.assert_array_equal(frame, golden_frame(8, 8))
    assert served(place / "press") == (1, sha256(path), read_manifest(path))
    assert f"tritonserver --model-repository {place}" in done.out
    assert "grpc://HOST:8001/press" in done.out
    assert "warm-up   the golden frame" in done.out


def test_a_file_without_a_golden_frame_is_served_and_that_is_said(wordsight, tiny_model, place):
    done = wordsight("triton", tiny_model, "-o", place, "--kind", "python", "--name", "line-3")
    assert done.code == 0, done.err
    assert "the manifest has no golden frame" in done.out
    assert sorted(tree(place)) == ["line-3/1/model.onnx", "line-3/1/model.py", "line-3/config.pbtxt"]


def test_another_version_is_added_and_the_one_before_stays(wordsight, model, place):
    first = model()
    assert wordsight("triton", first, "-o", place).code == 0
    before = tree(place)
    second = model("better.onnx", **retrained())
    done = wordsight("triton", second, "-o", place, "--name", "press")
    assert done.code == 0, done.err
    assert "2 (served in the place of 1)" in done.out
    assert served(place / "press")[:2] == (2, sha256(second))
    after = tree(place)
    assert after.pop("press/2/model.onnx") == second.read_bytes()
    del after["press/config.pbtxt"], before["press/config.pbtxt"]
    assert after == before
    # And back: the older file again is a version of its own, never a change of one.
    assert wordsight("triton", first, "-o", place).code == 0
    assert served(place / "press")[:2] == (3, sha256(first))


def test_the_same_file_again_only_changes_how_it_is_served(wordsight, model, place):
    path = model()
    assert wordsight("triton", path, "-o", place).code == 0
    done = wordsight("triton", path, "-o", place, "--batch", "4", "--delay-ms", "1")
    assert done.code == 0, done.err
    assert "1 (already there" in done.out
    assert "max_batch_size: 4\n" in (place / "press/config.pbtxt").read_text()
    assert sorted(tree(place)) == ["press/1/model.onnx", "press/config.pbtxt", "press/warmup/golden"]


def test_a_version_that_was_damaged_is_not_mended_but_followed(wordsight, model, place):
    path = model()
    assert wordsight("triton", path, "-o", place).code == 0
    (place / "press/1/model.onnx").write_bytes(path.read_bytes()[:-1])
    assert wordsight("triton", path, "-o", place).code == 0
    assert served(place / "press")[0] == 2
    assert (place / "press/2/model.onnx").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("encoder", {"encoder": {"sha256": "d" * 64}}),
        ("object", {"prompts": {"object": "screw"}}),
        ("input", {"input": {"mean": (0.1, 0.1, 0.1)}}),
        ("outputs", {"outputs": {"s_fnn_seeds": ("N", 1)}}),
    ],
)
def test_another_model_of_the_same_name_is_refused(wordsight, model, place, onnx_writer, monkeypatch, what, changes):
    assert wordsight("triton", model(), "-o", place).code == 0
    before = tree(place)
    there = json.loads(onnx_writer.manifest().to_json())
    for key, more in changes.items():
        there[key].update(more)
    # The graph has no such output: what is refused here is the name, before the file would be.
    monkeypatch.setattr("wordsight.runtime.manifest.read_manifest", lambda path: Manifest.from_json(json.dumps(there)))
    done = wordsight("triton", model("other.onnx", **retrained()), "-o", place, "--name", "press")
    assert done.code == 2
    assert f"holds another model: its {what} differs" in done.err
    assert "take another --name" in done.err
    assert tree(place) == before


def test_a_configuration_that_a_person_changed_is_kept(wordsight, model, place):
    assert wordsight("triton", model(), "-o", place).code == 0
    config = place / "press/config.pbtxt"
    config.write_text(config.read_text().replace("max_batch_size: 32", "max_batch_size: 64"))
    before = tree(place)
    done = wordsight("triton", model(**retrained()), "-o", place)
    assert done.code == 2
    assert "was changed by hand" in done.err
    assert tree(place) == before
    config.unlink()
    done = wordsight("triton", model(**retrained()), "-o", place)
    assert done.code == 2
    assert "is no model of wordsight triton" in done.err


def test_a_folder_of_somebody_else_is_left_alone(wordsight, model, place):
    (place / "press").mkdir(parents=True)
    (place / "press" / "thesis.tex").write_text("words")
    done = wordsight("triton", model(), "-o", place)
    assert done.code == 2
    assert "is no model of wordsight triton" in done.err
    assert tree(place) == {"press/thesis.tex": b"words"}


def test_what_a_killed_run_left_is_cleared_away(wordsight, model, place):
    (place / "press" / ".wordsight-0123.part").mkdir(parents=True)
    (place / "press" / ".wordsight-0123.part" / "model.onnx").write_bytes(b"half")
    assert wordsight("triton", model(), "-o", place).code == 0
    assert sorted(tree(place)) == ["press/1/model.onnx", "press/config.pbtxt", "press/warmup/golden"]


def test_one_that_was_killed_before_its_last_file_is_finished_by_the_same_command(wordsight, model, place):
    path = model()
    assert wordsight("triton", path, "-o", place).code == 0
    whole = tree(place)
    (place / "press/config.pbtxt").unlink()
    assert wordsight("triton", path, "-o", place).code == 0
    assert tree(place) == whole


def test_two_at_once_give_two_whole_versions(model, place):
    paths = [model(f"{at}.onnx", head=HeadSpec(sha256=f"{at}" * 64, seeds=(0,))) for at in range(4)]
    serving = Serving(kind="onnxruntime", batch=4)

    def write(path):
        return repository.write_model(place, "press", path, read_manifest(path), sha256(path), serving, None).version

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(write, paths))
    assert sorted(versions) == [1, 2, 3, 4]
    for version, path in zip(versions, paths, strict=True):
        assert (place / f"press/{version}/model.onnx").read_bytes() == path.read_bytes()
    last = paths[versions.index(4)]
    assert served(place / "press") == (4, sha256(last), read_manifest(last))


@pytest.mark.parametrize("served_before", [False, True])
@pytest.mark.parametrize("fails_at", ["model.onnx", "config.pbtxt"])
def test_a_write_that_fails_leaves_what_was_there(wordsight, model, place, monkeypatch, served_before, fails_at):
    if served_before:
        assert wordsight("triton", model(), "-o", place).code == 0
    before = tree(place) if served_before else {}
    real = repository.whole_file

    def full(path, *words, **named):
        if path.name == fails_at:
            raise OSError(28, "No space left on device", str(path))
        return real(path, *words, **named)

    monkeypatch.setattr(repository, "whole_file", full)
    done = wordsight("triton", model(**retrained()), "-o", place)
    assert done.code == 2
    assert "no space left on device" in done.err
    assert tree(place) == before
    assert [path.name for path in place.iterdir()] == (["press"] if served_before else [])


def test_a_full_disk_leaves_nothing_half(wordsight, small_disk):
    from wordsight.runtime.demo import demo_model

    small_disk.fill(left=1 << 20)
    done = wordsight("triton", demo_model(), "-o", small_disk.path / "models")
    assert done.code == 2
    assert len(done.lines) == 1
    assert list((small_disk.path / "models").iterdir()) == []
    small_disk.free()


def test_a_file_that_changes_while_it_is_copied_is_refused(wordsight, model, place, monkeypatch):
    path = model()
    monkeypatch.setattr("wordsight.runtime.files.file_sha256", lambda path: "0" * 64)
    done = wordsight("triton", path, "-o", place)
    assert done.code == 2
    assert "was changed while it was copied" in done.err
    assert tree(place) == {}


def test_frames_that_the_graph_resizes_are_batched_within_its_memory(wordsight, model, place):
    big = InputSpec(size=8, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), frame=(1500, 2000))
    path = model(input=big, schema=2)
    done = wordsight("triton", path, "-o", place)
    assert done.code == 0, done.err
    assert "max_batch_size: 7\n" in (place / "press/config.pbtxt").read_text()
    done = wordsight("triton", path, "-o", place, "--batch", "8")
    assert done.code == 2
    assert "of frames of 2000x1500 at most 7 go through at once" in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--name", "a/b"], "--name: expected letters"),
        (["--name", ""], "--name: expected letters"),
        (["--name", ".."], "--name: expected letters"),
        (["--kind", "pytorch"], "'pytorch' is not one of"),
        (["--device", "gpu0"], "--device: expected auto"),
        (["--batch", "0"], "greater than or equal to 1"),
    ],
)
def test_bad_settings_are_one_clear_line(refused, model, place, words, says):
    assert says in refused(2, "triton", model(), "-o", place, *words)
    assert not place.exists()


def test_bad_files_are_one_clear_line(refused, tmp_path, place):
    (tmp_path / "words.onnx").write_text("no model")
    assert "no such model" in refused(2, "triton", tmp_path / "none.onnx", "-o", place)
    assert "words.onnx" in refused(2, "triton", tmp_path / "words.onnx", "-o", place)
    assert not place.exists()


def test_a_repository_that_is_a_file_is_refused(refused, model, tmp_path):
    (tmp_path / "models").write_text("a file")
    assert "cannot make the folder" in refused(2, "triton", model(), "-o", tmp_path / "models")


@pytest.fixture
def board(monkeypatch, trt_stand_in):
    """A machine with a stand-in for a GPU and TensorRT: `build(path, batch)` is `wordsight build`'s work."""
    runtime = trt_stand_in.CudaRuntime()
    module = trt_stand_in.Module(runtime)
    cuda = Cuda(runtime)
    monkeypatch.setattr(plan, "load_module", lambda name: module)
    monkeypatch.setattr(plan, "Cuda", lambda: cuda)
    module.make = lambda path, batch=8: build_into_cache(module, cuda.gpu(), path, read_manifest(path), batch)
    module.runtime = runtime
    return module


def test_a_plan_that_was_built_here_is_served(wordsight, model, place, board):
    path = model()
    engine = board.make(path, 4).path
    done = wordsight("triton", path, "-o", place, "--kind", "tensorrt")
    assert done.code == 0, done.err
    assert (place / "press/1/model.plan").read_bytes() == engine.read_bytes()
    text = (place / "press/config.pbtxt").read_text()
    assert "max_batch_size: 4\n" in text  # the plan's own
    assert 'platform: "tensorrt_plan"' in text
    told = read_back(opened(text))[1]
    assert told["wordsight_sha256"] == sha256(path)
    assert told["wordsight_plan"] == f"tensorrt 10.3.0, Test GPU, sha256 {sha256(engine)}"
    assert "tensorrt 10.3.0, Test GPU: the server needs the same" in done.out
    assert wordsight("triton", path, "-o", place, "--kind", "tensorrt").code == 0
    assert served(place / "press")[0] == 1


def test_without_a_plan_the_line_that_builds_one_is_told(wordsight, model, place, board):
    path = model()
    done = wordsight("triton", path, "-o", place, "--kind", "tensorrt")
    assert done.code == 2
    assert f"no engine yet; wordsight build {path} --backend tensorrt" in done.err
    assert not place.exists()


def test_plans_of_another_machine_version_model_or_owner_are_refused(wordsight, model, place, board):
    path = model()
    engine = board.make(path).path

    def says(expected):
        done = wordsight("triton", path, "-o", place, "--kind", "tensorrt")
        assert done.code == 2
        assert expected in done.err
        assert len(done.lines) == 1
        assert not place.exists()

    board.__version__ = "10.7.0"
    says("version 10.3.0, here 10.7.0")
    board.__version__ = "10.3.0"
    board.runtime.name = b"Other GPU"
    says("gpu Test GPU, here Other GPU")
    board.runtime.name = b"Test GPU"
    board.runtime.capability = (9, 0)
    says("capability SM89, here SM90")
    board.runtime.capability = (8, 9)
    data = engine.read_bytes()
    engine.write_bytes(data + b" ")
    says("its hash is not that of its sidecar")
    engine.write_bytes(data)
    engine.chmod(0o666)
    says("is open to other users")
    engine.chmod(0o600)
    engine_folder(path).chmod(0o755)
    says("is open to other users")
    engine_folder(path).chmod(0o700)
    model(**retrained())
    says("model_sha256")
    # A plan from elsewhere, put where ours would be: its sidecar is missing.
    model()
    elsewhere = data.replace(b"10.3.0", b"9.99.9")
    shutil.rmtree(engine_folder(path))
    engine_folder(path).mkdir(mode=0o700)
    engine.write_bytes(elsewhere)
    engine.chmod(0o600)
    says("half-written: its sidecar is missing")


def test_a_plan_for_fewer_frames_is_refused(wordsight, model, place, board):
    path = model()
    board.make(path, 2)
    done = wordsight("triton", path, "-o", place, "--kind", "tensorrt", "--batch", "4")
    assert done.code == 2
    assert "the plan there takes 2 frames at most" in done.err


def test_without_a_gpu_it_says_so(wordsight, model, place, board):
    board.runtime.gpus = 0
    done = wordsight("triton", model(), "-o", place, "--kind", "tensorrt")
    assert done.code == 3
    assert len(done.lines) == 1
    assert not place.exists()
