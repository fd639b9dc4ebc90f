"""What a line's file may say, and the one line for what it may not."""

from pathlib import Path

import pytest

from wordsight.runtime.config.problems import LineFileError
from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.config.schema import GateSpec, LineFile, LineSpec, PartsSpec, RecipeLine

BASE = 'model = "m.onnx"\n[[line]]\nname = "press-3"\nsource = "parts"\n'

WRONG = [
    ('model = 3\n[[line]]\nname = "a"\nsource = "b"\n',
     ':1: model: expected an exported model, such as "line3.onnx", '),
    ('[[line]]\nname = "a"\nsource = "b"\n', ': model: missing: expected an exported model, such as "line3.onnx"'),
    ('model = "m"\n', ": line: missing: expected at least one [[line]]"),
    ('model = "m"\nline = []\n', ":2: line: expected at least one [[line]], got []"),
    ('modle = "m"\n' + BASE, ":1: modle: no such key; did you mean model?"),
    (BASE.replace("[[", 'batch = "8"\n[[', 1), ':2: batch: expected most frames in one pass of the engine, 1 to 1024'),
    (BASE.replace("[[", "batch = 0\n[[", 1), ":2: batch: expected most frames in one pass of the engine, 1 to 1024"),
    (BASE + "rio = [1, 2, 3, 4]\n", ":5: [[line]] press-3, rio: no such key; did you mean roi?"),
    (BASE + "roi = [1, 2, 3]\n", ":5: [[line]] press-3, roi: expected x, y, width, height in pixels, such as"
     " [320, 40, 1280, 1000], got [1, 2, 3]"),
    (BASE + "roi = [0, 0, 0, 5]\n", ":5: [[line]] press-3, roi: expected x, y, width, height in pixels"),
    (BASE + "gate = { darkest = 300, dim = 1 }\n", ":5: [[line]] press-3, gate.darkest: expected a mean grey level"),
    (BASE + "gate = true\n", ":5: [[line]] press-3, gate: expected limits such as { darkest = 30, least_sharp = 40 }"),
    (BASE + "[line.parts]\ndefects = 3\nof = 2\n",
     ":5: [[line]] press-3, parts: expected at most 2 defects of 2 frames"),
    (BASE + "[line.parts]\ndeadline_ms = -1\n", ":6: [[line]] press-3, parts.deadline_ms: expected milliseconds"),
    (BASE + "part_id = '('\n", ":5: [[line]] press-3, part_id: no regular expression: "),
    (BASE + "unsure = 1.0\n", ":2: [[line]] press-3: unsure needs defect beside it"),
    (BASE + "unsure = 1.2\ndefect = 1.0\n", ":2: [[line]] press-3: expected unsure of at most defect, 1, got"),
    (BASE + "defect = nan\n", ":5: [[line]] press-3, defect: expected the score from which a frame is a defect"),
    (BASE + 'defect = 1.0\ncalibration = "c"\n', ":2: [[line]] press-3: expected thresholds (defect) or a"),
    (BASE + 'trigger = "maybe"\n', ':5: [[line]] press-3, trigger: expected "none", "hardware" or "softw'),
    (BASE + '[[line]]\nname = "press-3"\nsource = "x"\n', ":6: [[line]] press-3, name: 'press-3' is there already"),
    (BASE + '[[line]]\nname = "press_3"\nsource = "x"\n',
     ":6: [[line]] press_3, name: WORDSIGHT_PRESS_3_PASSWORD would be that of 'press-3', too"),
    (BASE + '[[line]]\nname = "a/b"\nsource = "x"\n', ":6: [[line]] a/b, name: expected a name of up to 64 characters"),
    (BASE + '[[recipe]]\nname = "n"\n[recipe.line.pres-3]\n',
     ":7: [[recipe]] n, line.pres-3: no line 'pres-3'; did you mean"),
    (BASE + '[[recipe]]\nname = "n"\nnumber = 1\n[[recipe]]\nname = "m"\nnumber = 1\n',
     ":10: [[recipe]] m, number: 1 is there already"),
    (BASE + '[[recipe]]\nname = "n"\n[recipe.line.press-3]\nrio = 1\n',
     ":8: [[recipe]] n, line.press-3.rio: no such key; did you mean"),
    ('start_recipe = "nut"\n' + BASE, ":1: start_recipe: no recipe 'nut'; there are none"),
    (BASE + '[[sink]]\ntype = "jsonl"\nonly = ["bad"]\n', ":7: [[sink]] jsonl, only: expected decisions"),
    (BASE + '[[sink]]\ntype = "jsonl"\nlines = ["a"]\n', ":7: [[sink]] jsonl, lines: no line 'a'; there are 'press-3'"),
    (BASE + "x = [1,\n", ":6: no valid TOML: "),
    (BASE + 'name = "b"\n', ":5: no valid TOML: "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), WRONG, ids=[told[:40] for _, told in WRONG])
