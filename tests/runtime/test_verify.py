"""`wordsight verify` without torch: differences against numpy, decisions by hand, and every planted fault is caught."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wordsight.runtime import MissingPart, ModelError
from wordsight.runtime.backends.base import Backend
from wordsight.runtime.verify import ENGINES, verify

NAMES = ("score", "s_pr", "s_fnn", "embedding")


class Fake(Backend):
    """Says of each frame what a table has for its first pixel; `alone` is added where one frame comes by itself."""

    def __init__(self, name, table, alone=0.0, fails=False):
        self.name, self.table, self.alone, self.fails, self.closed = name, table, alone, fails, False

    def infer(self, frames):
        if self.fails:
            raise ModelError("sticky error")
        rows = frames[:, 0, 0, 0]
        shift = np.float32(self.alone if len(frames) == 1 else 0)
        return {name: (values[rows] + shift).astype(np.float32) for name, values in self.table.items()}

    def close(self):
        self.closed = True


def table(scores, shift=0.0):
    scores = np.asarray(scores, np.float32)
    return {
        "score": scores + np.float32(shift), "s_pr": scores / 2, "s_fnn": scores / 2,
        "embedding": np.stack([scores, -scores, scores], 1),
    }  # fmt: skip


def frames(count):
    """Frames that carry their own number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 8, 8, 3)).copy()


@pytest.fixture
def compare(onnx_writer):
    """Run `verify` on {(file, backend): Fake or an error}, where files are {name: precision}."""

    def run(files, machines, count=5, **options):
        from wordsight.runtime.manifest import ParitySpec

        parity = ParitySpec(status="not run", tolerance=1e-3)
        known = [(Path(n), onnx_writer.manifest(precision=p, parity=parity)) for n, p in files.items()]

        def open_one(name, path, manifest, **more):
            found = machines.get((path.name, name), MissingPart(f"{name} is not installed", "pip install it"))
            if isinstance(found, Exception):
                raise found
            return found

        found = verify(known, frames(count), open_one=open_one, **options)
        assert all(fake.closed for fake in machines.values() if isinstance(fake, Fake))
        return found, {(run.path.name, run.backend): run for run in found.runs}

    return run


def test_differences_are_numpys(compare):
    rng = np.random.default_rng(0)
    mine, theirs = ({name: rng.random((21, *shape)).astype(np.float32) for name, shape in
                     (("score", ()), ("s_pr", ()), ("s_fnn", ()), ("embedding", (3,)))} for _ in range(2))  # fmt: skip
    machines = {("a", "ort-cpu"): Fake("x", mine), ("a", "openvino"): Fake("y", theirs)}
    _, runs = compare({"a": "fp32"}, machines, count=21)
    run = runs["a", "openvino"]
    assert runs["a", "ort-cpu"].state == "reference"
    # Every frame once in batches of 8, and frames 1, 3, 5 and 7 once more by themselves.
    rows = [*range(21), 1, 3, 5, 7]
    for name in NAMES:
        apart = np.abs(mine[name].astype(np.float64) - theirs[name].astype(np.float64))[rows]
        assert run.max[name] == pytest.approx(apart.max(), rel=1e-12)
        assert run.mean[name] == pytest.approx(apart.mean(), rel=1e-12)
    assert run.worst == max(run.max, key=run.max.get)


@pytest.mark.parametrize(
    ("scores", "others", "threshold", "changes", "cut"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0.1, 0.6, 0.8, 0.9], None, 1, 0.5),  # an even count: the median itself
        ([0.1, 0.2, 0.3, 0.8, 0.9], [0.1, 0.2, 0.3001, 0.8, 0.9], None, 0, 0.25),  # an odd one: beside it, not on it
        ([0.5, 0.5, 0.5, 0.7, 0.7], [0.5, 0.5, 0.7, 0.7, 0.5], None, 2, 0.6),  # ties: the gap nearest to the middle
        ([0.1, 0.2, 0.8, 0.9], [0.3, 0.2, 0.1, 0.4], 0.3, 2, 0.3),  # from the threshold on is a defect
    ],
)
def test_changed_decisions_are_counted(compare, scores, others, threshold, changes, cut):
    machines = {("a", "ort-cpu"): Fake("x", table(scores)), ("a", "openvino"): Fake("y", table(others))}
    found, runs = compare({"a": "fp32"}, machines, count=len(scores), threshold=threshold)
    assert found.threshold == pytest.approx(cut)
    assert runs["a", "openvino"].changes == changes


