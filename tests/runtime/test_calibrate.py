"""`wordsight calibrate`, and `wordsight run` with what it wrote.

The model is `tiny_model`: a plain grey picture of level g scores 2 g / 255.
"""

import json
import os
import shutil

import numpy as np
import pytest

from wordsight.runtime.calibrate import Gathered
from wordsight.runtime.calibrate_cli import spread
from wordsight.runtime.calibration import read_calibration
from wordsight.runtime.manifest import read_manifest
from wordsight.runtime.pictures import read_picture
from wordsight.runtime.sources.cut import mask_sha256, mean_colour
from wordsight.runtime.thresholds import ranks

pytest.importorskip("cv2", reason="pip install 'wordsight[runtime]'")
pytest.importorskip("onnxruntime", reason="pip install 'wordsight[runtime]'")

RATE, NEEDED = "0.1", 29  # at 95% confidence
FILE = "tiny.onnx.calibration.json"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def parts(tmp_path, tiny_model, save_picture):
    """A folder with tiny.onnx, good/ with 60 greys of 60 to 119, and bad/ with one too bright, one like the good."""
    for grey in range(60, 120):
        save_picture(tmp_path / "good" / f"g{grey}.png", grey)
    save_picture(tmp_path / "bad" / "b0.png", np.full((40, 40, 3), (240, 90, 0), np.uint8))  # its grey level is usual
    save_picture(tmp_path / "bad" / "b1.png", np.full((40, 40, 3), (70, 70, 90), np.uint8))
    return tmp_path


def calibrate(wordsight, folder, *words):
    return wordsight("calibrate", "tiny.onnx", "good", "--false-alarms", RATE, *words, cwd=folder)


def test_thresholds_are_the_order_statistics_of_the_good_frames(parts, wordsight):
    done = calibrate(wordsight, parts, "--json", "f.json")
    assert done.code == 0, done.err
    found = read_calibration(parts / FILE)
    low, high = ranks(60, 0.1, 0.95)
    greys = np.arange(60, 120)
    assert found.unsure == pytest.approx(2 * greys[low - 1] / 255, abs=1e-6)
    assert found.defect == pytest.approx(2 * greys[high - 1] / 255, abs=1e-6)
    assert found.frames == 60
    assert found.scores == pytest.approx(2 * greys / 255, abs=1e-6)
    assert (found.gate.darkest, found.gate.brightest) == (60, 119)
    assert f"calibration: {FILE}" in done.out
    figures = {figure["name"]: figure for figure in json.loads((parts / "f.json").read_text())["figures"]}
    assert figures["threshold.defect"]["value"] == found.defect
    assert figures["good.good"]["value"] == pytest.approx(low / 60)
    assert figures["good.unsure"]["value"] == pytest.approx((high - low) / 60)
    assert figures["check.defect"]["value"] is None
    assert sorted(path.name for path in parts.iterdir()) == ["bad", "f.json", "good", "tiny.onnx", FILE]


def test_defects_are_counted_and_move_nothing(parts, wordsight):
    assert calibrate(wordsight, parts).code == 0
    before = read_calibration(parts / FILE)
    done = calibrate(wordsight, parts, "--check", "bad/b0.png", "bad/b1.png", "--json", "f.json")
    assert done.code == 0, done.err
    after = read_calibration(parts / FILE)
    assert (after.unsure, after.defect, after.scores) == (before.unsure, before.defect, before.scores)
    figures = {figure["name"]: figure for figure in json.loads((parts / "f.json").read_text())["figures"]}
    assert (figures["check.defect"]["value"], figures["check.defect"]["n"]) == (0.5, 2)
    assert figures["check.good"]["value"] == 0.5
    assert "missed, lowest scores first: b1.png" in done.out


