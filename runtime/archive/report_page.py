"""The report as a page: one file with every picture in it, dark and light."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from html import escape
from itertools import takewhile

from wordsight.runtime import html
from wordsight.runtime.archive import report_plots as plots
from wordsight.runtime.archive.report_bins import ALPHA, SAMPLE, Span
from wordsight.runtime.archive.report_found import DECISIONS, Found, Pace
from wordsight.runtime.archive.report_looks import Look
from wordsight.runtime.archive.report_top import Folded

STYLE = (
    html.STYLE
    + plots.STYLE
    + """
.gone { display: grid; place-items: center; padding: 14px; text-align: center; color: #c9c9ce; font-size: 13px;
  overflow-wrap: anywhere; }
details { margin-top: 4px; } summary { cursor: pointer; color: var(--soft); } details span { display: block; }
figcaption .defect { color: var(--odd); } figcaption .unsure { color: var(--unsure); }
figcaption .good { color: var(--good); }
"""
)
_LIKE = 20  # names of pictures that look alike, told under the one that is shown
_QUANTILES = (0.5, 0.9, 0.99, 0.999)


def render(found: Found, looks: Sequence[Look], pace: Pace | None, now: float, heat_told: str) -> str:
    """The page as HTML text.

    Args:
        found: what the archive says.
        looks: of the first groups of `found`, as many as are shown.
        pace: of a run that is not finished.
        now: when the page is made, in seconds since 1970.
        heat_told: why there are no heat maps; empty when there are.
    """
    name = found.archive.folder.resolve().name
    return html.page(f"Archive {name}", _body(found, name, looks, pace, now, heat_told), STYLE)


def _body(
    found: Found, name: str, looks: Sequence[Look], pace: Pace | None, now: float, heat_told: str
) -> Iterator[str]:
    archive = found.archive
    yield f"<h1>Archive {escape(name)}</h1>"
    yield (
        f'<p class="soft">Scored by {escape(archive.run.model)}. This page was made '
        f"{datetime.fromtimestamp(now, timezone.utc):%Y-%m-%d %H:%M} UTC.</p>"
    )
    for line in state(found, pace):
        yield f'<p class="note">{escape(line)}</p>'
    yield html.numbers(_numbers(found))
    if not found.scores.total:
        yield "<p>No picture is scored yet.</p>"
    else:
        yield from _distribution(found)
        yield from _sheet(found, looks, heat_told)
        yield from _drift(found)
    if found.unreadable:
        yield f"<h2>Not scored: {found.unreadable:,}</h2>"
        yield '<div class="wide">'
        rows = sorted(found.reasons.items(), key=lambda item: -item[1].count)
        head = ("pictures", "reason", "such as")
        yield html.table(head, [(f"{kept.count:,}", text, ", ".join(kept.examples)) for text, kept in rows], (0,))
        yield "</div><p>All of them are in the files <code>shards/*.unreadable.jsonl</code>.</p>"
    yield "<h2>What this was made of</h2>"
    rows_of_run = [
        ("folder", str(archive.folder)),
        ("source", archive.run.source),
        ("model, SHA-256", archive.run.model_sha256),
        ("listing, SHA-256", archive.run.listing_sha256),
        ("finished shards", f"{len(archive.done):,} of {archive.run.shards:,}"),
    ]
    yield html.table((), rows_of_run)


def state(found: Found, pace: Pace | None) -> list[str]:
    """Return what is to be known of a run that is not finished, and of scores that are no numbers; a line each."""
    archive, lines = found.archive, []
    left = archive.run.shards - len(archive.done)
    if left:
        done = f"{len(archive.done):,} of {archive.run.shards:,} shards are finished"
        told = f"{done}, and this page tells of those alone"
        if pace is None:
            lines.append(f"{told}. How long the rest takes shows when three are.")
        elif pace.stalled:
            lines.append(
                f"{told}. None was finished in the last {duration(pace.silent_s)}: the run has probably stopped, and "
                "the same wordsight archive goes on where it was."
            )
        else:
            lines.append(f"{told}. At the pace of the last {pace.of} the rest takes {duration(pace.left_s)}.")
    if found.odd:
        lines.append(
            f"{found.odd:,} scores are not finite and left out of all that follows; wordsight verify tells more about "
            "the model."
        )
    return lines


def _numbers(found: Found) -> Iterator[tuple[str, str]]:
    archive = found.archive
    seen = found.scored + found.unreadable
    yield f"{found.scored:,}", "pictures scored"
    yield f"{found.unreadable:,}", "could not be read"
    if seen < archive.run.pictures:
        yield f"{archive.run.pictures - seen:,}", f"still to come, of {archive.run.pictures:,}"
    for decision in ("defect", "unsure"):
        if decision in found.decided:
            yield f"{found.decided[decision].scores.total:,}", f"called {decision}"
    if found.scores.total:
        low, _ = found.scores.quantile(0.5)
        yield f"{low:.3f}", "score in the middle"
        yield f"{highest(found):.3f}", "highest score"


def highest(found: Found) -> float:
    """Return the highest finite score; there must be one."""
    return max(one.high for one in found.decided.values())


def marks(found: Found) -> list[tuple[float, str]]:
    """Return the thresholds of the run, where it has some, and what they are."""
    told = (("unsure from", found.archive.run.unsure), ("defect from", found.archive.run.threshold))
    return [(score, f"{what} {score:.3f}") for what, score in told if score is not None]


def _distribution(found: Found) -> Iterator[str]:
    decided = [name for name in DECISIONS if name in found.decided]
    yield "<h2>Scores</h2>"
    legend = (
        "One outline a decision: good in blue, unsure in yellow, defect in red. " if decided else
        "There was no threshold, so nothing was decided; wordsight calibrate sets one. "
    )  # fmt: skip
    yield f'<p class="soft">{legend}The axis of counts is logarithmic: what is odd is rare.</p>'
    yield plots.scores(found, marks(found))
    rows = []
    whole = found.scores
    for name, histogram in [("all", whole), *((name, found.decided[name].scores) for name in decided)]:
        ends = (histogram.quantile(share) for share in _QUANTILES)
        rows.append((name, f"{histogram.total:,}", *(f"{low:.3f}" for low, _ in ends)))
    head = ("", "pictures", *(f"{100 * share:g}% are below" for share in _QUANTILES))
    yield '<div class="wide">' + html.table(head, rows, range(1, len(head))) + "</div>"
    yield f'<p class="soft">Counted in bins {whole.width:.4f} wide; a number of this table is the lower end of one.</p>'


def _sheet(found: Found, looks: Sequence[Look], heat_told: str) -> Iterator[str]:
    if not looks:
        return
    shown = found.groups[: len(looks)]
    yield f"<h2>The {len(shown)} most suspicious</h2>"
    if found.has_embeddings:
        alike = (
            f"Of the {found.looked_at:,} pictures with the highest scores, {found.folded:,} look like one with a "
            f"higher score (cosine of the embeddings {found.alike:g} or more) and stand under it. No others were "
            "compared."
        )
    else:
        alike = "The model gives no embeddings, so pictures that look alike stand side by side."
    told = heat_told or "Below each picture: the model's heat map, outlined from three quarters of its range."
    home = _home([item.source for group in shown for item in (group.first, *group.others)])
    named = f" Names are those below <code>{escape(home)}</code>." if home else ""
    yield f'<p class="soft">{escape(alike)} {escape(told)}{named}</p><div class="sheet">'
    top = highest(found)
    for place, (group, look) in enumerate(zip(shown, looks, strict=True), start=1):
        yield _figure(group, look, place, top, len(home))
    yield "</div>"


def _home(sources: Sequence[str]) -> str:
    """Return the folder that all of them lie in, with the slash at its end; empty when there is none.

    It is told once instead of in every name.
    """
    folders = [source.split("/")[:-1] for source in sources]
    shared = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))]
    return "/".join([*shared, ""]) if any(shared) else ""


def _figure(group: Folded, look: Look, place: int, highest: float, home: int) -> str:
    item = group.first
    name = escape(item.source[home:])
    if look.gone:
        seen = f'<span class="look gone">cannot be shown: {escape(look.gone)}</span>'
    else:
        seen = f'<span class="look"><img alt="{name}" src="{look.small}"></span>'
    if look.heat:
        seen += f'<span class="look"><img alt="heat map of {name}" src="{look.heat}"></span>'
    share = max(0.0, min(1.0, item.score / highest)) if highest > 0 else 0.0
    pill = f' <span class="{item.decision}">{item.decision}</span>' if item.decision else ""
    told = [f"s_pr {item.s_pr:.3f}, s_fnn {item.s_fnn:.3f}", f"{item.width}x{item.height}"]
    if item.modified is not None:
        told.append(f"{item.modified:%Y-%m-%d %H:%M} UTC")
    return (
        f"<figure>{seen}<figcaption><i>{item.score:.4f}</i><b>{place}</b>"
        f'{pill}<div class="bar"><span style="width:{100 * share:.0f}%"></span></div>{name}<br>'
        f'<span class="soft">{"<br>".join(escape(text) for text in told)}</span>'
        f"{_others(group, home)}</figcaption></figure>"
    )


def _others(group: Folded, home: int) -> str:
    if not group.others:
        return ""
    names = [f"<span>{item.score:.4f} {escape(item.source[home:])}</span>" for item in group.others[:_LIKE]]
    if len(group.others) > _LIKE:
        names.append(f"<span>and {len(group.others) - _LIKE:,} more</span>")
    return f"<details><summary>and {len(group.others):,} like it</summary>{''.join(names)}</details>"


def _drift(found: Found) -> Iterator[str]:
    yield "<h2>Over time</h2>"
    undated = f" {found.undated:,} pictures have no time and are left out." if found.undated else ""
    if len(found.spans) < 2:
        why = "No file's time is known." if not found.spans else "All files are of one time, or too few to compare."
        yield f'<p class="soft">{why if found.scores.total != found.undated else "No file has a time."}{undated}</p>'
        return
    drifting = sum(span.drifting for span in found.spans)
    told = (
        f"{drifting} of {len(found.spans) - 1} later spans differ from the first" if drifting else
        "No later span differs from the first"
    )  # fmt: skip
    yield (
        f"<p>{told} by Kolmogorov and Smirnov's two-sample test, at {100 * ALPHA:g}% for all of them together.</p>"
        f'<p class="soft">Of each span at most {SAMPLE} scores are compared, drawn evenly. The times are the files\' '
        f"own, which copying may change; pictures of one part count as if they were independent.{undated}</p>"
    )
    yield plots.over_time(found.spans)
    head = ("from", "to", "pictures", "5%", "median", "95%", "shift of the median", "distance", "p")
    yield '<div class="wide">' + html.table(head, _rows(found.spans), range(2, len(head))) + "</div>"


def _rows(spans: Sequence[Span]) -> Iterator[tuple[str, ...]]:
    for number, span in enumerate(spans):
        compared = (
            (f"{span.quantile(0.5) - spans[0].quantile(0.5):+.3f}", f"{span.distance:.3f}", f"{span.p:.2g}")
            if number else ("", "", "")
        )  # fmt: skip
        quantiles = (f"{span.quantile(share):.3f}" for share in (0.05, 0.5, 0.95))
        yield _minute(span.begin), _minute(span.end), f"{span.pictures:,}", *quantiles, *compared


def _minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M")


def duration(seconds: float) -> str:
    """Return "40 s", "12 min", "3 h 20 min" or "6 d 4 h", rounded up."""
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours + (minutes > 0), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
