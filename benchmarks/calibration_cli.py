"""`wordsight bench calibration`: how often a calibration promises too much."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wordsight.benchmarks.calibration import Floats, Tally
    from wordsight.benchmarks.data.sample import Sample
    from wordsight.runtime.figures import Figure
    from wordsight.runtime.model import Model

# (frames, rate): too few for a bound, the fewest, and more.
_CASES = ((30, 0.05), (59, 0.05), (300, 0.05), (50, 0.01), (299, 0.01), (1000, 0.01))


def calibration(
    folder: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]...", help="Sets whose good pictures are taken as well.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Scores the pictures. [the packaged demo's]")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of the bound.")] = 0.95,
    resamples: Annotated[int, typer.Option(min=10, help="Calibrations a row.")] = 1000,
    pictures: Annotated[
        int, typer.Option(min=0, help="Good pictures of held-out nouns to draw and score; 0 for none.")
    ] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")] = None,
) -> None:
    """How often the false-alarm rate on unseen good frames exceeds the rate asked, beside what the confidence allows.

    Example: wordsight bench calibration ../shared/data/magnetic_tile --json calibration.json

    Scores are simulated from six distributions, and real ones are those that MODEL gives good pictures. Beside our
    bound stand the highest score of the good frames, and their quantile. Ends with code 1 where the bound is exceeded
    more often than chance explains.
    """
    from wordsight.benchmarks import calibration as bench
    from wordsight.benchmarks import datasets, progress
    from wordsight.runtime.demo import demo_model
    from wordsight.runtime.figures import write_figures
    from wordsight.runtime.files import check_output_file
    from wordsight.runtime.model import Model
    from wordsight.runtime.thresholds import frames_needed

    if json is not None:
        check_output_file(json)
    for _, rate in _CASES:
        frames_needed(rate, confidence)  # refuses a confidence out of range
    sets = [dataset for path in folder or [] for dataset in datasets.open_dataset(path)]
    tallies: list[Tally] = []
    extra: list[Figure] = []
    simulations = [(kind, *case) for kind in bench.distributions() for case in _CASES]
    with progress.bar("simulated scores", len(simulations) * resamples) as tick:
        for at, (kind, n, rate) in enumerate(simulations):
            tallies += bench.simulated(kind, n, rate, confidence, resamples, seed + at, tick)
    failures: list[tuple[str, str]] = []
    if pictures or sets:
        with Model(model or demo_model()) as opened:
            pools: dict[str, Floats] = {}
            if pictures:
                pools["drawn parts"] = _scores(opened, _drawn(pictures, seed), failures)
            for dataset in sets:
                name = Path(dataset.name).name
                fit = _scores(opened, dataset.fit, failures)
                test = _scores(opened, [sample for sample in dataset.test if not sample.label], failures)
                pools[name] = _joined(fit, test)
                extra += _one_division(name, fit, test, confidence)
        real = [(name, pool, *case) for name, pool in pools.items() for case in _CASES if 1.5 * case[0] < len(pool)]
        with progress.bar("real scores", len(real) * resamples) as tick:
            for at, (name, pool, n, rate) in enumerate(real):
                tallies += bench.resampled(name, pool, n, rate, confidence, resamples, seed + 1000 + at, tick)
    _show(tallies, confidence, resamples)
    for figure in extra:
        typer.echo(_line(figure))
    if json is not None:
        write_figures(json, "bench calibration", [*bench.figures(tallies), *extra])
    for name, reason in failures:
        typer.echo(f"not scored: {name}: {reason}", err=True)
    found = bench.dishonest(tallies)
    for line in found:
        typer.echo(f"exceeded too often: {line}", err=True)
    if found or failures:
        raise typer.Exit(1)


def _drawn(count: int, seed: int) -> "list[Sample]":
    import numpy as np

    from wordsight.benchmarks import progress
    from wordsight.benchmarks.data.sample import Sample
    from wordsight.train.mini.nouns import HELD_OUT_NOUNS
    from wordsight.train.mini.pictures import draw

    samples = []
    with progress.bar("drawing good parts", count) as tick:
        for at in range(count):
            noun = HELD_OUT_NOUNS[at % len(HELD_OUT_NOUNS)]
            (picture,) = draw(noun, np.random.default_rng((seed, 27, at)), defective=False)
            samples.append(Sample(f"{noun.name} {at:05d}", 0, "good", noun.name, frame=picture.image))
            tick()
    return samples


def _scores(model: "Model", samples: "list[Sample]", failures: list[tuple[str, str]]) -> "Floats":
    """Scores (N,) of the pictures that can be read."""
    import numpy as np

    from wordsight.benchmarks import scoring

    if not samples:
        return np.zeros(0)
    scored = scoring.score_samples(model, samples)
    failures += scored.failures
    return scored.score


def _joined(first: "Floats", second: "Floats") -> "Floats":
    import numpy as np

    return np.concatenate([first, second])


def _one_division(name: str, fit: "Floats", test: "Floats", confidence: float) -> "list[Figure]":
    """Return what one calibration on train/good says of test/good: the division that somebody else made."""
    from wordsight.benchmarks.calibration import clopper_pearson
    from wordsight.runtime.figures import Figure
    from wordsight.runtime.thresholds import CalibrationError, thresholds

    figures = []
    for rate in sorted({rate for _, rate in _CASES}):
        label = f"false_alarms.{name}.train_to_test.rate{rate:g}"
        try:
            found = thresholds(fit.tolist(), rate, confidence)
        except CalibrationError as error:
            figures.append(Figure(label, None, reason=str(error)))
            continue
        if not len(test):
            figures.append(Figure(label, None, reason="there are no good test pictures"))
            continue
        count = int((test >= found.defect).sum())
        figures.append(Figure(label, count / len(test), "", *clopper_pearson(count, len(test), 0.95), n=len(test)))
    return figures


def _show(tallies: "list[Tally]", confidence: float, resamples: int) -> None:
    import numpy as np
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=f"share of {resamples:,} calibrations with more false alarms on unseen good frames than were asked for",
        title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    # On a narrow terminal the names and the intervals fold; the bound itself, what all of this is about, is never cut.
    table.add_column("scores", min_width=11)
    for name in ("frames", "rate", "allowed", "our bound (95% interval)", "highest", "quantile", "defect", "unsure"):
        folds = name.startswith("our bound")
        table.add_column(name, justify="right", no_wrap=not folds, min_width=9 if folds else None)
    for bound, highest, quantile in zip(tallies[::3], tallies[1::3], tallies[2::3], strict=True):
        shares = [f"{t.exceeded / len(t.rates):.3f}" for t in (highest, quantile)]
        if bound.refused:
            ours, allowed, cost = "refused: too few", "", ["", ""]
        else:
            low, high = bound.interval(0.95)
            ours = f"{bound.exceeded / len(bound.rates):.3f} ({low:.3f} to {high:.3f})"
            allowed = f"{bound.allowed:.3f}"
            cost = [f"{np.mean(values):.2%}" for values in (bound.rates, bound.unsure)]
        table.add_row(escape(bound.data), str(bound.n), f"{bound.rate:.0%}", allowed, ours, *shares, *cost)
    Console().print(table)
    typer.echo(
        f"allowed: 1 - {confidence:g}, and more of real scores where their unseen frames are few\n"
        "defect, unsure: mean shares of unseen good frames under our bound"
    )


def _line(figure: "Figure") -> str:
    from wordsight.benchmarks.tables import number, span

    said = figure.reason or f"{number(figure.value)} ({span(figure)}) of {figure.n}"
    return f"{figure.name}: {said}"
