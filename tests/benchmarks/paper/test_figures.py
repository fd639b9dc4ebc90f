"""The transcription: every table whole, column means against Table 1, every cell against the paper's text."""

import re
from collections import Counter
from pathlib import Path

import pytest

from wordsight.benchmarks.paper.figures import METRICS, Cell, classes, load, parse

TEXT = Path(__file__).parents[4] / "shared" / "paper" / "random-word-clip-anomaly-detection.txt"
HEAD = "table,dataset,class,row,setup,method,metric,mean,std,origin,ocr,note"

# A printed mean is off by 0.05 at most, and so is the mean of printed cells: together 0.1.
ROUNDING = 0.05 + 0.05

BY_CLASS = {(d, m): 5 + 3 * i + j for i, d in enumerate(("MVTec-AD", "VisA")) for j, m in enumerate(METRICS)}
COLUMNS = [
    (cell.setup, cell.method) for cell in load() if cell.table == 5 and cell.category == "Bottle"
]  # as printed, from left to right


def _column(cell: Cell) -> list[Cell]:
    """The classes' cells behind a cell of Table 1."""
    table = BY_CLASS[cell.dataset, cell.metric]
    return [c for c in load() if (c.table, c.setup, c.method) == (table, cell.setup, cell.method)]


SUMMED = [cell for cell in load() if cell.table == 1 and _column(cell)]


def _gap(cell: Cell) -> float:
    column = _column(cell)
    return sum(c.mean for c in column) / len(column) - cell.mean


def test_every_table_is_whole():
    counts = Counter(cell.table for cell in load())
    # Table 1: 21 rows of 6 cells, and RegAD's one cell in two setups.
    assert counts == {1: 21 * 6 + 2, 2: 12, 3: 32, 4: 9, 5: 150, 6: 150, 7: 150, 8: 120, 9: 120, 10: 120}
    assert len(classes("MVTec-AD")) == 15
    assert len(classes("VisA")) == 12
    assert classes("SewerML") == ("",)
    for table in range(5, 11):
        names = classes("MVTec-AD" if table < 8 else "VisA")
        rows = Counter(cell.row for cell in load() if cell.table == table)
        assert rows == dict.fromkeys(names, 10)


def test_sixty_columns_of_the_tables_by_class_answer_to_a_cell_of_table_1():
    assert len(SUMMED) == 60
    assert all(len(_column(cell)) == (15 if cell.dataset == "MVTec-AD" else 12) for cell in SUMMED)


@pytest.mark.parametrize("cell", SUMMED, ids=lambda c: "-".join(c.key[1:]))
def test_the_mean_over_classes_is_table_1_within_rounding_or_the_cell_says_that_it_is_not(cell: Cell):
    gap = _gap(cell)
    if not cell.note:
        assert abs(gap) <= ROUNDING + 1e-9
        return
    assert abs(gap) > ROUNDING, "the note says that the tables contradict each other, and they do not"
    said = re.search(r"averages (\d+\.\d)", cell.note)
    assert said is not None
    assert float(said[1]) == pytest.approx(cell.mean + gap, abs=0.05)


def test_only_five_columns_contradict_table_1():
    noted = [(c.dataset, c.setup, c.method, c.metric) for c in SUMMED if c.note]
    assert noted == [
        ("VisA", "0-shot known object", "WinCLIP", "AUPR"),
        ("VisA", "1-shot", "WinCLIP", "AUPR"),
        ("VisA", "1-shot", "CLIP + ours", "AUROC"),
        ("VisA", "2-shot", "WinCLIP", "AUPR"),
        ("VisA", "4-shot", "WinCLIP", "AUPR"),
    ]


@pytest.mark.parametrize("cell", [c for c in SUMMED if c.std is not None], ids=lambda c: "-".join(c.key[1:]))
def test_the_std_of_a_mean_is_at_most_the_mean_of_the_stds(cell: Cell):
    stds = [c.std for c in _column(cell) if c.std is not None]
    mean = sum(stds) / len(stds)
    assert cell.std <= mean + ROUNDING
    if cell.method == "WinCLIP":  # WinCLIP's authors print the mean of the classes' stds
        assert cell.std == pytest.approx(mean, abs=ROUNDING)


def test_the_texts_about_the_tables_hold():
    by_key = {cell.key: cell for cell in load()}
    worse = []
    for cell in load():
        if cell.table == 3 and cell.method == "CLIP":
            summed = by_key[3, cell.row, cell.setup, "CLIP + ours", cell.metric]
            worse += [cell.row] if summed.mean < cell.mean else []
    assert worse == ["an / a broken"]  # section 4.4
    best = max((c for c in load() if c.table == 4 and c.metric == "AUROC"), key=lambda c: c.mean)
    assert best.method == "Ours"  # section 4.6
    default = by_key[1, "MVTec-AD", "0-shot unknown object", "CLIP + ours", "AUROC"]
    assert by_key[3, "an / a damaged", "0-shot unknown object", "CLIP + ours", "AUROC"].mean == default.mean


def test_rows_of_other_systems_are_quoted_whatever_the_reading():
    assert {cell.method for cell in load() if cell.quoted} == {"WinCLIP", "SPADE", "PaDiM", "PatchCore", "RegAD"}
    assert all(cell.quoted for cell in load() if cell.origin == "quoted")
    assert not any(cell.quoted for cell in load() if cell.origin == "paper")


