"""Heat maps against masks: where a map lies in its picture, the figures, the controls, the picture, the command."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from wordsight.benchmarks import heatmap_cost
from wordsight.benchmarks.datasets import Dataset, Sample, held_out
from wordsight.benchmarks.heatmap import InPictures, Mapped, figures, in_picture, map_pictures, mean_over_sets
from wordsight.benchmarks.heatmap_controls import colour_distance, gradient, on_grid, other_pictures
from wordsight.benchmarks.heatmap_picture import choose, write_picture
from wordsight.benchmarks.pixel_bootstrap import binned, resample
from wordsight.benchmarks.pixels import aupro, pixel_auroc
from wordsight.export.onnx import export_model
from wordsight.runtime import Model
from wordsight.runtime.cli import main
from wordsight.runtime.demo import demo_model
from wordsight.runtime.figures import Figure
from wordsight.runtime.fits import Place, seen_place
from wordsight.train.checkpoint import save_heads
from wordsight.train.encoders import load_encoder
from wordsight.train.fit import Settings, train_heads

WHOLE = Place(0, 0, 24, 24)


def test_a_map_lies_in_the_square_that_is_seen_and_is_lowest_beside_it():
    values = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
    wide = in_picture(values, seen_place(40, 100, 96, "crop"), (40, 100))
    assert not wide[:, :30].any()
    assert not wide[:, 70:].any()
    assert wide[:, 30:70].min() >= 1
    # OpenCV's bilinear enlargement has the same convention: values in the middle of cells, constant beyond the last
    np.testing.assert_allclose(wide[:, 30:70], cv2.resize(values, (40, 40), interpolation=cv2.INTER_LINEAR), atol=1e-4)
    assert in_picture(values, seen_place(40, 100, 96, "pad"), (40, 100)).min() > 1
    squashed = in_picture(values, seen_place(40, 100, 96, "squash"), (40, 100))
    np.testing.assert_allclose(squashed, cv2.resize(values, (100, 40), interpolation=cv2.INTER_LINEAR), atol=1e-4)


def scene(count: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray, list[Sample]]:
    """Masks (24, 24) with one or two spots in every second picture, maps (6, 6) that see most of them, and samples."""
    rng = np.random.default_rng(seed)
    masks, maps = [], []
    for index in range(count):
        mask = np.zeros((24, 24), bool)
        for _ in range(index % 2 * int(rng.integers(1, 3))):
            top, left = rng.integers(0, 18, 2)
            mask[top : top + 5, left : left + 4] = True
        masks.append(mask)
        maps.append(rng.random((6, 6)).astype(np.float32) + on_grid(mask.astype(np.float32), (6, 6)))
    samples = [Sample(f"{i}", i % 2, "spot" if i % 2 else "good", "plate") for i in range(count)]
    return masks, np.stack(maps), samples


def test_bins_give_the_exact_figures_of_any_draw():
    masks, maps, samples = scene(30)
    placed = InPictures(maps, [WHOLE] * 30, masks)
    counted = binned(masks, placed, np.array([sample.label for sample in samples]))
    drawn = np.random.default_rng(1).integers(0, 3, 30)
    for times in (np.ones(30, int), drawn):
        chosen = np.repeat(np.arange(30), times)
        exact = [masks[i] for i in chosen], [placed[i] for i in chosen]
        assert counted.pixel_auroc(times) == pytest.approx(pixel_auroc(*exact), abs=5e-4)
        assert counted.aupro(times) == pytest.approx(aupro(*exact), abs=2e-3)


def test_intervals_hold_the_figure_and_narrow_with_pictures():
    widths = []
    for count in (20, 180):
        masks, maps, samples = scene(count)
        placed = InPictures(maps, [WHOLE] * count, masks)
        areas, overlaps = resample(binned(masks, placed, np.array([s.label for s in samples])), 200)
        for moved, exact in ((areas, pixel_auroc(masks, placed)), (overlaps, aupro(masks, placed))):
            low, high = np.percentile(moved, [2.5, 97.5])
            assert low < exact < high
        widths.append(np.ptp(np.percentile(areas, [2.5, 97.5])))
    assert widths[1] < 0.6 * widths[0]  # 1 / sqrt(9) is expected


def mapped(masks, maps, samples) -> Mapped:
    return Mapped("plates", samples, masks, [WHOLE] * len(masks),
                  {"": maps, ".trivial.colour": maps * 0, ".trivial.gradient": maps.max() - maps}, [])  # fmt: skip


def values(found: list[Figure]) -> dict[str, float]:
    return {figure.name: figure.value for figure in found if figure.value is not None}


def test_the_shuffled_control_shows_a_bias_to_a_place():
    masks, maps, samples = scene(60)
    sees = values(figures(mapped(masks, maps, samples), 20))
    assert sees["pixel_auroc"] > sees["pixel_auroc.shuffled"] + 0.1
    assert sees["pixel_auroc.trivial.colour"] == 0.5  # all values are equal
    assert sees["pixel_auroc.trivial.gradient"] == pytest.approx(1 - sees["pixel_auroc"], abs=1e-6)
    assert sees["fraction.defects_seen"] == 1

    central = np.zeros((6, 6), np.float32)
    central[1:5, 1:5] = 1
    biased = values(figures(mapped(masks, np.broadcast_to(central, maps.shape), samples), 20))
    assert biased["pixel_auroc"] == biased["pixel_auroc.shuffled"] > 0.6


def test_maps_are_taken_from_another_picture_of_the_same_kind():
    samples = [Sample(f"{i}", i % 2, "", noun) for i, noun in enumerate("aabbaabbaabbaaab")]
    partners = other_pictures(samples)
    for index, partner in enumerate(partners):
        assert partner != index
        assert (samples[partner].noun, samples[partner].label) == (samples[index].noun, samples[index].label)
    lone = [*samples, Sample("lone", 1, "", "c")]
    assert samples[other_pictures(lone)[-1]].label == 1  # no other of its noun: of its label
    assert other_pictures([Sample("a", 0, "", ""), Sample("b", 0, "", ""), Sample("c", 1, "", "")]) is None


def test_trivial_maps_in_numbers():
    frame = np.full((4, 4, 3), 100, np.uint8)
    frame[:, 2:] = (140, 130, 100)
    np.testing.assert_allclose(colour_distance(frame), 25)  # half of (40, 30, 0)
    grey = float(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[0, 3]) - 100
    np.testing.assert_allclose(gradient(frame)[0], [0, grey / 2, grey / 2, 0], atol=1e-5)
    np.testing.assert_allclose(
        on_grid(np.arange(16, dtype=np.float32).reshape(4, 4), (2, 2)), [[2.5, 4.5], [10.5, 12.5]]
    )


def test_means_over_sets_leave_out_what_a_set_lacks():
    sets = [[Figure("aupro", 0.5), Figure("x", None, reason="no")], [Figure("aupro", 0.7), Figure("x", 0.25)]]
    mean = mean_over_sets(sets)
    assert (mean[0].value, mean[0].low, mean[0].high, mean[0].n) == (pytest.approx(0.6), 0.5, 0.7, 2)
    assert (mean[1].value, mean[1].n) == (0.25, 1)


@pytest.fixture(scope="module")
def head(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("heat")
    encoder, settings = load_encoder("mini"), Settings(num_pairs=500)
    heads = train_heads(encoder, settings, [0], progress=False)
    save_heads(folder / "head.safetensors", heads, settings, [0], encoder)
    return folder / "head.safetensors"


@pytest.fixture(scope="module")
def model(head: Path) -> Path:
    path = head.with_name("heat.onnx")
    export_model(head, path, heatmap=True)
    return path


def test_on_held_out_nouns_the_map_finds_what_controls_do_not(model: Path, tmp_path: Path):
    with Model(model) as opened:
        found = map_pictures(opened, held_out(120))
    assert found.maps[""].shape == (120, 12, 12)
    got = values(figures(found, 50))
    assert got["pixel_auroc"] > 0.9
    assert got["aupro"] > 0.6
    for control in (".trivial.colour", ".trivial.gradient", ".shuffled"):
        assert got[f"pixel_auroc{control}"] < got["pixel_auroc"] - 0.05
        assert got[f"aupro{control}"] < got["aupro"] - 0.05

    chosen = choose(found)
    areas = [float(said.split(",")[0]) for _, said in chosen[:10]]
    assert areas == sorted(areas, reverse=True)
    assert [found.samples[index].label for index, _ in chosen] == [1] * 10 + [0] * 2
    write_picture(tmp_path / "maps.png", found, 2.0)
    with Image.open(tmp_path / "maps.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width >= 1000
    assert (tmp_path / "maps.png").stat().st_size < 400_000


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def folder_of(tmp_path: Path, mask_shape: tuple[int, int]) -> Path:
    """A set in MVTec's layout: wide pictures, good ones and ones with a black spot that is left of the seen square."""
    for kind in ("test/good", "test/spot", "ground_truth/spot"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(4):
        frame = rng.integers(100, 140, (60, 120, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"set/test/good/{index}.png"), frame)
        frame[20:40, 40:60] = 0
        frame[20:40, 5:15] = 0
        cv2.imwrite(str(tmp_path / f"set/test/spot/{index}.png"), frame)
        mask = np.zeros(mask_shape, np.uint8)
        mask[20:40, 40:60] = mask[20:40, 5:15] = 255
        cv2.imwrite(str(tmp_path / f"set/ground_truth/spot/{index}_mask.png"), mask)
    return tmp_path / "set"


def test_the_command_on_folders(model: Path, tmp_path: Path, capfd):
    folder = folder_of(tmp_path, (60, 120))
    out = tmp_path / "f.json"
    assert command("bench", "heatmap", folder, "--model", model, "--repeats", 0, "--json", out) == 0
    got = {figure["name"]: figure for figure in json.loads(out.read_text())["figures"]}
    assert got["fraction.defects_seen"]["value"] == pytest.approx(2 / 3)  # 400 of 600 pixels: the rest is cut away
    assert 0 < got["aupro"]["value"] < 0.75  # one of two regions is never seen
    assert got["pixel_auroc"]["n"] == 8
    assert "set, 8 pictures" in capfd.readouterr().out
    assert command("bench", "heatmap", folder, folder, "--model", model, "--repeats", 0, "--json", out) == 0
    twice = {figure["name"]: figure["value"] for figure in json.loads(out.read_text())["figures"]}
    assert twice["pixel_auroc"] == twice["pixel_auroc.set"] == got["pixel_auroc"]["value"]


def test_bad_input_is_one_line(model: Path, tmp_path: Path, capfd):
    def told(*words: object) -> str:
        assert command("bench", "heatmap", *words, "--repeats", 0) == 2
        err = capfd.readouterr().err
        lines = [line for line in err.splitlines() if line.startswith("wordsight:")]
        assert len(lines) == 1
        assert "Traceback" not in err
        return " ".join(err.split())

    folder = folder_of(tmp_path, (48, 120))
    assert "export it with --heatmap" in told(folder, "--model", demo_model())
    assert "expected a mask of 120x60 pixels" in told(folder, "--model", model)
    assert "nothing to do" in told("--pictures", 0)
    assert "absent" in told("--model", model, "--json", tmp_path / "absent" / "f.json")


def test_unreadable_pictures_are_named(model: Path):
    dataset = held_out(20)
    broken = replace(dataset.test[3], frame=None, path=Path("/absent/a.png"))
    with Model(model) as opened:
        found = map_pictures(opened, Dataset("d", [broken, *dataset.test[:3]], []))
    assert [name for name, _ in found.failures] == [broken.name]
    assert len(found.samples) == len(found.maps[""]) == 3


def test_the_cost_is_a_ratio_of_two_files_in_turns(tmp_path: Path):
    got = values(heatmap_cost.measure_encoder(load_encoder("mini"), tmp_path, 3))
    assert got["ratio.heatmap_over_score.mini"] > 0
    assert got["seconds.with_heatmap.mini"] > 0
