"""`wordsight bench select`: a configuration chosen on held-out text, before any picture is scored."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.benchmarks.selection import Judged
    from wordsight.runtime.figures import Figure
    from wordsight.train.encoders import Encoder
    from wordsight.train.fit import Settings

CHOICE = "choice.json"


def select(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for heads and the choice.")],
    encoder: Annotated[str, typer.Option(help="mini, NAME:TAG or NAME:/path/to/checkpoint.")] = "mini",
    seeds: Annotated[int, typer.Option(min=3, help="Heads of each configuration.")] = 10,
    pairs: Annotated[int, typer.Option(min=5, help="Pairs of prompts a seed (N_p) of the default.")] = 10_000,
    text_precision: Annotated[str, typer.Option(help="fp32 or bf16, of the text tower.")] = "fp32",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "cpu",
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also put the table between the marks of this Markdown file.")
    ] = None,
) -> None:
    """Choose how to train heads by held-out text: lr, dropout, widths, N_p, and the options past the paper.

    Example: wordsight bench select -o chosen --json select.json

    No picture is looked at. The choice is written to DIR/choice.json, from which `wordsight bench ablation` then asks
    what the pictures say. Heads are kept in DIR: run it again and it goes on.
    """
    from wordsight.benchmarks.marks import put_between, replaced
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file, check_output_folder

    if json_ is not None:
        check_output_file(json_)
    if into is not None:
        replaced(into, "select", "")  # refused before the work, not after it
    folder = check_output_folder(output)
    from wordsight.benchmarks.selection import choose
    from wordsight.train.encoders import load_encoder
    from wordsight.train.fit import Settings

    loaded = load_encoder(encoder, device)
    base = Settings(num_pairs=pairs)
    judged = _judge_all(loaded, base, seeds, folder, text_precision)
    chosen = choose(judged)
    write_choice(folder / CHOICE, loaded, base, seeds, judged, chosen)
    _print(judged, chosen)
    if json_ is not None:
        write_figures(json_, "bench select", list(_figures(judged)))
    if into is not None:
        put_between(into, "select", _markdown(judged, chosen, encoder, seeds))


def write_choice(
    path: Path, encoder: "Encoder", base: "Settings", seeds: int, judged: "Sequence[Judged]", chosen: "Judged"
) -> None:
    """Write what was judged, in order, and what was chosen; whole or not at all."""
    from wordsight.runtime.files import whole_file

    document = {
        "encoder": {"spec": encoder.name, "sha256": encoder.sha256},
        "seeds": seeds,
        "default": base.to_dict(),
        "configurations": [
            {"name": one.configuration.name, "changes": one.configuration.changes, "text_auroc": one.mean}
            for one in judged
        ],
        "chosen": chosen.configuration.name,
    }
    with whole_file(path, "w") as file:
        file.write(json.dumps(document, indent=1) + "\n")


def _judge_all(encoder: "Encoder", base: "Settings", seeds: int, folder: Path, precision: str) -> "list[Judged]":
    from wordsight.benchmarks.select_texts import held_out_texts
    from wordsight.benchmarks.selection import alone, combination, judge, kept_heads
    from wordsight.runtime.files import check_output_folder
    from wordsight.train.embed import embed_texts

    texts = held_out_texts(base.pair)
    rows = [embed_texts(encoder, [*t.normal, *t.anomalous], label=t.name) for t in texts]
    home, cache = check_output_folder(folder / "heads"), folder / "texts"
    judged: list[Judged] = []
    todo = alone(base)
    while todo:
        configuration = todo.pop(0)
        typer.echo(f"{configuration.name} ...", err=True)
        heads, _ = kept_heads(encoder, configuration, seeds, home, precision=precision, cache=cache)
        judged.append(judge(configuration, heads, texts, rows))
        if not todo and len(judged) == len(alone(base)) and (both := combination(judged)) is not None:
            todo.append(both)
    return judged


def _print(judged: "Sequence[Judged]", chosen: "Judged") -> None:
    from rich.console import Console
    from rich.table import Table

    from wordsight.benchmarks.select_texts import SETS

    table = Table(title="AUROC of heads on held-out text, percent", title_justify="left", title_style="bold", box=None,
                  pad_edge=False)  # fmt: skip
    for column in ("configuration", *SETS, "mean", "lead over default"):
        table.add_column(column, justify="left" if column == "configuration" else "right")
    for row in _rows(judged):
        table.add_row(*row, style="bold" if row[0] == chosen.configuration.name else None)
    Console().print(table)
    typer.echo(f"chosen: {chosen.configuration.name} {chosen.configuration.changes or ''}")


def _rows(judged: "Sequence[Judged]") -> Iterator[list[str]]:
    for one in judged:
        spread = one.areas.mean(axis=0).std(ddof=1)
        lead, error = one.lead(judged[0])
        yield [
            one.configuration.name,
            *(f"{100 * area:.1f}" for area in one.areas.mean(axis=1)),
            f"{100 * one.mean:.2f} ± {100 * spread:.2f}",
            "" if one is judged[0] else f"{100 * lead:+.2f} ± {100 * error:.2f}",
        ]


def _markdown(judged: "Sequence[Judged]", chosen: "Judged", encoder: str, seeds: int) -> str:
    from wordsight.benchmarks.select_texts import SETS

    lines = [
        f"{encoder}, {seeds} seeds, N_p = {judged[0].configuration.settings.num_pairs:,} unless a row says otherwise. "
        "AUROC on text in percent; mean ± standard deviation over seeds, lead ± standard error.",
        "",
        f"| configuration | {' | '.join(SETS)} | mean | lead over default |",
        "|---|" + "---:|" * (len(SETS) + 2),
        *(f"| {' | '.join(row)} |" for row in _rows(judged)),
        "",
        f"Chosen: {chosen.configuration.name} `{json.dumps(chosen.configuration.changes)}`",
    ]
    return "\n".join(lines)


def _figures(judged: "Sequence[Judged]") -> "Iterator[Figure]":
    """Means over seeds, with the least and the greatest seed."""
    from wordsight.benchmarks.select_texts import SETS
    from wordsight.runtime.figures import Figure

    for one in judged:
        for name, areas in (*zip(SETS, one.areas, strict=True), ("mean", one.areas.mean(axis=0))):
            yield Figure(f"text_auroc.{name}/{one.configuration.name}", float(areas.mean()), "", float(areas.min()),
                         float(areas.max()), len(areas))  # fmt: skip