@pytest.mark.parametrize("scores", [[0.5], [0.5, 0.5, 0.5]])
def test_scores_that_no_median_parts_have_no_decisions(compare, scores):
    machines = {("a", "ort-cpu"): Fake("x", table(scores)), ("a", "openvino"): Fake("y", table(scores))}
    found, runs = compare({"a": "fp32"}, machines, count=len(scores))
    assert found.threshold is None
    assert "give --threshold" in found.threshold_reason
    assert runs["a", "openvino"].changes is None
    assert runs["a", "openvino"].state == "agrees"


@pytest.mark.parametrize(
    ("shift", "state"), [(0.0, "agrees"), (9e-4, "agrees"), (1.1e-3, "differs"), (-0.1, "differs"), (np.nan, "differs")]
)
def test_the_verdict_is_by_the_tolerance_of_the_manifest(compare, shift, state):
    scores = np.linspace(0.1, 0.9, 5)
    machines = {("a", "ort-cpu"): Fake("x", table(scores)), ("a", "openvino"): Fake("y", table(scores, shift))}
    _, runs = compare({"a": "fp32"}, machines)
    assert runs["a", "openvino"].state == state
    assert runs["a", "openvino"].worst == "score" or shift == 0


def test_a_fault_of_single_frames_alone_is_caught(compare):
    scores = np.linspace(0.1, 0.9, 5)
    machines = {("a", "ort-cpu"): Fake("x", table(scores)), ("a", "openvino"): Fake("y", table(scores), alone=0.1)}
    _, runs = compare({"a": "fp32"}, machines)
    assert runs["a", "openvino"].state == "differs"


def test_an_engine_that_fails_on_the_way_differs_and_says_so(compare):
    scores = np.linspace(0.1, 0.9, 5)
    machines = {("a", "ort-cpu"): Fake("x", table(scores)), ("a", "openvino"): Fake("y", table(scores), fails=True)}
    _, runs = compare({"a": "fp32"}, machines)
    assert (runs["a", "openvino"].state, runs["a", "openvino"].reason) == ("differs", "failed: sticky error")


@pytest.mark.parametrize(
    ("runs_here", "reference"),
    [
        ([("int8", "ort-cpu"), ("fp32", "ort-cpu"), ("fp32", "openvino")], ("fp32", "ort-cpu")),
        ([("int8", "ort-cpu"), ("fp32", "openvino")], ("int8", "ort-cpu")),
        ([("int8", "openvino"), ("fp32", "openvino-bf16"), ("fp32", "openvino")], ("fp32", "openvino")),
        ([("int8", "openvino"), ("fp32", "openvino-bf16")], ("int8", "openvino")),
    ],
)
def test_the_reference_is_fp32_on_onnxruntime_or_the_best_there_is(compare, runs_here, reference):
    machines = {key: Fake("-".join(key), table(np.linspace(0, 1, 5))) for key in runs_here}
    found, runs = compare({"int8": "int8", "fp32": "fp32"}, machines)
    assert [key for key, run in runs.items() if run.state == "reference"] == [reference]
    assert found.reference == f"{reference[0]} on {'-'.join(reference)}"