def test_a_run_decides_by_the_calibration_and_says_so(parts, save_picture, wordsight):
    assert calibrate(wordsight, parts).code == 0
    found = read_calibration(parts / FILE)
    middle = round((found.unsure + found.defect) / 2 * 255)  # 2 g, of blue and green together
    for name, bgr in (
        ("1good", (80, 80, 80)),
        ("2unsure", (middle // 2, middle // 2, 60)),
        ("3defect", (240, 90, 0)),
        ("4dark", (250, 20, 0)),
        ("5bright", (110, 110, 255)),
    ):
        save_picture(parts / "new" / f"{name}.png", np.full((30, 30, 3), bgr, np.uint8))
    done = wordsight("run", "tiny.onnx", "new", "--jsonl", "o.jsonl", "--annotate", "drawn", cwd=parts)
    assert done.code == 0, done.err
    rows = lines(parts / "o.jsonl")
    assert [row["decision"] for row in rows] == ["good", "unsure", "defect", "unsure", "unsure"]
    assert [row.get("reason") for row in rows] == [None, None, None, "too dark", "too bright"]
    assert "1 good, 3 unsure, 1 defect" in done.out
    assert "unsure: too dark" in done.out
    assert f"at most 10% of good frames called defects, 95% sure, from 60 of them ({FILE})" in done.out
    assert len(list((parts / "drawn").iterdir())) == 5
    assert "warning: no frame of 30x30 was among those that it was calibrated on" in done.out
    assert "warning" not in wordsight("run", "tiny.onnx", "bad").out


def test_a_region_is_cut_out_of_every_frame(parts, save_picture, wordsight):
    for grey in range(60, 120):
        whole = np.full((50, 70, 3), 255, np.uint8)
        whole[10:50, 20:60] = grey
        save_picture(parts / "whole" / f"w{grey}.png", whole)
    save_picture(parts / "whole" / "narrow.png", 80, (50, 59))
    words = ("calibrate", "tiny.onnx", "whole", "--false-alarms", RATE, "--roi", "20,10,40,40", "-o", "c.json")
    done = wordsight(*words, cwd=parts)
    assert done.code == 1
    assert "expected the region 40x40 at 20,10 within the frame, got 59x50" in done.err
    assert calibrate(wordsight, parts).code == 0
    cut, good = read_calibration(parts / "c.json"), read_calibration(parts / FILE)
    assert (cut.scores, cut.unsure, cut.defect, cut.gate) == (good.scores, good.unsure, good.defect, good.gate)
    assert (cut.roi, cut.sizes, good.roi, good.sizes) == ((20, 10, 40, 40), ((40, 40),), (), ((40, 40),))


def test_a_mask_is_painted_over_in_every_frame_as_a_line_does_it(parts, save_picture, wordsight):
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[:, 20:] = 255
    save_picture(parts / "mask.png", mask)
    fill = mean_colour(read_manifest(parts / "tiny.onnx").input)
    for path in sorted((parts / "good").glob("*.png")):
        image = read_picture(path)
        image[:, :20] = fill
        save_picture(parts / "painted" / path.name, image)
    words = ("calibrate", "tiny.onnx", "--false-alarms", RATE)
    assert wordsight(*words, "good", "--mask", "mask.png", "-o", "m.json", cwd=parts).code == 0
    assert wordsight(*words, "painted", "-o", "p.json", cwd=parts).code == 0
    assert calibrate(wordsight, parts).code == 0
    masked, painted, plain = (read_calibration(parts / name) for name in ("m.json", "p.json", FILE))
    assert (masked.scores, masked.gate) == (painted.scores, painted.gate)
    assert masked.scores != plain.scores
    assert (masked.mask_sha256, painted.mask_sha256) == (mask_sha256(mask[..., 0] > 0), "")
    done = wordsight("run", "tiny.onnx", "bad", "--calibration", "m.json", cwd=parts)
    assert "calibrated with a mask" in done.out
    done = wordsight(*words, "good", "--mask", "mask.png", "--roi", "0,0,20,40", "-o", "n.json", cwd=parts)
    assert done.code == 2
    assert "black there" in done.err


def test_threshold_and_no_calibration_set_it_aside(parts, wordsight):
    assert calibrate(wordsight, parts).code == 0
    done = wordsight("run", "tiny.onnx", "bad", "--jsonl", "o.jsonl", "--threshold", "0.1", cwd=parts)
    assert [row["decision"] for row in lines(parts / "o.jsonl")] == ["defect", "defect"]
    assert f"--threshold decides; {FILE} is left aside" in done.out
    done = wordsight("run", "tiny.onnx", "bad", "--jsonl", "o.jsonl", "--no-calibration", cwd=parts)
    assert [row["decision"] for row in lines(parts / "o.jsonl")] == [None, None]
    assert "calibration" not in done.out


def test_a_calibration_elsewhere_is_named(parts, wordsight):
    done = calibrate(wordsight, parts, "-o", "c.json")
    assert done.code == 0
    assert "takes it in with --calibration c.json" in done.out
    assert not (parts / FILE).exists()
    wordsight("run", "tiny.onnx", "bad", "--jsonl", "o.jsonl", cwd=parts)
    assert [row["decision"] for row in lines(parts / "o.jsonl")] == [None, None]
    assert wordsight("run", "tiny.onnx", "bad", "--jsonl", "o.jsonl", "--calibration", "c.json").code == 0
    assert [row["decision"] for row in lines(parts / "o.jsonl")] == ["defect", "good"]


def test_another_models_calibration_is_refused_and_never_passed_over(parts, onnx_writer, wordsight):
    assert calibrate(wordsight, parts).code == 0
    other = onnx_writer.manifest(head=onnx_writer.HeadSpec(sha256="c" * 64, seeds=(1,))).to_json()
    (parts / "tiny.onnx").write_bytes(b"".join(onnx_writer.model_parts(other)))
    done = wordsight("run", "tiny.onnx", "bad", "--jsonl", "o.jsonl", cwd=parts)
    assert done.code == 2
    assert len(done.lines) == 1
    assert "is of another model" in done.err
    assert "--no-calibration" in done.err
    assert not (parts / "o.jsonl").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"schema": 1'])
def test_a_broken_calibration_is_one_line(parts, content, wordsight):
    (parts / FILE).write_bytes(content)
    done = wordsight("run", "tiny.onnx", "bad", cwd=parts)
    assert done.code == 2
    assert len(done.lines) == 1
    assert f"{FILE} holds no calibration that can be used" in done.err


def test_references_in_force_must_be_those_of_the_calibration(parts, wordsight):
    assert calibrate(wordsight, parts).code == 0
    add = ("reference", "add", "tiny.onnx", "good/g80.png", "good/g90.png")
    assert wordsight(*add, cwd=parts).code == 0
    done = wordsight("run", "tiny.onnx", "bad")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "was made without references, and some are in force" in done.err
    assert wordsight("run", "tiny.onnx", "bad", "--no-references").code == 0

    done = calibrate(wordsight, parts)
    assert done.code == 0, done.err
    assert "2 that are references" in done.err
    assert read_calibration(parts / FILE).frames == 58  # a reference would be its own nearest neighbour
    assert wordsight("run", "tiny.onnx", "bad").code == 0
    done = wordsight("run", "tiny.onnx", "bad", "--no-references")
    assert done.code == 2
    assert "was made with 2 references, and none are in force" in done.err
    done = wordsight("run", "tiny.onnx", "bad", "--shots", "1")
    assert done.code == 2
    assert "other references" in done.err
    done = wordsight("run", "tiny.onnx", "bad", "--weight-img", "2")
    assert done.code == 2
    assert "weight 2" in done.err


def test_too_few_frames_are_refused_and_nothing_is_written(parts, wordsight):
    for grey in range(60, 120 - NEEDED + 1):
        (parts / "good" / f"g{grey}.png").unlink()
    done = calibrate(wordsight, parts)
    assert (done.code, len(done.lines)) == (2, 1)
    assert f"at least {NEEDED} normal frames" in done.err
    assert "got 28" in done.err
    assert not (parts / FILE).exists()
    assert wordsight("calibrate", "tiny.onnx", "good", cwd=parts).err.count("299") == 1


def test_a_frame_that_is_there_twice_counts_once(parts, wordsight):
    for grey in range(60, 90):
        shutil.copy(parts / "good" / f"g{grey}.png", parts / "good" / f"copy{grey}.png")
    done = calibrate(wordsight, parts)
    assert done.code == 0
    assert "left out: 30 repeated frames" in done.err
    assert read_calibration(parts / FILE).frames == 60
    (parts / FILE).unlink()
    for path in (parts / "good").glob("*[5-9].png"):
        path.write_bytes((parts / "good" / "g60.png").read_bytes())
    for path in (parts / "good").glob("?1*.png"):
        path.write_bytes(b"broken")
    done = calibrate(wordsight, parts)
    assert done.code == 2
    assert f"at least {NEEDED} normal frames" in done.err
    assert "(50 repeated and 20 unreadable left out)" in done.err  # left: 60 to 64, 70 to 74, 80 to 84, 90 to 94
    assert not (parts / FILE).exists()


def test_a_picture_that_cannot_be_read_is_told_and_the_rest_is_done(parts, wordsight):
    for number in range(5):
        (parts / "good" / f"broken{number}.png").write_bytes(b"broken")
    done = calibrate(wordsight, parts, "--check", "bad")
    assert done.code == 1
    assert len(done.lines) <= 8
    assert "broken0.png" in done.err
    assert "and 3 more" in done.err
    assert "to check: 1 caught, 0 unsure, 1 missed" in done.out
    assert read_calibration(parts / FILE).frames == 60


def test_frames_of_a_video_are_warned_of(parts, save_video, wordsight):
    shutil.rmtree(parts / "good")
    (parts / "good").mkdir()
    save_video(parts / "good" / "v.avi", range(60, 120))
    done = calibrate(wordsight, parts)
    assert done.code == 0, done.err
    assert "60 frames are of videos" in done.err


def test_a_score_without_room_above_gives_no_threshold(parts, save_picture, wordsight):
    for grey in range(60, 120):
        save_picture(parts / "good" / f"g{grey}.png", np.full((40, 40, 3), (255, 255, grey), np.uint8))
    done = calibrate(wordsight, parts)
    assert done.code == 2
    assert "all 60 good frames have the same score" in done.err
    save_picture(parts / "good" / "g60.png", 60)
    done = calibrate(wordsight, parts)
    assert done.code == 2
    assert "no threshold lies above" in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--false-alarms", "0"), "false-alarm rate"),
        (("--false-alarms", "0.5"), "at most 0.1"),
        (("--confidence", "1"), "confidence"),
        (("--check", "good/g60.png"), "given as both"),
        (("--check", "absent*"), "nothing matches"),
        (("-o", "tiny.onnx"), "names the model"),
        (("-o", "good/g60.png"), "names the model"),
        (("-o", "nowhere/c.json"), "no such folder"),
        (("--json", FILE), "names the model"),
        (("--backend", "abacus"), "abacus"),
        (("--object", "nut"), "nut"),
        (("--roi", "1,2,3"), "expected a region as X,Y,WIDTH,HEIGHT"),
        (("--roi", "1,2,0,4"), "expected a region"),
        (("--roi", "-1,2,3,4"), "expected a region"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(parts, words, says, wordsight):
    before = {path: path.read_bytes() for path in parts.rglob("*") if path.is_file()}
    done = wordsight("calibrate", "tiny.onnx", "good", "--false-alarms", RATE, *words, cwd=parts)
    assert done.code == 2
    assert says in done.err
    assert len(done.lines) <= 2
    assert {path: path.read_bytes() for path in parts.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("words", [("--threshold", "1"), ("--no-calibration",)])
def test_a_calibration_and_another_word_on_it_contradict_each_other(parts, words, wordsight):
    done = wordsight("run", "tiny.onnx", "bad", "--calibration", "c.json", *words, cwd=parts)
    assert done.code == 2
    assert "got both" in done.err


def test_the_calibration_is_not_overwritten_by_a_result(parts, wordsight):
    assert calibrate(wordsight, parts).code == 0
    done = wordsight("run", "tiny.onnx", "bad", "--jsonl", FILE, cwd=parts)
    assert done.code == 2
    assert "its calibration" in done.err


def test_a_full_disk_leaves_the_older_calibration(parts, process, wordsight):
    assert calibrate(wordsight, parts).code == 0
    before = (parts / FILE).read_bytes()
    words = ("calibrate", "tiny.onnx", "good", "--false-alarms", "0.05")
    child = process(*words, cwd=parts, file_bytes=200)
    out, err = child.communicate(timeout=180)
    assert child.returncode == 2, out + err
    assert (parts / FILE).read_bytes() == before
    assert sorted(os.listdir(parts)) == ["bad", "good", "tiny.onnx", FILE]


@pytest.mark.parametrize(("parts_of", "warned"), [(1, False), (10, True)])
def test_frames_of_the_same_part_are_warned_of(tmp_path, tiny_model, save_picture, wordsight, parts_of, warned):
    rng = np.random.default_rng(1)
    for at, grey in enumerate(np.repeat(rng.uniform(40, 200, 300 // parts_of), parts_of)):
        save_picture(tmp_path / "good" / f"{at}.png", (grey + rng.normal(0, 3, (9, 9, 3))).astype(np.uint8))
    done = calibrate(wordsight, tmp_path)
    assert done.code == 0, done.err
    assert ("neighbours score alike" in done.err) == warned


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_likeness_is_the_correlation_that_the_scores_were_made_with(rho):
    rng = np.random.default_rng(3)
    scores = [0.0]
    for noise in rng.normal(size=4000):
        scores.append(rho * scores[-1] + (1 - rho**2) ** 0.5 * noise)
    assert Gathered(scores=scores).alike() == pytest.approx(rho, abs=0.05)  # ranks: a little less than rho
    assert Gathered(scores=rng.normal(size=400).tolist()).alike() is None
    assert Gathered(scores=[0.0] * 400).alike() is None


def test_an_interrupt_leaves_no_calibration(parts, wordsight, monkeypatch):
    from wordsight.runtime import calibrate as module

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "frame_sha256", interrupted)
    done = calibrate(wordsight, parts)
    assert done.code == 130
    assert not (parts / FILE).exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("m g --check a b --json f", "m g --check a --check b --json f"),
        ("m g --check a --check b c", "m g --check a --check b --check c"),
        ("m g --check=a b", "m g --check=a b"),
        ("m g -o f --check", "m g -o f"),
        ("m g", "m g"),
    ],
)
def test_every_word_behind_check_is_a_defect(words, expected):
    assert spread(words.split(), "--check") == expected.split()
