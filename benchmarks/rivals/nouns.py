"""The generator's held-out nouns as classes: there the features of `mini` mean something."""

from wordsight.benchmarks.datasets import Dataset, held_out


def nouns(count: int, seed: int = 0) -> list[Dataset]:
    """A class a noun, sorted by name, of `count` pictures in all, half of them good.

    Scenes to draw good pictures from are other scenes than those of the test, as many as there are good ones in it.
    """
    whole = held_out(count, seed)
    names = sorted({sample.noun for sample in whole.test})
    return [
        Dataset(name, [s for s in whole.test if s.noun == name], [s for s in whole.fit if s.noun == name])
        for name in names
    ]