def test_numbers_are_percent():
    assert all(0 < cell.mean <= 100 for cell in load())
    assert all(cell.std is None or 0 <= cell.std < 25 for cell in load())
    assert all(cell.std is None for cell in load() if cell.method == "CLIP")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a,b"], "expected the columns"),
        ([HEAD, "1,V,,V,s,CLIP,AUROC,1.0,,paper,,", "1,V,,V,s,CLIP,AUROC,2.0,,paper,,"], "stands twice"),
        ([HEAD, "1,V,,V,s,CLIP,AUROC,1.0,,reconstructed,,"], "origin 'reconstructed'"),
        ([HEAD, "1,V,,V,s,CLIP,AUROC,1.0,,paper,100,"], "origin 'paper'"),
        ([HEAD, "1,V,,V,s,CLIP,AUROC,1.0,,guessed,,"], "origin 'guessed'"),
    ],
)
def test_a_damaged_file_is_refused(lines: list[str], said: str):
    with pytest.raises(ValueError, match=said):
        parse(lines)


def test_an_unknown_data_set_is_refused():
    with pytest.raises(ValueError, match="no data set 'MVTec'"):
        classes("MVTec")


needs_text = pytest.mark.paper_text


@needs_text
@pytest.mark.parametrize("table", range(5, 11))
def test_every_cell_of_the_tables_by_class_is_in_the_text(table: int):
    text = TEXT.read_text(encoding="utf-8")
    part = text[text.index(f"Table {table}: Class-wise") :].split(f"Table {table + 1}: Class-wise")[0]
    cells = {(c.row, c.setup, c.method): c for c in load() if c.table == table}
    spelled = {"Macaroni1": "Macaronil", "PCB1": "PCB[1I]", "Pipe fryum": "Pipe fry[uy]m"}
    for name in dict.fromkeys(row for row, _, _ in cells):
        line = re.search(rf"^{spelled.get(name, name)}(?![a-z0-9])\s+(.*)$", part, re.MULTILINE)
        assert line is not None, name
        tokens = line[1].split()
        assert len(tokens) == 10, name
        for token, place in zip(tokens, COLUMNS, strict=True):
            cell = cells[(name, *place)]
            legible = _legible(token)
            if cell.ocr:
                assert cell.ocr == token, cell.key
            else:
                assert legible == (cell.mean, cell.std), cell.key


@needs_text
def test_every_cell_of_table_1_is_in_the_text():
    text = TEXT.read_text(encoding="utf-8")
    part = text[text.index("Table 1: ") : text.index("For the random word data augmentation")]
    # Names of methods are garbled; a line of the table is one that ends in six numbers or dashes.
    found = [line.split()[-6:] for line in part.splitlines() if re.search(r"(?:\s+(?:\d\S*|-)){6}\s*$", line)]
    tokens = [token for line in found for token in line if token != "-"]
    cells = [cell for cell in load() if cell.table == 1]
    assert len(tokens) == len(cells)
    for token, cell in zip(tokens, cells, strict=True):
        assert (cell.ocr == token) if cell.ocr else _legible(token) == (cell.mean, cell.std), (token, cell.key)


@needs_text
def test_every_cell_of_tables_2_to_4_is_in_the_text():
    text = TEXT.read_text(encoding="utf-8")
    rows = {2: "ous", 4: "Ours"}  # how the OCR spells the paper's own method
    for cell in load():
        if cell.table == 3:
            assert (cell.ocr or f"{cell.mean:.1f}") in text, cell.key
        elif cell.table in rows:
            part = text[text.index(f"Table {cell.table}: ") :]
            name = rows[cell.table] if cell.method == "Ours" else re.escape(cell.method).replace("ours", "[oO]urs")
            line = re.search(rf"^{name}\s+(?:\[\d+\] )?(?:v )?([\d].*)$", part, re.MULTILINE)
            assert line is not None, cell.key
            token = line[1].split()[METRICS.index(cell.metric)]
            assert (cell.ocr == token) if cell.ocr else _legible(token) == (cell.mean, cell.std), (token, cell.key)


@pytest.mark.parametrize("cell", [c for c in load() if c.ocr and not c.note], ids=lambda c: "-".join(map(str, c.key)))
def test_a_reconstructed_cell_keeps_all_digits_of_the_ocr_but_the_lost_sign(cell: Cell):
    printed = f"{cell.mean:.1f}" if cell.mean < 100 else "100"
    spread = "" if cell.std is None else f"{cell.std:.1f}"
    ocr = cell.ocr.split("/")[-1].split(",")[-1] if cell.table == 3 else cell.ocr
    read = re.sub(r"\D", "", ocr.replace("l", ""))
    wanted = [(printed + sign + spread).replace(".", "") for sign in ("", "4", "1")]
    if cell.table == 3:  # the slash before it was read as a 7
        wanted += ["7" + text for text in wanted]
    assert read in wanted


def _legible(token: str) -> tuple[float, float | None] | None:
    """Mean and std of a token whose decimal points are all there, the sign in whatever shape but a digit."""
    found = re.fullmatch(r"(\d+\.\d|100)(?:[^\d.]+(\d\d?\.\d))?", token)
    return None if found is None else (float(found[1]), None if found[2] is None else float(found[2]))