def test_what_is_wrong_is_told_with_its_line_and_key(problems, text, told):
    lines = problems(text)
    assert any(line.startswith(told) for line in lines), lines
    assert all("\n" not in line for line in lines)


def test_every_problem_is_told_once_in_the_order_of_the_lines(problems):
    lines = problems(BASE + "roi = 1\nmask = 2\ndefect = 'x'\ntrigger = 5\n[[sink]]\nx = 1\n")
    assert [line.split(": ")[0] for line in lines] == [":5", ":6", ":7", ":8", ":9"]


def test_a_secret_is_refused_and_never_shown(problems):
    for line in (
        'password = "s3cr#t"', 'user = "s3cr#t"', 'api_key = "s3cr#t"', 'mqtt_token = "s3cr#t"',
        'source2 = "rtsp://u:s3cr#t@cam/a"',
        'url = "https://x/y?password=s3cr#t"', 'headers = { Authorization = "s3cr#t" }',
        'list = ["rtsp://u:s3cr#t@cam/a"]', 'password = 5\nsource3 = "s3cr#t"',
    ):  # fmt: skip
        told = problems(BASE + line + "\n")
        assert ":5: [[line]] press-3, " in told[0]
        assert "environment" in told[0]
        assert "s3cr#t" not in "\n".join(told)


def test_a_key_that_names_where_a_secret_lies_is_no_secret(written):
    text = BASE + '[[sink]]\ntype = "mqtt"\npassword_file = "pw"\nurl = "mqtts://broker/line"\n'
    assert read_line_file(written(text)).spec.sink[0].options["password_file"] == "pw"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, ": cannot be read: no such file or directory"),
        (b"a = '\xff'\n", ":1: expected UTF-8, got the byte 0xff"),
        (b"#" * (2**20 + 1), ": expected at most 1,048,576 bytes, got more"),
        (b"a = " + b"[" * 100_000, ": no valid TOML: "),
    ],
)
def test_what_is_no_file_of_a_line(tmp_path, content, told):
    path = tmp_path / "line.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LineFileError) as error:
        read_line_file(path)
    assert error.value.lines[0].startswith(f"{path}{told}")
    with pytest.raises(LineFileError, match="got a folder"):
        read_line_file(tmp_path)


def test_the_example_of_the_contract_is_read(written):
    loaded = read_line_file(
        written("""
model = "line3.onnx"
status = "run/status.json"
[[line]]
name = "press-3"
source = "rtsp://cam3.local/main"
object = "metal nut"
roi = [320, 40, 1280, 1000]
[[sink]]
type = "jsonl"
path = "press-3.jsonl"
""")
    )
    assert loaded.spec.line[0].roi == [320, 40, 1280, 1000]
    assert loaded.spec.sink[0].options == {"path": "press-3.jsonl"}
    assert loaded.state == loaded.path.parent / "run" / "line.state"
    assert loaded.spec.line[0].variable == "PRESS_3"


def test_the_error_of_a_file_is_at_most_eight_lines(written):
    with pytest.raises(LineFileError) as error:
        read_line_file(written(BASE + "".join(f"key{at} = 1\n" for at in range(20))))
    assert len(str(error.value).splitlines()) == 6
    assert str(error.value).splitlines()[-1] == "and 15 more problems"


def test_the_example_of_the_documentation_is_read(written):
    page = (Path(__file__).parents[3] / "docs" / "line.md").read_text(encoding="utf-8")
    spec = read_line_file(written(page.split("```toml\n")[1].split("```")[0])).spec
    assert [line.name for line in spec.line] == ["press-3", "archive"]
    models = (LineFile, LineSpec, RecipeLine, PartsSpec, GateSpec)
    assert [key for model in models for key in model.model_fields if key not in page] == []