def test_what_another_implementation_gave_is_the_reference(compare):
    scores = np.linspace(0.1, 0.9, 5)
    machines = {("a", "ort-cpu"): Fake("x", table(scores, 0.01))}
    found, runs = compare({"a": "fp32"}, machines, expected=table(scores), expected_name="torch 0")
    assert found.reference == "torch 0"
    assert runs["a", "ort-cpu"].state == "differs"
    assert runs["a", "ort-cpu"].max["score"] == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize(
    ("files", "tolerances", "state"),
    [
        ({"a": "fp32"}, {}, "not judged"),  # bf16 arithmetic is not held to what fp32 allows
        ({"a": "fp32"}, {"bf16": 0.05}, "agrees"),
        ({"a": "fp32"}, {"bf16": 0.005}, "differs"),
        ({"a": "fp32", "b": "bf16"}, {"bf16": 0.05}, "differs"),  # the file's own word counts
    ],
)
def test_bf16_arithmetic_on_an_fp32_file_is_held_to_what_bf16_allows(compare, files, tolerances, state):
    scores = np.linspace(0.1, 0.9, 5)
    machines = {
        ("a", "ort-cpu"): Fake("x", table(scores)),
        ("a", "openvino-bf16"): Fake("y", table(scores, 0.01)),
    }
    _, runs = compare(files, machines, tolerances=tolerances)
    assert runs["a", "openvino-bf16"].state == state


def test_where_nothing_runs_it_is_said_what_installs_an_engine(compare):
    with pytest.raises(MissingPart, match="no engine runs here: ort-cpu: ort-cpu is not installed: pip install it"):
        compare({"a": "fp32"}, {})
    with pytest.raises(ModelError, match="no engine here runs a: openvino: no kernel"):
        compare({"a": "fp32"}, {("a", "openvino"): ModelError("no kernel")})
    with pytest.raises(MissingPart, match="only ort-cpu runs a here, and there is nothing to hold it against"):
        compare({"a": "fp32"}, {("a", "ort-cpu"): Fake("x", table(np.linspace(0, 1, 5)))})


# From here on the command itself, with ONNX Runtime.


def write(path, onnx_writer, nudge=0.0, **changes):
    """The tiny model with a tolerance of 1e-5; `nudge` is added to one weight of `score`."""
    from wordsight.runtime.manifest import ParitySpec

    parity = ParitySpec(status="not run", tolerance=1e-5)
    body = onnx_writer.graph()
    weights = np.array([1, 1, 0], np.float32)[:, None] / np.float32(255)
    assert body.count(onnx_writer.tensor("both", weights)) == 1
    other = weights + np.array([[nudge], [0], [0]], np.float32) / np.float32(255)
    body = body.replace(onnx_writer.tensor("both", weights), onnx_writer.tensor("both", other))
    manifest = onnx_writer.manifest(**{"parity": parity, **changes})
    path.write_bytes(b"".join(onnx_writer.model_parts(manifest.to_json(), body)))
    return path


@pytest.fixture
def pair(tmp_path, onnx_writer):
    """Write the tiny model twice, the second with its weight nudged: (nudge, changes of its manifest) -> paths."""
    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")

    def make(nudge=0.0, **changes):
        return write(tmp_path / "a.onnx", onnx_writer), write(tmp_path / "b.onnx", onnx_writer, nudge, **changes)

    return make


def test_equal_files_agree_and_every_output_is_told(wordsight, pair, tmp_path):
    done = wordsight("verify", *pair(precision="int8"), "--backend", "ort-cpu", "--json", tmp_path / "v.json")
    assert done.code == 0, done.err
    assert "1 of 1 agree" in done.out
    assert "held against a.onnx on onnxruntime" in done.out
    assert "16 generated frames (8 patterns, 8 drawn parts)" in done.out
    assert "torch: not run" in done.out
    assert all(f" {name} " in done.out for name in NAMES)
    report = json.loads((tmp_path / "v.json").read_text())
    assert report["command"] == "verify"
    found = {item["name"]: item for item in report["figures"]}
    assert found["verify.agree"]["value"] == 1
    assert found["verify.int8.ort-cpu.max.score"]["value"] == 0
    assert found["verify.int8.ort-cpu.tolerance"]["value"] == 1e-5
    assert found["verify.int8.ort-cpu.decision_changes"] == {
        "name": "verify.int8.ort-cpu.decision_changes", "value": 0, "unit": "", "low": None, "high": None, "n": 16
    }  # fmt: skip
    assert found["verify.fp32.ort-cpu.agree"]["reason"] == "the reference: all others are held against it"


