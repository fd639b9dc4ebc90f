"""`wordsight bench ablation`: what every option is worth on pictures, after the choice was made on text."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from wordsight.benchmarks.ablation import Pictures, Row, Spread
    from wordsight.benchmarks.datasets import Dataset
    from wordsight.benchmarks.selection import Configuration
    from wordsight.train.encoders import Encoder


def ablation(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of `bench select`, with its choice.")
    ],
    folder: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[DIR]...", help="Sets, such as MVTec AD or VisA; the generator's held-out nouns without."
        ),
    ] = None,
    encoder: Annotated[str, typer.Option(help="mini, NAME:TAG or NAME:/path/to/checkpoint.")] = "mini",
    seeds: Annotated[int, typer.Option(min=3, help="Heads of each configuration.")] = 10,
    redraws: Annotated[int, typer.Option(min=0, help="Ensembles of that many heads; 0 or at least 2.")] = 8,
    pictures: Annotated[int, typer.Option(min=20, help="Held-out pictures of the generator, without DIR.")] = 2000,
    centre_frames: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures for the mean of images; mini brings its own.")
    ] = None,
    text_precision: Annotated[str, typer.Option(help="fp32 or bf16, of the text tower.")] = "fp32",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "cpu",
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also put the table between the marks of this Markdown file.")
    ] = None,
) -> None:
    """AUROC of every configuration that `wordsight bench select` judged on text, and what it gains over the default.

    Example: wordsight bench ablation /data/mvtec -o chosen --encoder ViT-B-16-plus-240:laion400m_e32

    Refused before a choice was made on text. This is the command for AUROC with no image and no class name: with
    MVTec AD's or VisA's folder and weights at hand, the row of the chosen configuration is the figure. Heads and scores
    are kept in the folder: run it again and it goes on.
    """
    from wordsight.benchmarks.datasets import held_out, open_dataset
    from wordsight.benchmarks.marks import put_between, replaced
    from wordsight.runtime.errors import SettingError
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file

    if json_ is not None:
        check_output_file(json_)
    if into is not None:
        replaced(into, "ablation", "")
    if redraws == 1:
        raise SettingError("--redraws takes 0 or at least 2 ensembles, got 1: one has no spread")
    if not folder and encoder != "mini":
        raise SettingError("the generator's pictures are for mini alone: name the folder of a set")
    choice = read_choice(output)
    from wordsight.benchmarks import ablation_tables as tables
    from wordsight.benchmarks.ablation import rank_correlation
    from wordsight.train.encoders import load_encoder

    loaded = load_encoder(encoder, device, expected_sha256=choice["encoder"]["sha256"])
    sets = [dataset for path in folder or [] for dataset in open_dataset(path)] or [held_out(pictures)]
    rows, missing, spreads = _measure(loaded, choice, sets, output, seeds, redraws, centre_frames, text_precision)
    title = f"{encoder} on {_title(sets)}, {seeds} seeds, N_p = {choice['default']['num_pairs']:,}"
    correlations = {kind: rank_correlation(rows, kind) for kind in ("s_fnn", "total")}
    found = (rows, missing, spreads, correlations, choice["chosen"])
    tables.print_table(title, *found)
    if json_ is not None:
        write_figures(json_, "bench ablation", list(tables.figures(*found)))
    if into is not None:
        put_between(into, "ablation", tables.markdown(title, *found))


def read_choice(folder: Path) -> dict[str, Any]:
    """What `wordsight bench select` wrote.

    Raises:
        SettingError: there is none, or it is damaged.
    """
    from wordsight.benchmarks.select_cli import CHOICE
    from wordsight.runtime.errors import SettingError

    path = folder / CHOICE
    again = f"choose on text first: wordsight bench select -o {folder}"
    try:
        choice: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = [one["name"] for one in choice["configurations"]]
        _ = [(one["changes"], float(one["text_auroc"])) for one in choice["configurations"]]
        if choice["chosen"] not in names or not choice["encoder"]["sha256"] or not choice["default"]["num_pairs"]:
            raise ValueError("what it chose is not among what it judged")
    except OSError as error:
        raise SettingError(f"there is no choice in {folder}: {again}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SettingError(f"{path} is damaged ({error}): {again}") from error
    return choice


def _configurations(choice: dict[str, Any]) -> "list[Configuration]":
    from wordsight.benchmarks.selection import Configuration
    from wordsight.train.fit import Settings

    base = Settings.from_dict(choice["default"])
    found = []
    for one in choice["configurations"]:
        changes: dict[str, Any] = {
            name: tuple(value) if name == "widths" else value for name, value in one["changes"].items()
        }
        found.append(Configuration(one["name"], changes, replace(base, **changes)))
    return found


def _measure(
    encoder: "Encoder", choice: dict[str, Any], sets: "list[Dataset]", folder: Path, seeds: int, redraws: int,
    centre_frames: Path | None, precision: str,
) -> "tuple[list[Row], dict[str, str], dict[str, Spread]]":  # fmt: skip
    """The rows, the configurations that have none and why, and the spreads of ensembles by score."""
    from wordsight.benchmarks.ablation import Scores, row, spread

    default, *others = _configurations(choice)
    text = {one["name"]: float(one["text_auroc"]) for one in choice["configurations"]}
    pictures, all_heads = _default_scores(encoder, default, sets, folder, seeds * max(1, redraws), precision)

    def scores(s_fnn: "list[np.ndarray]") -> Scores:
        return Scores(s_fnn, [p.s_pr + rows for p, rows in zip(pictures, s_fnn, strict=True)])

    plain = scores([rows[:seeds] for rows in all_heads])
    rows, missing = [row(default.name, text[default.name], pictures, plain, None)], {}
    for one in others:
        if one.settings.centre and encoder.name != "mini" and centre_frames is None:
            missing[one.name] = "not run: the mean of images wants --centre-frames"
            continue
        frames = centre_frames if one.settings.centre else None
        kept = _kept_scores(encoder, one, pictures, sets, folder, seeds, frames, precision)
        rows.append(row(one.name, text[one.name], pictures, scores(kept), plain))
    spreads = {}
    if redraws:
        every = scores(all_heads)
        spreads = {kind: spread(pictures, getattr(every, kind), seeds) for kind in ("s_fnn", "total")}
    return rows, missing, spreads


def _default_scores(
    encoder: "Encoder", default: "Configuration", sets: "list[Dataset]", folder: Path, heads: int, precision: str
) -> "tuple[list[Pictures], list[np.ndarray]]":
    """Every set through the default's file: what all configurations share, and s_fnn of all its heads."""
    from wordsight.benchmarks.ablation import Pictures, check_agreement, head_scores, see

    found, s_fnn = [], []
    with _exported(encoder, default, heads, folder, None, precision) as (path, sha256):
        for dataset in sets:
            keep = _keep(folder, dataset, default)
            kept = _load(keep, f"{sha256} {heads} {_identity(dataset)}", ("labels", "s_pr", "embedding", "s_fnn"))
            if kept is None:
                seen, by_runtime = see(path(), dataset)
                check_agreement(by_runtime, head_scores(path(), seen.embedding))
                kept = {**vars(seen), "s_fnn": by_runtime}
                _save(keep, f"{sha256} {heads} {_identity(dataset)}", kept)
            found.append(Pictures(kept["labels"], kept["s_pr"], kept["embedding"]))
            s_fnn.append(kept["s_fnn"][:heads])  # the head file may have grown beyond what is asked for
    return found, s_fnn


