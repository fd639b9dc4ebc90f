"""A line's file against the machine, and what each line is decided by under each recipe."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wordsight.runtime.calibration import Calibration, default_path, write_calibration
from wordsight.runtime.config.check import check
from wordsight.runtime.config.problems import LineFileError
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.files import file_sha256
from wordsight.runtime.gate import Gate

PAGES = Path(__file__).parents[3] / "docs"
EXAMPLES = {"page": 1, "messages": 2, "plc": 3, "sinks": 1}  # of a page for a plant: parts of a line's file
BASE = 'model = "tiny.onnx"\n[[line]]\nname = "a"\nsource = "camera:0"\n'


KNOWN = Calibration(
    schema=1, model_sha256="0" * 64, object="object", backend="ort", made="2026-11-26T06:00:00Z",
    rate=0.01, confidence=0.95, frames=299, repeated=0, sizes=(), roi=(), unsure=0.7, defect=0.9,
    scores=(0.1, 0.2, 0.3), gate=Gate(30.0, 220.0, 0.2, 5.0), references=None,
)  # fmt: skip


@pytest.fixture
def calibrated(tiny_model):
    """Lay a calibration beside the model, or elsewhere: (name, changes) -> it."""

    def write(name=None, **changes):
        known = replace(KNOWN, **{"model_sha256": file_sha256(tiny_model)} | changes)
        write_calibration(default_path(tiny_model) if name is None else tiny_model.with_name(name), known)
        return known

    return write


@pytest.fixture
def looked(written, tiny_model):
    return lambda text: check(read_line_file(written(text)))


@pytest.fixture
def refusal(looked):
    def refuse(text):
        with pytest.raises(LineFileError) as error:
            looked(text)
        return [line.split("line.toml")[1] for line in error.value.lines]

    return refuse


def by(checked, line="a", recipe=None):
    return checked.resolved[line, recipe].by


def test_the_calibration_beside_the_model_is_taken_in(looked, calibrated):
    assert by(looked(BASE)).threshold is None
    known = calibrated()
    found = by(looked(BASE))
    assert (found.threshold, found.unsure, found.gate) == (0.9, 0.7, known.gate)
    assert by(looked(BASE + "calibration = false\n")).threshold is None


def test_thresholds_of_the_file_come_before_it_and_that_is_told(looked, calibrated):
    calibrated()
    checked = looked(BASE + "defect = 1.5\nunsure = 1.0\n")
    assert (by(checked).threshold, by(checked).unsure, by(checked).gate) == (1.5, 1.0, None)
    assert [remark for remark in checked.remarks if "left aside" in remark]


def test_limits_of_the_gate_replace_those_that_are_given(looked, calibrated):
    calibrated()
    assert by(looked(BASE + "gate = { darkest = 50 }\n")).gate == Gate(50.0, 220.0, 0.2, 5.0)
    assert by(looked(BASE + "gate = false\n")).gate is None
    assert by(looked(BASE + "defect = 1\ngate = { least_sharp = 9 }\n")).gate == Gate(0.0, 255.0, 1.0, 9.0)


def test_a_recipe_lies_over_the_line_and_its_part_for_the_line_over_both(looked):
    text = (
        BASE + "roi = [0, 0, 5, 5]\ndefect = 1.0\nunsure = 0.5\nparts = { defects = 2 }\n"
        '[[line]]\nname = "b"\nsource = "0"\ndefect = 0.2\n'
        '[[recipe]]\nname = "nut"\ndefect = 1.2\nroi = [1, 1, 2, 2]\n'
        "[recipe.line.b]\nparts = { of = 4 }\nroi = [3, 3, 3, 3]\n"
    )
    found = looked(text).resolved
    told = {
        key: (one.by.threshold, one.by.unsure, one.roi, one.rule and (one.rule.defects, one.rule.of))
        for key, one in found.items()
    }
    assert told == {
        ("a", None): (1.0, 0.5, (0, 0, 5, 5), (2, None)),
        ("a", "nut"): (1.2, None, (1, 1, 2, 2), (2, None)),  # unsure belonged to the other threshold
        ("b", None): (0.2, None, None, None),
        ("b", "nut"): (1.2, None, (3, 3, 3, 3), (1, 4)),
    }


def test_thresholds_do_not_outlive_the_model_they_are_of(looked, tiny_model, onnx_writer, calibrated):
    calibrated("own.json")
    tiny_model.with_name("other.onnx").write_bytes(
        b"".join(onnx_writer.model_parts(onnx_writer.manifest(opset=17).to_json()))
    )
    text = BASE + 'calibration = "own.json"\n[[recipe]]\nname = "other"\nmodel = "other.onnx"\n'
    checked = looked(text)
    assert by(checked).threshold == 0.9
    assert by(checked, recipe="other").threshold is None
    assert "a under other: no threshold and no calibration" in "\n".join(checked.remarks)


def test_a_remark_is_told_once_a_line(looked, tiny_model, onnx_writer, calibrated):
    recipes = '[[recipe]]\nname = "nut"\n[[recipe]]\nname = "bolt"\n'
    (told,) = looked(BASE + recipes).remarks
    assert told.startswith("a: no threshold and no calibration")
    calibrated("own.json")
    tiny_model.with_name("other.onnx").write_bytes(
        b"".join(onnx_writer.model_parts(onnx_writer.manifest(opset=17).to_json()))
    )
    of_another = recipes.replace('"\n', '"\nmodel = "other.onnx"\n')
    (told,) = looked(BASE + 'calibration = "own.json"\n' + of_another).remarks
    assert told.startswith("a under nut, bolt: no threshold and no calibration")


@pytest.mark.parametrize("take", ["", 'take = "every"\n'])
def test_a_watched_folder_that_is_not_there_yet_is_told(looked, tiny_model, take):
    text = BASE.replace("camera:0", "watch:drop") + "defect = 0.5\n" + take
    (told,) = looked(text).remarks
    assert told.startswith("a: there is no folder ")
    tiny_model.with_name("drop").mkdir()
    assert looked(text).remarks == ()


def test_a_calibration_of_another_model_object_or_region(looked, refusal, calibrated):
    calibrated("c.json", model_sha256="0" * 64)
    assert refusal(BASE + 'calibration = "c.json"\n')[0].startswith(":5: [[line]] a, calibration: ")
    calibrated("c.json", object="nut")
    assert "of the object 'nut', not of 'object'" in refusal(BASE + 'calibration = "c.json"\n')[0]
    calibrated("c.json", roi=(0, 0, 4, 4))
    told = looked(BASE + 'calibration = "c.json"\nroi = [1, 0, 4, 4]\n').remarks
    assert told == ("a: calibrated on the region [0, 0, 4, 4], not on [1, 0, 4, 4]",)


WRONG = [
    ('model = "none.onnx"' + BASE[19:], ":1: model: "),
    ('backend = "gpu"\n' + BASE, ":1: backend: expected one of auto, "),
    (BASE + "defect = 2.5\n", ":5: [[line]] a, defect: expected 0 to 2, the range of this model's score, got 2.5"),
    (BASE + 'object = "nut"\n', ":5: [[line]] a, object: this model knows the objects 'object', got 'nut'"),
    (BASE + 'references = "r"\n', ":5: [[line]] a, references: no references at "),
    (BASE + "shots = 2\n", ":5: [[line]] a, shots: shots needs references, and there is no "),
    (BASE + 'mask = "m.png"\n', ":5: [[line]] a, mask: "),
    (BASE + 'credentials = "c"\n', ":5: [[line]] a, credentials: cannot read the credentials "),
    (BASE.replace("camera:0", "foo://x"), ":4: [[line]] a, source: cannot open foo://x: expected one of camera, "),
    (BASE.replace("camera:0", "empty"), ":4: [[line]] a, source: "),
    (BASE + '[[sink]]\ntype = "memry"\n', ":6: [[sink]] memry, type: expected a sink of type "),
    (BASE + '[[sink]]\ntype = "memory"\npath = "s"\nevery = 0\n',
     ":8: [[sink]] memory, every: input should be greater than or equal to 1, got 0"),
    (BASE + '[[sink]]\ntype = "memory"\npth = "s"\n', ":7: [[sink]] memory, pth: no such key; did you mean path?"),
    (BASE + '[[sink]]\ntype = "memory"\n', ":5: [[sink]] memory, path: missing: expected a name"),
    (BASE + '[[sink]]\ntype = "memory"\npath = "none/s"\n', ":7: [[sink]] memory, path: cannot write "),
    (BASE + '[[sink]]\ntype = "memory"\npath = "tiny.onnx"\n', "tiny.onnx is the model, too: give another"),
    (BASE + '[[sink]]\ntype = "memory"\npath = "s"\n[[sink]]\ntype = "memory"\npath = "./s"\n',
     "is what sink 1 writes, too"),
    (BASE + '[[sink]]\ntype = "memory"\nname = "memory-2"\npath = "s"\n[[sink]]\ntype = "memory"\npath = "t"\n',
     ":10: [[sink]] memory, type: it would be called 'memory-2', as another is: give it another name"),
    (BASE + '[[sink]]\ntype = "memory"\npath = "s"\n[[sink]]\ntype = "memory"\nname = "memory-1"\npath = "t"\n',
     ":10: [[sink]] memory-1, name: it would be called 'memory-1', as another is: give it another name"),
    (BASE + '[[sink]]\ntype = "secretive"\nname = "hall 1"\n[[sink]]\ntype = "secretive"\nname = "hall-1"\n',
     ":10: [[sink]] hall-1, name: secrets in WORDSIGHT_HALL_1_… would be those of sink 'hall 1', too: give it "),
    (BASE + '[[sink]]\ntype = "secretive"\nname = "A"\n',
     ":7: [[sink]] A, name: secrets in WORDSIGHT_A_… would be those of line 'a', too: give it another name"),
    ('status = "none/s.json"\n' + BASE, ":1: status: cannot write "),
    ('state = "tiny.onnx/x"\n' + BASE, ":1: state: cannot make the folder "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), WRONG, ids=[text.split("\n")[-2][:30] for text, _ in WRONG])
def test_what_the_machine_lacks_is_told_with_its_line_and_key(refusal, memory_sink, tmp_path, text, told):
    (tmp_path / "empty").mkdir()
    lines = refusal(text)
    assert any(line.startswith(told) if told[0] == ":" else told in line for line in lines), lines


def test_a_mask_is_of_the_whole_frame_and_holds_the_region(looked, refusal, save_picture, tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[1:, :, 1] = 255
    save_picture(tmp_path / "m.png", picture)
    found = looked(BASE + 'mask = "m.png"\nroi = [1, 0, 5, 4]\n').resolved["a", None].mask
    assert found.tolist() == [[False] * 6] + [[True] * 6] * 3
    assert "got 6x4, which lacks the region [2, 0, 5, 4]" in refusal(BASE + 'mask = "m.png"\nroi = [2, 0, 5, 4]\n')[0]
    assert "black there" in refusal(BASE + 'mask = "m.png"\nroi = [0, 0, 6, 1]\n')[0]


def test_the_command_shows_what_would_run_and_writes_it_as_json(written, tiny_model, memory_sink, wordsight, tmp_path):
    written(
        BASE + 'defect = 1.0\n[[recipe]]\nname = "nut"\ndefect = 0.5\n'
        '[[sink]]\ntype = "memory"\npath = "s"\nonly = ["defect"]\n'
    )
    done = wordsight("config", "check", "line.toml", "--json", "j.json", cwd=tmp_path)
    assert done.code == 0, done.err
    for word in ("camera:0", "its own", "nut", "defect 0.500", "memory", "all lines"):
        assert word in done.out
    data = json.loads((tmp_path / "j.json").read_text())
    assert [one["defect"] for one in data["lines"][0]["decided_by"]] == [1.0, 0.5]
    assert data["sinks"][0]["options"] == {"path": "s", "every": 1, "mode": "a"}


def test_the_command_says_what_is_wrong_in_few_lines(written, tiny_model, refused, tmp_path):
    path = written(BASE + "defect = 9\nrio = 1\n" * 1)
    told = refused(2, "config", "check", path)
    assert f"{path}:6: [[line]] a, rio: no such key" in told
    assert "none.toml: cannot be read" in refused(2, "config", "check", tmp_path / "none.toml")


def test_a_page_that_would_not_start_is_told_beforehand(looked, tmp_path, monkeypatch):
    monkeypatch.delenv("WORDSIGHT_WEB_TOKEN", raising=False)
    kept = tmp_path / "page.secret"
    kept.write_text('token = "correct-horse-battery"')
    kept.chmod(0o600)
    assert looked(f'web = "127.0.0.1:8080"\n{BASE}').remarks[1:] == ()
    told = looked(f'web = "0.0.0.0:8080"\n{BASE}').remarks[-1]
    assert told.startswith(
        "web: from here it would not start: the page at 0.0.0.0:8080 is open to other machines: set "
    )
    open_to_all = f'web = "0.0.0.0:8080"\nweb_credentials = "page.secret"\n{BASE}'
    assert looked(open_to_all).remarks[1:] == ()
    kept.chmod(0o644)
    told = looked(open_to_all).remarks[-1]
    assert "open to others, mode 0644" in told
    assert "battery" not in told


@pytest.mark.plant("pymodbus", "modbus")
@pytest.mark.plant("asyncua", "opcua")
@pytest.mark.plant("gpiod", "gpio")
@pytest.mark.plant("paho", "mqtt")
@pytest.mark.plant("httpx", "webhook")
@pytest.mark.parametrize(("page", "examples"), EXAMPLES.items())
def test_the_examples_of_the_pages_for_a_plant_are_good_files(looked, tmp_path, page, examples, monkeypatch):
    for name in ("HALL_USER", "HALL_PASSWORD", "ERP_SECRET"):
        monkeypatch.setenv(f"WORDSIGHT_{name}", "a-secret-of-the-test")
    text = (PAGES / f"{page}.md").read_text("utf-8")
    blocks = line_files(text)
    assert len(blocks) == examples
    (tmp_path / "plant-ca.pem").touch()
    for block in blocks:
        line = BASE.replace('"a"', '"press-3"').partition("\n")[2]
        keys, sinks = ("", block) if block.startswith("[[") else (block, "")
        looked(f'model = "tiny.onnx"\n{keys}{line}{sinks}')


def line_files(text):
    return [block for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "entry-points" not in block]


def test_the_file_of_the_line_page_runs_as_it_stands_but_for_its_objects(looked, tmp_path, tiny_model, save_picture):
    (whole,) = line_files((PAGES / "line.md").read_text("utf-8"))
    (tmp_path / "line3.onnx").write_bytes(tiny_model.read_bytes())
    (tmp_path / "incoming").mkdir()
    save_picture(tmp_path / "press-3-mask.png", 255, (1080, 1920))
    calibration = replace(KNOWN, model_sha256=file_sha256(tiny_model))
    write_calibration(tmp_path / "screw.json", calibration)
    checked = looked(re.sub('object = ".*?"', 'object = "object"', whole))
    assert {name for name, _ in checked.resolved} == {"press-3", "archive"}
    assert by(checked, "press-3", "screw").threshold == calibration.defect


@pytest.mark.plant("tritonclient", "remote")
def test_the_server_of_the_remote_page_is_one_that_can_be_asked(looked, written, tmp_path, tiny_model):
    (block,) = line_files((PAGES / "remote.md").read_text("utf-8"))
    text = block + BASE.partition("\n")[2]
    assert read_line_file(written(text)).spec.remote.ca == "plant-ca.pem"
    (tmp_path / "line3.onnx").write_bytes(tiny_model.read_bytes())
    checked = looked(text.replace('ca = "plant-ca.pem"\n', ""))  # its bytes would have to be an authority's
    assert str(checked.resolved["a", None].model.path) == "grpcs://gpu1:8001/line3"


def test_no_page_has_an_example_that_is_not_held_against_a_file():
    found = {page.stem: len(line_files(page.read_text("utf-8"))) for page in PAGES.rglob("*.md")}
    assert {page: count for page, count in found.items() if count} == EXAMPLES | {"line": 1, "remote": 1}
