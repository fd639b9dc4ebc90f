"""WinCLIP and metrics beside anomalib's own, on identical weights, pictures and prompts; and the window pass in turns.

anomalib pins an open_clip that is older than ours, so it lives in an environment of its own (`make peers` makes it)
and runs in a process of its own, `peers_anomalib.py`. Weights are random: two programs must agree on any weights.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import typer
from numpy.typing import NDArray

from wordsight.benchmarks import progress, timing
from wordsight.benchmarks.peer_metrics import metric_cases, metric_difference
from wordsight.benchmarks.peer_process import Peer, check_environment
from wordsight.runtime.errors import WordsightError
from wordsight.runtime.figures import Figure

ENCODER = "ViT-B-16-plus-240"
"""The only encoder that anomalib's WinCLIP takes."""
OBJECT = "metal nut"
PRECISIONS = ("int8", "bf16", "fp32")
"""int8 and fp32: the exported graph in ONNX Runtime. bf16: in torch, as ONNX Runtime's CPU kernels take none."""
LIMITS = {
    "difference.winclip.score": 1e-4,
    "difference.winclip.map": 1e-4,
    "difference.winclip.score.fp32": 1e-4,
    "difference.winclip.map.fp32": 1e-4,
    "difference.metrics": 1e-6,
}
MEANING = {
    "difference.winclip.score": "largest |image score, ours in torch fp32 - anomalib's|; limit 1e-4",
    "difference.winclip.map": "largest |map at 240 px, ours in torch fp32 - anomalib's|; limit 1e-4",
    "difference.winclip.score.22_templates": "control: the image score with 22 templates",
    "difference.winclip.map.22_templates": "control: the map with 22 templates must differ by more than the limit",
    **{
        f"difference.winclip.{what}.{precision}": f"largest |{name} - the peer's|, all in {precision}; {limit}"
        for precision, limit in (("fp32", "limit 1e-4"), ("bf16", "stated"), ("int8", "stated"))
        for what, name in (("score", "image score"), ("map", "map"))
    },
    "spread.winclip.map": "largest less smallest value of anomalib's maps: what a difference is to be held against",
    "difference.winclip.embeddings": "largest |unit window or patch embedding, ours - anomalib's|",
    "difference.metrics": "largest |AUROC, AUPR, F1-max, ours - anomalib's or torchmetrics'|, with ties; limit 1e-6",
    "ratio.window_pass_vs_anomalib": "anomalib's window pass over ours, in turns: best of int8, bf16, fp32; target 3",
    "ratio.window_pass_vs_anomalib.int8": "the same with ours exported, products in int8, ONNX Runtime",
    "ratio.window_pass_vs_anomalib.bf16": "the same with ours in torch, bf16",
    "ratio.window_pass_vs_anomalib.fp32": "the same with ours exported, ONNX Runtime, fp32",
    "ratio.window_pass_vs_anomalib.torch_fp32": "the same with ours in torch, fp32: no other precision or engine",
}