def _kept_scores(
    encoder: "Encoder", one: "Configuration", pictures: "list[Pictures]", sets: "list[Dataset]", folder: Path,
    heads: int, centre_frames: Path | None, precision: str,
) -> "list[np.ndarray]":  # fmt: skip
    from wordsight.benchmarks.ablation import head_scores

    s_fnn = []
    with _exported(encoder, one, heads, folder, centre_frames, precision) as (path, sha256):
        for dataset, seen in zip(sets, pictures, strict=True):
            keep, identity = _keep(folder, dataset, one), f"{sha256} {heads} {_identity(dataset)} {centre_frames}"
            if (kept := _load(keep, identity, ("s_fnn",))) is None:
                kept = {"s_fnn": head_scores(path(), seen.embedding)}
                _save(keep, identity, kept)
            s_fnn.append(kept["s_fnn"][:heads])
    return s_fnn


@contextmanager
def _exported(
    encoder: "Encoder", one: "Configuration", count: int, folder: Path, centre_frames: Path | None, precision: str
) -> "Iterator[tuple[Callable[[], Path], str]]":
    """What gives the exported file of `count` heads, made when first asked for, and the SHA-256 of the head file."""
    from wordsight.benchmarks.selection import kept_heads
    from wordsight.export.onnx import export_model
    from wordsight.runtime.files import check_output_folder
    from wordsight.train.files import sha256_of

    typer.echo(f"{one.name} ...", err=True)
    home, cache = check_output_folder(folder / "heads"), folder / "texts"
    _, head_path = kept_heads(encoder, one, count, home, precision=precision, cache=cache)
    with tempfile.TemporaryDirectory(prefix="wordsight-") as scratch:
        path = Path(scratch) / "model.onnx"

        def made() -> Path:
            if not path.is_file():
                export_model(head_path, path, encoder_spec=encoder.spec, seeds_output=True, centre_frames=centre_frames)
            return path

        yield made, sha256_of(head_path)


def _identity(dataset: "Dataset") -> str:
    return f"{dataset.name} {len(dataset.test)}"


def _keep(folder: Path, dataset: "Dataset", one: "Configuration") -> Path:
    from wordsight.runtime.files import check_output_folder

    home = check_output_folder(folder / "scores")
    name = "".join(c if c.isalnum() else "-" for c in dataset.name)
    return home / f"{name}-{one.file_name}.npz"


def _load(path: Path, identity: str, names: Sequence[str]) -> "dict[str, np.ndarray] | None":
    """Arrays kept under an identity, or None; of another model or set they are made anew."""
    import numpy as np

    from wordsight.runtime.errors import WordsightError

    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names} if str(arrays["identity"]) == identity else None
    except (OSError, ValueError, KeyError) as error:
        raise WordsightError(f"{path} is damaged ({error}): delete it and run again") from error


def _save(path: Path, identity: str, arrays: dict[str, Any]) -> None:
    import numpy as np

    from wordsight.runtime.files import whole_file

    with whole_file(path) as file:
        np.savez(file, identity=np.array(identity), **arrays)


def _title(sets: "list[Dataset]") -> str:
    pictures = sum(len(dataset.test) for dataset in sets)
    names = sets[0].name if len(sets) == 1 else f"{len(sets)} sets"
    return f"{names}, {pictures:,} pictures"