def test_a_nudged_weight_is_caught_with_its_size(wordsight, pair, tmp_path, save_picture):
    for level in (0, 51, 255):
        save_picture(tmp_path / "pictures" / f"{level}.png", level, (8, 8))
    files = pair(nudge=0.1)
    words = ("--backend", "ort-cpu", "--frames", tmp_path / "pictures", "--json", tmp_path / "v.json")
    done = wordsight("verify", *files, *words)
    assert done.code == 1
    assert len(done.lines) <= 8
    assert "differs" in done.out
    assert "0 of 1 agree" in done.out
    found = {item["name"]: item["value"] for item in json.loads((tmp_path / "v.json").read_text())["figures"]}
    assert found["verify.agree"] == 0
    assert found["verify.b.onnx.ort-cpu.max.score"] == pytest.approx(0.1, abs=1e-6)  # blue is 1 in the last picture
    # Each of three frames once, and the middle one, of blue 0.2, once more by itself.
    assert found["verify.b.onnx.ort-cpu.mean.score"] == pytest.approx((0 + 0.02 + 0.1 + 0.02) / 4, abs=1e-6)
    assert found["verify.b.onnx.ort-cpu.max.s_pr"] == 0
    assert wordsight("verify", *pair(nudge=1e-6), *words).code == 0


def test_a_backend_that_is_off_by_a_tenth_is_caught(wordsight, tiny_model, monkeypatch):
    from wordsight.runtime.backends.ort import OrtBackend

    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    from wordsight.runtime import verify as module

    class Off(OrtBackend):
        def infer(self, frames):
            return {name: values + np.float32(0.1) for name, values in super().infer(frames).items()}

    def open_one(name, path, manifest, **options):
        return (OrtBackend if name == "ort-cpu" else Off)(path, manifest)

    monkeypatch.setitem(module.verify.__kwdefaults__, "open_one", open_one)
    done = wordsight("verify", tiny_model, "--backend", "ort-cpu", "--backend", "openvino")
    assert done.code == 1
    assert "1.0e-01" in done.out
    assert len(done.lines) <= 8


def bf16_beside(path, onnx_writer):
    from wordsight.runtime.manifest import ParitySpec

    path.write_bytes(onnx_writer.bf16_model(parity=ParitySpec(status="not run", tolerance=0.02)))
    return path


def test_a_file_that_nothing_here_runs_is_no_success(wordsight, pair, tmp_path, onnx_writer):
    done = wordsight("verify", *pair(), bf16_beside(tmp_path / "c.onnx", onnx_writer), "--backend", "ort-cpu")
    assert done.code == 3
    assert "c.onnx was not verified, nothing here runs bf16: ONNX Runtime cannot load" in done.err
    assert "bf16 files run on: openvino" in done.err
    assert "1 of 1 agree" in done.out
    assert len(done.lines) <= 8


@pytest.mark.openvino
def test_what_a_backend_cannot_run_is_listed_and_no_error(wordsight, pair, tmp_path, onnx_writer):
    words = ("--backend", "ort-cpu", "--backend", "openvino", "--json", tmp_path / "v.json")
    done = wordsight("verify", pair()[0], bf16_beside(tmp_path / "c.onnx", onnx_writer), *words)
    assert done.code == 0, done.err
    assert "not run: ort-cpu on c.onnx: ONNX Runtime cannot load" in done.out
    found = {item["name"]: item for item in json.loads((tmp_path / "v.json").read_text())["figures"]}
    assert found["verify.bf16.ort-cpu.agree"]["value"] is None
    assert "bf16 files run on: openvino" in found["verify.bf16.ort-cpu.agree"]["reason"]
    assert found["verify.bf16.openvino.agree"]["value"] == 1
    assert 1e-5 < found["verify.bf16.openvino.max.score"]["value"] < 0.02  # or it was not bf16 at all
    assert found["verify.bf16.openvino.max.s_pr"]["value"] < 1e-6  # which is fp32 in that file