def measure(python: Path, rounds: int = 5, count: int = 2, threads: int = 1) -> tuple[list[Figure], dict[str, str]]:
    """Compare with the peer, then time both window passes in turns.

    Args:
        python: the Python of the peer's environment.
        rounds: of the clock.
        count: pictures that are compared, 240 px, noise of several grains.
        threads: on both sides, of torch and of ONNX Runtime.

    Returns:
        The figures, and the versions of the peer's packages.

    Raises:
        MissingPart: there is no environment of the peer.
        WordsightError: the peer failed, or its prompts or temperature are not what ours are set to.
    """
    import torch

    from wordsight.benchmarks.fold import random_checkpoint
    from wordsight.benchmarks.window_graphs import WindowGraph, export_graphs
    from wordsight.export.winclip import TEMPERATURES, WinClip
    from wordsight.export.windows import Windows
    from wordsight.train.compositional import class_embeddings, ensemble
    from wordsight.train.encoders import load_encoder

    check_environment(python)  # before weights are drawn: that takes a while
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="wordsight-peers-") as scratch, torch.inference_mode():
        folder = Path(scratch)
        encoder = load_encoder(random_checkpoint(ENCODER, folder))
        Path(encoder.weights).rename(folder / "weights.safetensors")
        pictures = _pictures(count, encoder)
        cases = metric_cases()
        np.savez(folder / "pictures.npz", pictures=pictures.numpy())
        arrays: dict[str, Any] = {
            f"{kind}_{i}": case[j] for i, case in enumerate(cases) for j, kind in enumerate(("labels", "scores"))
        }
        np.savez(folder / "cases.npz", **arrays)
        peer = Peer(python, folder, threads)
        try:
            about = peer.ask("describe", object=OBJECT)
            same = (about["normal"], about["anomalous"]) == ensemble(OBJECT, templates=21)
            if not same or about["temperature"] != TEMPERATURES[1]:
                raise WordsightError("the peer's prompts or temperature are not those of 21 templates and T = 0.07")
            visual = encoder.model.get_submodule("visual")
            exact, halved = Windows(visual), Windows(visual, precision="bf16")
            with progress.bar("peer's scores; our graphs", 4) as tick:
                peer.ask("scores")
                tick()
                theirs = dict(np.load(folder / "peer.npz"))
                rows = peer.ask("metrics")["rows"]
                tick()
                graphs = {name: WindowGraph(graph, threads) for name, graph in export_graphs(exact, tick).items()}
            figures = [_figure("difference.metrics", metric_difference(rows, cases), len(cases))]
            tokens = exact.tower._embeds(pictures)
            guiding = class_embeddings(encoder, OBJECT, templates=21, mean="raw")
            longer = class_embeddings(encoder, OBJECT, templates=22, mean="raw")
            as_theirs, as_paper = (WinClip(exact, texts, TEMPERATURES[1]).map for texts in (guiding, longer))
            outputs = exact(pictures)
            ours = {
                "": as_theirs(*outputs[:-1]),
                ".22_templates": as_paper(*outputs[:-1]),
                ".bf16": WinClip(halved, guiding, TEMPERATURES[1])(pictures),
                **{
                    f".{name}": as_theirs(*(torch.from_numpy(x) for x in graph.outputs(tokens.numpy())))
                    for name, graph in graphs.items()
                },
            }
            for name, (score, patches) in ours.items():
                pixels = torch.nn.functional.interpolate(patches[:, None], size=pictures.shape[-2:], mode="bilinear")
                for what, mine in (("score", score), ("map", pixels[:, 0])):
                    difference = _largest(mine.numpy(), theirs[what])
                    figures.append(_figure(f"difference.winclip.{what}{name}", difference, count))
            figures.append(_figure("spread.winclip.map", float(np.ptp(theirs["map"])), count))
            figures.append(_figure("difference.winclip.embeddings", _embeddings(exact, outputs, theirs), count))

            _save_tokens(folder, encoder, pictures[:1])
            first, array = tokens[:1], tokens[:1].numpy()
            own: list[float] = []
            seconds = timing.interleaved(
                {
                    "anomalib": lambda: own.append(peer.ask("window_pass")["seconds"]),
                    "int8": lambda: graphs["int8"].windows(array),
                    "bf16": lambda: halved.windows(first),
                    "fp32": lambda: graphs["fp32"].windows(array),
                    "torch_fp32": lambda: exact.windows(first),
                },
                rounds,
            )
            # The peer's own clock: without the pipe and without reading the file. The first round warms up.
            figures += window_ratios({**seconds, "anomalib": own[1:]})
        finally:
            peer.close()
    return figures, about["versions"]


