"""The report: one HTML file that shows how good an exported file is, where it fails, and how it was made."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from wordsight.benchmarks import page, plots
from wordsight.benchmarks.accuracy import MEANING, Accuracy, Group
from wordsight.benchmarks.datasets import Sample
from wordsight.benchmarks.tables import number, span
from wordsight.runtime.files import whole_file
from wordsight.runtime.fits import seen_place
from wordsight.runtime.heat import Heat, region_level

_SHOWN = 6  # frames a row


def write_report(path: Path, accuracy: Accuracy) -> None:
    """Write the report; the file appears whole or not at all."""
    text = render(accuracy)
    with whole_file(path, "w") as file:
        file.write(text)


def render(accuracy: Accuracy) -> str:
    """The report as HTML text, with every picture inside."""
    return page.page(f"Wordsight on {accuracy.dataset}", _body(accuracy))


def _body(accuracy: Accuracy) -> Iterator[str]:
    scored, manifest = accuracy.scored, accuracy.manifest
    labels = scored.labels
    good, bad = int((labels == 0).sum()), int((labels == 1).sum())
    yield f"<h1>{escape(accuracy.dataset)}</h1>"
    yield (
        f'<p class="soft"><code>{escape(accuracy.model)}</code> on {good + bad:,} pictures, {good:,} good and {bad:,} '
        "defective. The detector was trained on random words alone and has seen none of these pictures. Scores are "
        "those of the exported file, run through the runtime.</p>"
    )
    if manifest.encoder.note:
        yield (
            f'<p class="note">Encoder <code>{escape(manifest.encoder.name)}</code>: {escape(manifest.encoder.note)}. '
            "What it reaches here says that the way from words to scores works, not how well a real CLIP would do.</p>"
        )
    yield page.numbers(_headline(accuracy))
    yield '<div class="pair">'
    yield plots.histogram(labels, scored.score, "score")
    yield plots.roc(labels, {"score": scored.score, "s_fnn": scored.s_fnn, "s_pr": scored.s_pr})
    yield "</div>"
    if accuracy.strips:
        yield "<h3>AUROC of every seed, and of the control</h3>"
        yield plots.strips(accuracy.strips)
        yield (
            '<p class="soft">A dot is a head, the bar their mean. Heads trained on shuffled labels know nothing: they '
            "scatter about 0.5, and how far says how much a single head can be trusted.</p>"
        )
    yield "<h2>Frames</h2>"
    yield '<p class="soft">Higher scores mean more anomalous. A box marks the true defect where it is known.</p>'
    if scored.heatmap is not None:
        top = _hottest(accuracy)
        yield (
            '<p class="soft">Below each picture is its heat map: both scores of every patch, from the same pass. '
            f"Colours go from 0 to {top:g} in every picture alike; a line encloses what reaches "
            f"{region_level(None, top):g}.</p>"
        )
    yield from _frames(accuracy)
    yield "<h2>Figures</h2>"
    yield page.table(("figure", "value", "low … high", "n", "meaning"), _figure_rows(accuracy), (1, 2, 3))
    for title, groups in (
        ("By noun", accuracy.nouns),
        ("By kind of defect, against all good pictures", accuracy.kinds),
    ):
        if groups:
            yield f"<h3>{title}</h3>" + _groups(groups)
    yield "<h2>Share of the frame seen</h2>" + _seen(accuracy)
    if scored.failures:
        yield f"<h2>Not scored: {len(scored.failures)} pictures that could not be read</h2>"
        yield page.table(("picture", "reason"), scored.failures[:50])
    yield "<h2>Settings</h2>"
    yield page.table((), _settings(accuracy))


def _headline(accuracy: Accuracy) -> Iterator[tuple[str, str]]:
    texts = {
        "auroc.sum.folded": "AUROC of the score",
        "auroc.s_pr": "guiding prompts alone",
        "auroc.s_fnn.folded": "head alone",
        "auroc.trivial": "best trivial detector",
        "auroc.shuffled_labels": "shuffled labels, must be about 0.5",
    }
    found = {figure.name: figure for figure in accuracy.figures}
    for name, text in texts.items():
        figure = found.get(name)
        if figure is None or figure.value is None:
            continue
        if figure.low is not None and figure.high is not None:
            text += f"; 95%: {figure.low:.2f} to {figure.high:.2f}"
        yield f"{figure.value:.3f}", text


def _figure_rows(accuracy: Accuracy) -> Iterator[tuple[str, ...]]:
    for f in accuracy.figures:
        meaning = f.reason if f.value is None else MEANING.get(f.name, "")
        yield f.name, number(f.value, f.unit), span(f), str(f.n or ""), meaning or ""


def _groups(groups: list[Group]) -> str:
    rows = [(g.name, str(g.defective), f"{g.s_pr:.3f}", f"{g.s_fnn:.3f}", f"{g.score:.3f}") for g in groups]
    return page.table(("", "defective", "s_pr", "s_fnn", "score"), rows, (1, 2, 3, 4))


def _frames(accuracy: Accuracy) -> Iterator[str]:
    scored = accuracy.scored
    order = np.argsort(scored.score, kind="stable")
    good = [int(i) for i in order if scored.samples[i].label == 0]
    bad = [int(i) for i in order if scored.samples[i].label == 1]
    for title, chosen in (
        ("Best: defects found with most confidence", bad[::-1]),
        ("Best: good parts passed with most confidence", good),
        ("Worst: good parts most wrongly suspected", good[::-1]),
        ("Worst: defects most wrongly passed", bad),
    ):
        yield f'<h3>{title}</h3><div class="frames">'
        for index in chosen[:_SHOWN]:
            sample = scored.samples[index]
            caption = f"{sample.kind}, {_called(sample)}"
            picture, score = sample.load(), float(scored.score[index])
            heat = _heat(accuracy, index, picture.shape[0], picture.shape[1])
            yield page.frame(picture, sample.load_mask(), sample.label == 1, score, caption, heat)
        yield "</div>"


def _heat(accuracy: Accuracy, index: int, height: int, width: int) -> Heat | None:
    maps, spec, top = accuracy.scored.heatmap, accuracy.manifest.input, _hottest(accuracy)
    if maps is None:
        return None
    place = seen_place(height, width, spec.size, spec.fit, spec.camera)
    return Heat(maps[index], place, (height, width), top, region_level(None, top))


def _hottest(accuracy: Accuracy) -> float:
    return accuracy.manifest.score.w_pr + accuracy.manifest.score.w_fnn


def _called(sample: Sample) -> str:
    """A name short enough to stand under a thumbnail: the file's own, or what the generator calls the picture."""
    return sample.path.stem.replace("_", " ") if sample.path is not None else sample.name


