"""The benchmark around a model whose scores are planted: figures, faults and the report."""

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wordsight.benchmarks import accuracy, report
from wordsight.benchmarks.datasets import Dataset, Sample
from wordsight.benchmarks.metrics import OneClassError
from wordsight.runtime.errors import PictureError
from wordsight.runtime.manifest import Manifest

NASTY = "<script>alert(\"x\")</script> & 'co'"


def _manifest(seeds=3, note="an honest <stand-in>"):
    outputs = {"score": ["N"], "s_pr": ["N"], "s_fnn": ["N"], "embedding": ["N", 4], "s_fnn_seeds": ["N", seeds]}
    values = {
        "schema": 1,
        "created": "2026-01-02T03:04:05Z",
        "wordsight": "0.1.0",
        "input": {
            "name": "frames", "size": 8, "colour": "BGR", "dtype": "uint8", "layout": "NHWC", "fit": "crop",
            "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        },
        "outputs": outputs,
        "encoder": {
            "name": "mini", "weights": "mini", "sha256": "0" * 64, "licence": "Apache-2.0", "embed_dim": 4,
            "note": note,
        },
        "prompts": {
            "object": NASTY, "normal_word": "a", "anomalous_word": "a damaged", "guiding_normal": "a photo of a x",
            "guiding_anomalous": "a photo of a damaged x", "template_normal": "{n}", "template_anomalous": "{a}",
        },
        "score": {"formula": "w_pr * s_pr + w_fnn * s_fnn", "w_pr": 1.0, "w_fnn": 0.5, "temperature": 0.01},
        "head": {"sha256": "1" * 64, "seeds": list(range(seeds))},
        "training": {"num_pairs": 10, "widths": [5, 4]},
        "precision": "fp32",
        "opset": 18,
        "parity": {
            "status": "passed", "tolerance": 1e-5, "frames": 8, "backend": "onnxruntime",
            "max": {"score": 1e-7}, "mean": {"score": 1e-8},
        },
        "tools": {"torch": "2"},
    }  # fmt: skip
    return Manifest.from_json(json.dumps(values))


class PlantedModel:
    """Scores frames by their mean grey level; seed k sees it through noise of its own."""

    def __init__(self, seeds=3, seen=1.0):
        self.manifest, self.sha256, self.seen, self.seeds = _manifest(seeds), "2" * 64, seen, seeds
        self.path = SimpleNamespace(name=f"{NASTY}.onnx")

    def seen_share(self, height, width):
        return self.seen

    def score(self, frames):
        level = np.array([frame.mean() / 255 for frame in frames], np.float32)
        noise = np.stack([np.sin(1e4 * level * (k + 1)) for k in range(self.seeds)], 1) * 0.1
        columns = (level[:, None] + noise).astype(np.float32)
        s_fnn = columns.mean(1)
        embedding = np.stack([level, 1 - level, level**2, np.ones_like(level)], 1)
        return SimpleNamespace(
            score=level + 0.5 * s_fnn, s_pr=level, s_fnn=s_fnn, s_fnn_seeds=columns, embedding=embedding, heatmap=None
        )


def _samples(count=120):
    rng = np.random.default_rng(0)
    samples = []
    for i in range(count):
        label = i % 2
        frame = np.full((8, 8, 3), int(np.clip(rng.normal(110 + 25 * label, 20), 0, 255)), np.uint8)
        mask = np.zeros((8, 8), bool)
        mask[2:4, 3:6] = bool(label)
        noun = "ring" if i % 4 < 2 else NASTY
        samples.append(Sample(f"{NASTY} {i}", label, "crack" if label else "good", noun, frame=frame, mask=mask))
    return samples


class Unreadable(Sample):
    """A file that is cut short."""

    def load(self):
        raise PictureError("cut short <here>", "truncated")


@pytest.fixture(scope="module")
def measured():
    samples = _samples()
    broken = Unreadable("broken.png", 1, "crack")
    return accuracy.measure(PlantedModel(seen=0.56), Dataset(NASTY, [*samples, broken], samples[::2]), None)


def test_figures_are_those_of_the_planted_scores(measured):
    figures = {figure.name: figure for figure in measured.figures}
    scored = measured.scored
    labels = scored.labels
    assert figures["auroc.s_pr"].value == roc_auc_score(labels, scored.s_pr)
    fnn = [roc_auc_score(labels, scored.s_fnn_seeds[:, k]) for k in range(3)]
    both = [roc_auc_score(labels, scored.s_pr + 0.5 * scored.s_fnn_seeds[:, k]) for k in range(3)]
    for name, areas in (("s_fnn", fnn), ("sum", both)):
        figure = figures[f"auroc.{name}"]
        assert (figure.value, figure.low, figure.high, figure.n) == (
            pytest.approx(np.mean(areas)), min(areas), max(areas), 3,
        )  # fmt: skip
        assert figures[f"auroc.{name}.std"].value == pytest.approx(np.std(areas, ddof=1))
    assert figures["auroc.sum.folded"].value == roc_auc_score(labels, scored.score)
    trivial = [f.value for name, f in figures.items() if name.startswith("auroc.trivial.")]
    assert figures["auroc.trivial"].value == max(trivial)


def test_a_picture_that_cannot_be_read_is_told_and_left_out(measured):
    assert measured.scored.failures == [("broken.png", "cut short <here>")]
    assert len(measured.scored.labels) == 120


def test_a_control_that_cannot_be_had_has_a_reason(measured):
    control = next(f for f in measured.figures if f.name == "auroc.shuffled_labels")
    assert control.value is None
    assert "--encoder" in control.reason
    json.dumps([figure.as_json() for figure in measured.figures], allow_nan=False)


def test_one_class_and_nothing_readable_are_errors():
    good = [sample for sample in _samples() if not sample.label]
    with pytest.raises(OneClassError, match="0 defective"):
        accuracy.measure(PlantedModel(), Dataset("x", good, []), None)
    with pytest.raises(PictureError, match="none of the 1"):
        accuracy.measure(PlantedModel(), Dataset("x", [Unreadable("a", 1, "crack")], []), None)


class _Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        self.text += data


def test_the_report_fetches_nothing_and_escapes_all_text(measured):
    text = report.render(measured)
    read = _Reader(text)
    assert "script" not in read.tags
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(read.tags)
    assert read.sources
    assert all(source.startswith("data:image/") for source in read.sources)
    assert not re.search(r"https?:|url\(|@import|//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert NASTY in read.text  # what was nasty is there, as text


def test_the_report_shows_plots_frames_settings_and_what_is_weak(measured):
    read = _Reader(report.render(measured))
    assert read.tags.count("img") == 24
    for needed in ("an honest <stand-in>", "56%", "cut short <here>", "num_pairs", "By noun", "shuffled_labels"):
        assert needed in read.text
    assert read.tags.count("svg") >= 3


def test_the_report_shows_heat_maps_below_the_pictures_where_there_are_some(measured):
    maps = np.zeros((120, 4, 4), np.float32)
    maps[:, 1, 2] = 1.5  # the highest that this model can give
    heated = dataclasses.replace(measured, scored=dataclasses.replace(measured.scored, heatmap=maps))
    read = _Reader(report.render(heated))
    assert read.tags.count("img") == 48
    assert "from 0 to 1.5" in read.text
    pictures = [cv2.imdecode(np.frombuffer(base64.b64decode(s.split(",")[1]), np.uint8), 1) for s in read.sources]
    for plain, drawn in zip(pictures[::2], pictures[1::2], strict=True):
        away = np.abs(drawn.astype(int) - int(plain[0, 0, 0])).sum(axis=2)
        place = (away > 60).nonzero()
        assert np.mean(place, axis=1) / drawn.shape[:2] == pytest.approx((1.5 / 4, 2.5 / 4), abs=0.05)


def test_the_report_is_written_whole(measured, tmp_path):
    path = tmp_path / "report.html"
    report.write_report(path, measured)
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