def window_ratios(seconds: Mapping[str, Sequence[float]]) -> list[Figure]:
    """The peer's seconds over ours, round by round: the best of `PRECISIONS` by its median first, then each, then all.

    Args:
        seconds: of every round, by "anomalib" and by what ours ran in.
    """
    name = "ratio.window_pass_vs_anomalib"
    ratios = {
        what: timing.ratio(f"{name}.{what}", seconds["anomalib"], values)
        for what, values in seconds.items()
        if what != "anomalib"
    }
    best = max(PRECISIONS, key=lambda precision: cast(float, ratios[precision].value))
    return [
        replace(ratios[best], name=name),
        *ratios.values(),
        *(timing.median(f"seconds.window_pass.{what}", values) for what, values in seconds.items()),
    ]


def failures(figures: list[Figure]) -> list[str]:
    """What lies beyond its limit, and a control that did not differ; empty when all agree."""
    values = {figure.name: figure.value for figure in figures if figure.value is not None}
    found = [f"{name} is {values[name]:.2g}, limit {limit:g}" for name, limit in LIMITS.items() if values[name] > limit]
    control = values["difference.winclip.map.22_templates"]
    if control <= LIMITS["difference.winclip.map"]:
        found.append(f"the control with 22 templates differs by {control:.2g} only: the comparison sees nothing")
    return found


def _pictures(count: int, encoder: Any) -> Any:
    """Pictures (N, 3, S, S) float32, normalised as the encoder wants it: noise, coarser from one to the next."""
    import torch

    rng = np.random.default_rng(0)
    size, rows = encoder.image_size, []
    for number in range(count):
        grain = (5, 48, 1, 16)[number % 4]
        cells = -(-size // grain)
        rows.append(rng.random((cells, cells, 3)).repeat(grain, 0).repeat(grain, 1)[:size, :size])
    pictures = (np.stack(rows) - encoder.mean) / encoder.std
    return torch.from_numpy(pictures.transpose(0, 3, 1, 2).astype(np.float32).copy())


def _save_tokens(folder: Path, encoder: Any, pictures: Any) -> None:
    """The stem's tokens before the first norm, where anomalib's window pass begins (ours begins behind that norm)."""
    import torch

    visual = encoder.model.visual
    patches = visual.conv1(pictures).flatten(2).transpose(1, 2)
    first = visual.class_embedding.expand(len(patches), 1, -1)
    np.savez(folder / "tokens.npz", tokens=(torch.cat([first, patches], 1) + visual.positional_embedding).numpy())


def _embeddings(windows: Any, outputs: tuple[Any, ...], theirs: dict[str, NDArray[np.float32]]) -> float:
    named = dict(zip(windows.output_names, outputs, strict=True))
    differences = []
    for name in ("windows_2", "windows_3", "patches"):
        rows = theirs[name] / np.linalg.norm(theirs[name], axis=-1, keepdims=True)
        differences.append(_largest(named[name].numpy(), rows))
    return max(differences)


def _largest(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    if ours.shape != theirs.shape:
        raise WordsightError(f"ours has the shape {ours.shape}, the peer's {theirs.shape}")
    return float(np.abs(ours.astype(np.float64) - theirs).max())


def _figure(name: str, value: float, n: int) -> Figure:
    return Figure(name, value, n=n)


def main(
    python: Annotated[Path, typer.Option(help="Python of the peer's environment.")] = Path(".venv-peers/bin/python"),
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the clock.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads, on both sides.")] = 1,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")] = None,
) -> None:
    """Compare WinCLIP and metrics with anomalib's; exit code 1 where they differ by more than the limits."""
    from wordsight.benchmarks.tables import print_figures
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file

    try:
        if json is not None:
            check_output_file(json)
        start = time.monotonic()
        figures, versions = measure(python, rounds, threads=threads)
    except WordsightError as error:
        typer.echo(f"peers: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    print_figures(f"{ENCODER}, random weights; {threads} threads; {time.monotonic() - start:.0f} s", figures, MEANING)
    typer.echo(f"the peer's side: {named}")
    if json is not None:
        write_figures(json, "peers winclip", figures)
    found = failures(figures)
    for line in found:
        typer.echo(f"peers: {line}", err=True)
    raise typer.Exit(1 if found else 0)


if __name__ == "__main__":
    typer.run(main)