def test_engines_that_are_not_here_are_told_one_by_one(wordsight, pair):
    done = wordsight("verify", *pair())
    assert done.code == 0, done.err
    for name in ENGINES:
        assert f" {name}" in done.out or f"{name} " in done.out
    assert "not run: ort-cuda: " in done.out or "ort-cuda  " in done.out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["absent.onnx"], 2, "absent.onnx"),
        (["a.onnx", "./a.onnx"], 2, "given twice"),
        (["a.onnx", "other.onnx"], 2, "other.onnx is another model than a.onnx: head differs"),
        (["a.onnx", "--threshold", "often"], 2, "'--threshold': Input should be a valid number"),
        (["a.onnx", "--threshold", "nan"], 2, "expected 0 to 2"),
        (["a.onnx", "--threshold", "2.1"], 2, "expected 0 to 2"),
        (["a.onnx", "--backend", "abacus"], 2, "expected one of ort-cpu"),
        (["a.onnx", "--backend", "auto"], 2, "expected one of ort-cpu"),
        (["a.onnx", "--frames", "empty"], 2, "no picture or video"),
        (["a.onnx", "--frames", "no*.png"], 2, "nothing matches"),
        (["a.onnx", "--frames", "absent.png"], 2, "no frame to compare: absent.png"),
        (["a.onnx", "--frames", "0"], 2, "live source"),
        (["a.onnx", "--json", "nowhere/v.json"], 2, "no such folder"),
        (["a.onnx", "--json", "a.onnx"], 2, "names one of the models"),
        (["a.onnx", "--encoder", "mini"], 2, "go with --head"),
        (["a.onnx", "--head", "absent.safetensors"], 2, "no such file"),
        (["a.onnx", "--head", "other.onnx"], 2, "is not the head in the model"),
        (["a.onnx", "--limit", "0"], 2, "--limit"),
        (["a.onnx", "--backend", "ort-cpu"], 3, "nothing to hold it against"),
        ([], 2, ""),
    ],
)
def test_bad_input_is_one_line(wordsight, tmp_path, onnx_writer, words, code, says):
    pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")
    write(tmp_path / "a.onnx", onnx_writer)
    write(tmp_path / "other.onnx", onnx_writer, head=onnx_writer.HeadSpec(sha256="c" * 64, seeds=(0,)))
    (tmp_path / "empty").mkdir()
    before = (tmp_path / "a.onnx").read_bytes()
    done = wordsight("verify", *words, cwd=tmp_path)
    assert done.code == code
    assert says in " ".join(done.err.split())
    assert len(done.lines) <= 8
    assert (tmp_path / "a.onnx").read_bytes() == before


def test_pictures_that_cannot_be_read_are_told_and_the_rest_is_compared(wordsight, pair, tmp_path, save_picture):
    save_picture(tmp_path / "pictures" / "good.png", 90)
    (tmp_path / "pictures" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = wordsight("verify", *pair(), "--backend", "ort-cpu", "--frames", tmp_path / "pictures")
    assert done.code == 1
    assert "1 could not be read" in done.err
    assert "1 of 1 agree" in done.out
    assert len(done.lines) <= 8


def test_one_frame_is_compared_and_its_decision_is_not(wordsight, pair, tmp_path, save_picture):
    picture = save_picture(tmp_path / "one.png", 90)
    done = wordsight("verify", *pair(), "--backend", "ort-cpu", "--frames", picture)
    assert done.code == 0, done.err
    assert "decisions: not compared" in done.out
    assert "0 of 1" in wordsight("verify", *pair(), "--backend", "ort-cpu", "--frames", picture, "--threshold", 1).out


def test_no_more_frames_are_taken_than_asked_for_and_that_is_said(wordsight, pair, tmp_path, save_video):
    video = save_video(tmp_path / "v.avi", range(0, 250, 20))
    done = wordsight("verify", *pair(), "--backend", "ort-cpu", "--frames", video, "--limit", "4")
    assert done.code == 0, done.err
    assert "4 frames of" in done.out
    assert "the first 4 of more" in done.out


def test_it_runs_where_torch_is_absent(pair):
    absent = ("torch", "torchvision", "open_clip", "onnx", "safetensors", "PIL")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r}))\n"
        "from wordsight.runtime.cli import main; main(sys.argv[1:])"
    )
    words = [sys.executable, "-c", code, "verify", *map(str, pair()), "--backend", "ort-cpu"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 agree" in done.stdout
