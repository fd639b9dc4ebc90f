"""The ablation as a table for people, as Markdown, and as figures."""

from collections.abc import Iterator, Mapping, Sequence

from wordsight.benchmarks.ablation import Row, Spread
from wordsight.benchmarks.metrics import Estimate
from wordsight.runtime.figures import Figure

COLUMNS = ("configuration", "on text", "s_fnn", "lead", "folded", "sum", "lead", "folded")
KEY = (
    "AUROC in percent. s_fnn, sum: mean ± standard deviation over single heads; lead: over the default, of that mean, "
    "with its 95% paired bootstrap interval over pictures; folded: all heads as one file. on text: what the choice was "
    "made by."
)


def cells(row: Row, chosen: str) -> list[str]:
    """A row's texts, in the order of `COLUMNS`."""
    name = f"{row.name} (chosen)" if row.name == chosen else row.name
    return [
        name,
        f"{100 * row.text:.1f}",
        f"{100 * row.s_fnn.mean():.2f} ± {100 * row.s_fnn.std(ddof=1):.2f}",
        _lead(row.lead_s_fnn),
        f"{100 * row.folded_s_fnn:.2f}",
        f"{100 * row.total.mean():.2f} ± {100 * row.total.std(ddof=1):.2f}",
        _lead(row.lead_total),
        f"{100 * row.folded_total:.2f}",
    ]


def remarks(spreads: Mapping[str, Spread], correlations: Mapping[str, float]) -> list[str]:
    """What the table does not say: the spread of ensembles, and how well text foretells pictures."""
    lines = [
        f"{_NAMES[kind]}: {s.draws} re-drawn ensembles of {s.heads} heads scatter by {100 * s.ensembles:.3f} points, "
        f"single heads by {100 * s.singles:.3f}: ratio {s.ratio:.2f}"
        for kind, s in spreads.items()
    ]
    return lines + [
        f"{_NAMES[kind]}: rank correlation between the figure on text and AUROC on pictures, over all configurations: "
        f"{value:+.2f}"
        for kind, value in correlations.items()
    ]


_NAMES = {"s_fnn": "s_fnn", "total": "sum"}


def markdown(
    title: str, rows: Sequence[Row], missing: Mapping[str, str], spreads: Mapping[str, Spread],
    correlations: Mapping[str, float], chosen: str,
) -> str:  # fmt: skip
    """Title, table and remarks."""
    lines = [f"{title}.", "", KEY, "", f"| {' | '.join(COLUMNS)} |", "|---|" + "---:|" * (len(COLUMNS) - 1)]
    lines += [f"| {' | '.join(cells(row, chosen))} |" for row in rows]
    lines += [f"| {name} | {reason} |" + " |" * (len(COLUMNS) - 2) for name, reason in missing.items()]
    return "\n".join([*lines, "", *(f"- {line}" for line in remarks(spreads, correlations))])


def print_table(
    title: str, rows: Sequence[Row], missing: Mapping[str, str], spreads: Mapping[str, Spread],
    correlations: Mapping[str, float], chosen: str,
) -> None:  # fmt: skip
    """The same on stdout."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*cells(row, chosen), style="bold" if row.name == chosen else None)
    for name, reason in missing.items():
        table.add_row(name, escape(reason))
    console = Console()
    console.print(table)
    for line in remarks(spreads, correlations):
        console.print(line, markup=False, highlight=False)


def figures(
    rows: Sequence[Row], missing: Mapping[str, str], spreads: Mapping[str, Spread],
    correlations: Mapping[str, float], chosen: str,
) -> Iterator[Figure]:  # fmt: skip
    """Every number of the table; AUROC with the worst and the best head, leads with their intervals."""
    for row in rows:
        for kind, areas, folded, lead in (
            ("s_fnn", row.s_fnn, row.folded_s_fnn, row.lead_s_fnn),
            ("sum", row.total, row.folded_total, row.lead_total),
        ):
            yield Figure(f"auroc.{kind}/{row.name}", float(areas.mean()), "", float(areas.min()), float(areas.max()),
                         len(areas))  # fmt: skip
            yield Figure(f"auroc.{kind}.std/{row.name}", float(areas.std(ddof=1)), n=len(areas))
            yield Figure(f"auroc.{kind}.folded/{row.name}", folded)
            if lead is not None:
                yield Figure(f"lead.{kind}/{row.name}", lead.value, "", lead.low, lead.high, lead.n)
                if row.name == chosen:
                    yield Figure(f"lead.{kind}.chosen", lead.value, "", lead.low, lead.high, lead.n)
            elif row.name == chosen:
                yield Figure(f"lead.{kind}.chosen", None, reason="the paper's default was chosen: it leads itself by 0")
    for name, reason in missing.items():
        yield Figure(f"auroc.s_fnn/{name}", None, reason=reason)
    for kind, spread in spreads.items():
        name = _NAMES[kind]
        yield Figure(f"std.ensemble.{name}", spread.ensembles, n=spread.draws)
        yield Figure(f"std.single.{name}", spread.singles, n=spread.draws * spread.heads)
        yield Figure(f"ratio.ensemble_std_over_single.{name}", spread.ratio, n=spread.draws)
    for kind, value in correlations.items():
        yield Figure(f"rank_correlation.text.{_NAMES[kind]}", value, n=len(rows))


def _lead(lead: Estimate | None) -> str:
    if lead is None:
        return ""
    return f"{100 * lead.value:+.2f} ({100 * lead.low:+.2f} to {100 * lead.high:+.2f})"
