"""The comparison as one HTML file: the tables, why cells are blank, and the figures inside."""

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from wordsight.benchmarks import page
from wordsight.benchmarks.paper.compare import Pair, made_with, reasons
from wordsight.benchmarks.paper.layout import Grid, grids, ours, printed
from wordsight.benchmarks.paper.writers import KEY
from wordsight.runtime.files import whole_file

Picture = tuple[str, bytes]
"""A caption, and a PNG file's content."""


def write_html(
    path: Path, pairs: Sequence[Pair], pictures: Sequence[Picture] = (), missing: Sequence[tuple[str, str]] = ()
) -> None:
    """Write the page; the file appears whole or not at all.

    Args:
        path: the file; its folder must exist.
        pairs: every cell with ours.
        pictures: figures to show.
        missing: figures that were not made, each with the reason.
    """
    text = page.page("The paper's tables, and ours", _body(pairs, pictures, missing))
    with whole_file(path, "w") as file:
        file.write(text)


def _body(pairs: Sequence[Pair], pictures: Sequence[Picture], missing: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f'<h1>The paper\'s tables, and ours</h1><p class="soft">{escape(KEY)}</p>'
    measured = [pair for pair in pairs if pair.ours.mean is not None]
    judged = [pair.within for pair in measured if pair.within is not None]
    yield page.numbers(
        [
            (f"{len(measured)}", f"of {len(pairs)} cells measured here"),
            (f"{sum(judged)}" if judged else "none", f"of {len(judged)} within the paper's one std"),
        ]
    )
    yield "".join(f"<p>Ours: {escape(line)}.</p>" for line in made_with(pairs))
    if not measured:
        yield '<p class="note">Nothing was measured here yet: every cell of ours is blank, with its reason below.</p>'
    for grid in grids(pairs):
        yield f"<h2>{escape(grid.title)}</h2>" + _table(grid)
        blank = [(str(count), reason) for reason, count in reasons(grid.at.values()).items()]
        if blank:
            yield page.table(("cells not run", "reason"), blank, (0,))
        notes = [(p.cell.row, p.cell.setup, p.cell.method, p.cell.metric, p.cell.note)
                 for p in grid.at.values() if p.cell.note]  # fmt: skip
        if notes:
            yield page.table(("row", "setup", "method", "metric", "note on the transcription"), notes)
    if pictures or missing:
        yield "<h2>Figures</h2>"
    for caption, png in pictures:
        data = base64.b64encode(png).decode("ascii")
        yield (
            f'<figure><img style="width:100%" alt="{escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )
    if missing:
        yield page.table(("figure", "why it is not here"), missing)


def _table(grid: Grid) -> str:
    blank = "<th></th>" * len(grid.lines[0])
    head = "".join(f'<th class="n">{"<br>".join(escape(part) for part in column)}</th>' for column in grid.columns)
    rows = []
    for line in grid.lines:
        labels = "".join(f"<td>{escape(part)}</td>" for part in line)
        cells = "".join(f'<td class="n">{"" if pair is None else _cell(pair)}</td>' for pair in grid.row(line))
        rows.append(f"<tr>{labels}{cells}</tr>")
    # Ten columns are wider than the page.
    return (
        '<div style="overflow-x:auto;font-size:13px">'
        f"<table><thead><tr>{blank}{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(pair: Pair) -> str:
    return "<br>".join([escape(printed(pair.cell)), *(f"<b>{escape(line)}</b>" for line in ours(pair))])
