"""`wordsight train`: random words in, head file out."""

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["train"]

_WORDS, _FIT, _PAST, _MACHINE = "Words", "Fit", "Past the paper", "Machine"


def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="The head file to write.", metavar="HEAD")],
    encoder: Annotated[
        str, typer.Option(help="mini, NAME:TAG or NAME:/path/to/checkpoint, NAME a model of open_clip.")
    ] = "ViT-B-16-plus-240:laion400m_e32",
    normal: Annotated[str, typer.Option(help="Word for normal, with its article.", rich_help_panel=_WORDS)] = "a",
    anomalous: Annotated[
        str, typer.Option(help="Word for anomalous, with its article.", rich_help_panel=_WORDS)
    ] = "a damaged",
    object_: Annotated[
        str, typer.Option("--object", help="What the pictures show, if that is known.", rich_help_panel=_WORDS)
    ] = "object",
    pairs: Annotated[int, typer.Option(help="Pairs of prompts a seed (N_p).", rich_help_panel=_WORDS)] = 10_000,
    min_length: Annotated[int, typer.Option(help="Letters in the shortest word.", rich_help_panel=_WORDS)] = 5,
    max_length: Annotated[int, typer.Option(help="Letters in the longest word.", rich_help_panel=_WORDS)] = 10,
    seed: Annotated[int, typer.Option(help="The first seed.", rich_help_panel=_FIT)] = 0,
    seeds: Annotated[int, typer.Option(help="How many seeds, one head each.", rich_help_panel=_FIT)] = 1,
    lr: Annotated[float, typer.Option(help="Learning rate of AdamW.", rich_help_panel=_FIT)] = 1e-3,
    lr_decay: Annotated[float, typer.Option(help="Factor on it after the first epoch.", rich_help_panel=_FIT)] = 0.1,
    weight_decay: Annotated[float, typer.Option(help="Weight decay of AdamW.", rich_help_panel=_FIT)] = 1e-4,
    dropout: Annotated[float, typer.Option(help="Dropout in hidden layers.", rich_help_panel=_FIT)] = 0.2,
    epochs: Annotated[int, typer.Option(help="Passes over all pairs.", rich_help_panel=_FIT)] = 2,
    batch_pairs: Annotated[int, typer.Option(help="Pairs a batch, two samples each.", rich_help_panel=_FIT)] = 64,
    widths: Annotated[str, typer.Option(help="Hidden widths, by commas.", rich_help_panel=_FIT)] = "512,256,128",
    states: Annotated[
        bool, typer.Option("--states", help="Many words for both states in training.", rich_help_panel=_PAST)
    ] = False,
    natural: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of pairs in natural words.", rich_help_panel=_PAST)
    ] = 0.0,
    counterfactual: Annotated[
        bool,
        typer.Option("--counterfactual", help="Pairs that differ in the state alone.", rich_help_panel=_PAST),
    ] = False,
    noise: Annotated[
        float, typer.Option(metavar="SIGMA", help="Length of noise on text embeddings.", rich_help_panel=_PAST)
    ] = 0.0,
    centre: Annotated[
        bool,
        typer.Option("--centre", help="Train on e - mean(e); export takes images from theirs.", rich_help_panel=_PAST),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=_MACHINE)] = "auto",
    text_precision: Annotated[str, typer.Option(help="fp32 or bf16.", rich_help_panel=_MACHINE)] = "fp32",
    batch_size: Annotated[int, typer.Option(help="Prompts a text batch.", rich_help_panel=_MACHINE)] = 64,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps text embeddings (default: WORDSIGHT_CACHE or the user's cache folder)."),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no text embeddings.")] = False,
    json_: Annotated[Path | None, typer.Option("--json", help="Also write the figures here.", metavar="FILE")] = None,
) -> None:
    """Train a head on random words; no picture is ever looked at.

    Example: wordsight train --encoder mini --seeds 3 -o head.safetensors
    """
    # torch takes seconds to import: outputs and settings that are wrong should not have to wait for it ...
    from wordsight.train.files import check_output_file

    for path in (output, json_):
        if path is not None:
            check_output_file(path)
    # ... but the settings' own module needs it.
    from wordsight.train.cache import default_cache
    from wordsight.train.checkpoint import save_heads
    from wordsight.train.encoders import load_encoder
    from wordsight.train.errors import SettingError
    from wordsight.train.fit import Settings, check_seeds, train_heads
    from wordsight.train.prompts import PromptPair
    from wordsight.train.report import print_summary, write_figures

    if cache is not None and no_cache:
        raise SettingError("--cache and --no-cache contradict each other: give one")
    if json_ is not None and json_.absolute() == output.absolute():
        raise SettingError(f"--json and -o both name {output}: give two files")
    if seeds < 1:
        raise SettingError(f"--seeds must be at least 1, got {seeds}")
    all_seeds = range(seed, seed + seeds)
    check_seeds(all_seeds)
    settings = Settings(
        pair=PromptPair(normal, anomalous, object_),
        num_pairs=pairs,
        min_length=min_length,
        max_length=max_length,
        lr=lr,
        lr_decay=lr_decay,
        weight_decay=weight_decay,
        widths=_widths(widths),
        dropout=dropout,
        epochs=epochs,
        batch_pairs=batch_pairs,
        states=states,
        natural=natural,
        counterfactual=counterfactual,
        noise=noise,
        centre=centre,
    )
    _check_text(text_precision, batch_size)

    with warnings.catch_warnings():
        warnings.showwarning = _short_warning
        loaded = load_encoder(encoder, device)
        heads = train_heads(
            loaded,
            settings,
            all_seeds,
            batch_size=batch_size,
            precision=text_precision,
            cache=None if no_cache else (cache or default_cache()),
        )
    save_heads(output, heads, settings, all_seeds, loaded)
    if json_ is not None:
        write_figures(json_, heads, all_seeds, str(loaded.device))
    print_summary(output, heads, all_seeds, loaded)


def _widths(text: str) -> tuple[int, ...]:
    from wordsight.train.errors import SettingError

    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise SettingError(f"--widths takes numbers by commas, such as 512,256,128, got {text!r}") from None


def _check_text(precision: str, batch_size: int) -> None:
    from wordsight.train.embed import PRECISIONS
    from wordsight.train.errors import SettingError

    if precision not in PRECISIONS:
        raise SettingError(f"--text-precision takes {' or '.join(PRECISIONS)}, got {precision!r}")
    if batch_size < 1:
        raise SettingError(f"--batch-size must be at least 1, got {batch_size}")


def _short_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as one line, without the place in the code where it arose."""
    typer.echo(f"wordsight: {message}", err=True)