def _seen(accuracy: Accuracy) -> str:
    seen, fit = accuracy.scored.seen, accuracy.manifest.input.fit
    if seen.min() > 0.9999:
        return f"<p>All of every frame reaches the encoder (fit: {escape(fit)}).</p>"
    return (
        f'<p class="note">With fit <code>{escape(fit)}</code>, {seen.mean():.0%} of the frames\' area reaches the '
        f"encoder on average, {seen.min():.0%} of the frame that fares worst. A defect outside it cannot be found: "
        "<code>wordsight export --fit squash</code> or <code>--fit pad</code> shows the encoder whole frames.</p>"
    )


def _settings(accuracy: Accuracy) -> Iterator[tuple[str, str]]:
    m = accuracy.manifest
    yield "model, SHA-256", accuracy.sha256
    yield "made", f"{m.created} by Wordsight {m.wordsight}"
    yield (
        "encoder",
        f"{m.encoder.name}, weights {m.encoder.weights}, licence {m.encoder.licence}, {m.encoder.embed_dim}-d",
    )
    yield "encoder, SHA-256", m.encoder.sha256
    yield "guiding prompts", f"“{m.prompts.guiding_normal}” / “{m.prompts.guiding_anomalous}”"
    yield "training prompts", f"“{m.prompts.template_normal}” / “{m.prompts.template_anomalous}”"
    yield (
        "score",
        f"{m.score.formula}, w_pr {m.score.w_pr:g}, w_fnn {m.score.w_fnn:g}, temperature {m.score.temperature:g}",
    )
    yield "seeds folded", ", ".join(map(str, m.head.seeds))
    yield from ((f"training: {name}", _plain(value)) for name, value in m.training.items())
    yield "input", f"{m.input.size}×{m.input.size}, fit {m.input.fit}, {m.input.interpolation}"
    yield "precision, opset", f"{m.precision}, {m.opset}"
    worst = max(m.parity.max.values(), default=0.0)
    yield "parity with torch", f"{m.parity.status}, largest difference {worst:.1e} ({m.parity.backend})"
    yield "tools", ", ".join(f"{name} {version}" for name, version in m.tools.items())


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)
