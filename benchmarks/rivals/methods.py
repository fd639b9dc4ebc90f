"""The rows of the table: which methods there are, and which cells each of them has."""

from dataclasses import dataclass

from wordsight.runtime.errors import SettingError


@dataclass(frozen=True)
class Method:
    """One detector."""

    key: str
    """What `--methods` calls it."""
    title: str
    ours: bool = False
    """Scored by the exported file through the runtime; the others look at the backbone's levels."""
    few_shot: bool = True
    drawn: bool = True
    """Whether a draw decides anything: the support, or the head that goes with it."""


METHODS = (
    Method("clip", "CLIP (s_pr)", ours=True, few_shot=False, drawn=False),
    Method("fnn", "CLIP + FNN", ours=True, few_shot=False),
    Method("spade", "SPADE"),
    Method("padim", "PaDiM (anomalib)"),
    Method("patchcore", "PatchCore (anomalib)"),
    Method("regad", "RegAD"),
    Method("img", "CLIP + FNN + s_img", ours=True),
)
"""In the order of the paper's Table 1: rivals first, ours last, for each number of shots."""
PEERS = frozenset({"padim", "patchcore"})


@dataclass(frozen=True)
class Cell:
    """One method on one class with one draw."""

    section: str
    category: str
    method: str
    shots: int
    draw: int


def chosen(text: str) -> tuple[Method, ...]:
    """The methods of a list such as "spade,padim", in the table's order. Raises SettingError for one unknown."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [method.key for method in METHODS]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise SettingError(f"--methods takes some of {','.join(known)}, got {text!r}")
    return tuple(method for method in METHODS if method.key in names)


def shot_counts(text: str) -> tuple[int, ...]:
    """The numbers of a list such as "1,2,4", rising. Raises SettingError for anything else."""
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError:
        counts = [0]
    if counts[0] < 1:
        raise SettingError(f"--shots takes whole numbers of 1 or more, such as 1,2,4; got {text!r}")
    return tuple(counts)


def cells(section: str, category: str, method: Method, shots: tuple[int, ...], draws: int) -> list[Cell]:
    """The cells of a method on a class."""
    numbers = range(draws if method.drawn else 1)
    return [Cell(section, category, method.key, k, d) for k in (shots if method.few_shot else (0,)) for d in numbers]
