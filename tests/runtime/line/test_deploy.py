"""A line's file as a service: nothing is written unless all is well, and what was there before comes back."""

import shutil
import subprocess

import pytest

from wordsight.runtime.files import file_sha256
from wordsight.runtime.golden import golden_spec
from wordsight.runtime.line.unit import container_unit, service_unit

LINE = 'model = "tiny.onnx"\nbackend = "ort"\n[[line]]\nname = "a"\nsource = "camera:0"\ndefect = {}\n'


@pytest.fixture
def line(tmp_path, tiny_model):
    path = tmp_path / "press 3.toml"
    path.write_text(LINE.format(1.0))
    return path


@pytest.fixture
def deployed(wordsight, line, tmp_path):
    def deploy(*words):
        return wordsight("deploy", line, "--root", tmp_path / "root", "--user", "op", *words)

    return deploy


def unit_of(tmp_path):
    return tmp_path / "root/etc/systemd/system/wordsight-press-3.service"


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_deployment_writes_the_unit_and_a_dry_run_nothing(deployed, line, tmp_path):
    before = tree(tmp_path)
    done = deployed("--dry-run")
    assert done.code == 0, done.err
    assert tree(tmp_path) == before
    done = deployed()
    assert done.code == 0, done.err
    assert "tiny.onnx: onnxruntime" in done.out
    assert "golden frame" in done.out
    text = unit_of(tmp_path).read_text()
    assert f'run --config "{line}"\n' in text
    for words in ("Type=notify", "WatchdogSec=60", "User=op", "TimeoutStopSec=15", "ExecReload=kill -HUP $MAINPID"):
        assert words in text


def test_what_is_wrong_leaves_everything_as_it_was(deployed, line, tmp_path, onnx_writer):
    assert deployed().code == 0
    before = tree(tmp_path)
    line.write_text(LINE.format(7.0))
    done = deployed()
    assert done.code == 2
    assert "press 3.toml:6: [[line]] a, defect: expected 0 to 2" in done.err
    line.write_text(LINE.format(1.0))
    model = tmp_path / "tiny.onnx"
    wrong = onnx_writer.manifest(golden=golden_spec([1.9, 1, 0.9], parity=1e-5, drift=0.0)).to_json()
    good = model.read_bytes()
    model.write_bytes(b"".join(onnx_writer.model_parts(wrong)))
    done = deployed()
    assert done.code == 3
    assert "the manifest says 1.9" in done.err
    model.write_bytes(good)
    assert tree(tmp_path) == before


def test_rollback_brings_file_model_and_unit_back(deployed, line, tmp_path, onnx_writer):
    model, unit = tmp_path / "tiny.onnx", unit_of(tmp_path)
    assert deployed().code == 0
    first = line.read_text(), file_sha256(model), unit.read_text()
    other = tmp_path / "other.onnx"
    other.write_bytes(b"".join(onnx_writer.model_parts(onnx_writer.manifest(opset=17).to_json())))
    other.replace(model)
    line.write_text(LINE.format(0.5))  # in place, as an editor may
    assert deployed("--user", "other").code == 0
    assert (line.read_text(), file_sha256(model)) != first[:2]
    done = deployed("--rollback")
    assert done.code == 0, done.err
    assert (line.read_text(), file_sha256(model), unit.read_text()) == first
    assert "deployment 1 is back" in done.out
    done = deployed("--rollback")
    assert done.code == 2
    assert "expected a deployment before the last one" in done.err


def test_a_kept_file_that_was_changed_is_not_brought_back(deployed, line, tmp_path):
    assert deployed().code == 0
    line.write_text(LINE.format(0.5))
    assert deployed().code == 0
    kept = tmp_path / "press 3.deployed" / "0001" / "0"
    kept.write_text("x")
    before = tree(tmp_path)
    done = deployed("--rollback")
    assert done.code == 2
    assert "is not what was deployed; nothing was changed" in done.err
    assert tree(tmp_path) == before


def test_three_deployments_are_kept(deployed, line, tmp_path):
    for score in range(1, 6):
        line.write_text(LINE.format(score / 5))
        assert deployed().code == 0
    folder = tmp_path / "press 3.deployed"
    assert (folder / "0005" / "1").samefile(folder / "0003" / "1")  # the model is there once
    assert sorted(path.name for path in folder.iterdir()) == ["0003", "0004", "0005"]


def test_a_unit_for_podman(deployed, tmp_path):
    assert deployed("--container").code == 0
    text = (tmp_path / "root/etc/containers/systemd/wordsight-press-3.container").read_text()
    assert 'Exec=run --config "press 3.toml"' in text
    assert f"Volume={tmp_path}:{tmp_path}" in text
    assert "Notify=true" in text


def test_odd_paths_are_quoted_or_refused(tmp_path):
    text = service_unit(tmp_path / '50% "a" $b.toml', tmp_path / "python", "op")
    assert f'"{tmp_path}/50%% \\"a\\" $$b.toml"' in text
    with pytest.raises(Exception, match="printable"):
        service_unit(tmp_path / "a\nExecStart=x", tmp_path / "python", "op")
    with pytest.raises(Exception, match="without a colon"):
        container_unit(tmp_path / "a:b" / "line.toml", "image")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze: apt-get install systemd")
def test_systemd_takes_the_unit(deployed, line, tmp_path):
    assert deployed("--user", "root").code == 0
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit_of(tmp_path))], capture_output=True, text=True, check=False
    )
    ours = [told for told in done.stderr.splitlines() if "wordsight-press" in told]
    assert ours == [], done.stderr
    broken = unit_of(tmp_path).with_name("broken.service")  # the check can fail
    broken.write_text(unit_of(tmp_path).read_text().replace("Type=notify", "Tpye=notify"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(broken)], capture_output=True, text=True, check=False
    )
    assert "Tpye" in done.stderr
