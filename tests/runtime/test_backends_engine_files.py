"""Engines on disk: each is bound to its key, and none is loaded that somebody else could have written."""

import json
import os
from dataclasses import replace

import pytest

from wordsight.runtime.backends import engine_files
from wordsight.runtime.backends.engine_files import (
    EngineKey,
    EngineRefused,
    best_profile,
    engine_folder,
    private_folder,
    read_engine,
    refuse_foreign,
    why_none,
    write_engine,
)

KEY = EngineKey("tensorrt", "10.3.0", "Orin", "SM87", "fp16", (1, 4, 8), "a" * 64)
DATA = b"engine" * 1000


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "m.onnx.engines"


@pytest.fixture
def engine(folder):
    return write_engine(folder, KEY, DATA, {"model": "m.onnx"})


def sidecar(engine):
    return engine.with_name(engine.name + ".json")


def test_what_was_written_is_read_and_its_sidecar_names_the_model(folder, engine):
    assert read_engine(folder, KEY) == DATA
    told = json.loads(sidecar(engine).read_text())
    assert told["model_sha256"] == "a" * 64
    assert told["bytes"] == len(DATA)
    assert told["model"] == "m.onnx"


def test_nobody_else_may_enter_or_read(folder, engine):
    assert folder.stat().st_mode & 0o777 == 0o700
    assert engine.stat().st_mode & 0o777 == sidecar(engine).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("module", "tensorrt_rtx"), ("version", "10.7.0"), ("gpu", "Xavier"), ("capability", "SM72"),
        ("precision", "fp32"), ("profile", (1, 8, 16)), ("model_sha256", "b" * 64),
    ],
)  # fmt: skip
def test_every_part_of_the_key_makes_another_engine(folder, engine, field, value):
    other = replace(KEY, **{field: value})
    assert other.file_name != KEY.file_name
    with pytest.raises(FileNotFoundError):
        read_engine(folder, other)
    told = why_none(folder, other)
    assert told == "no engine yet" if field == "module" else told.startswith(f"the engine there is for {field} ")


@pytest.mark.parametrize("field", ["gpu", "version", "model_sha256"])
def test_an_engine_under_the_name_of_another_key_is_refused(folder, engine, field):
    other = replace(KEY, **{field: "c" * 64})
    for path in (engine, sidecar(engine)):
        path.rename(path.with_name(path.name.replace(KEY.file_name, other.file_name)))
    with pytest.raises(EngineRefused, match=f"was built for {field} "):
        read_engine(folder, other)


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "no sidecar", "cut sidecar", "sidecar of nothing"])
def test_half_written_or_changed_is_refused(folder, engine, harm):
    if harm == "no sidecar":
        sidecar(engine).unlink()
    elif harm == "cut sidecar":
        sidecar(engine).write_bytes(sidecar(engine).read_bytes()[:50])
    elif harm == "sidecar of nothing":
        sidecar(engine).write_text("[]")
    else:
        engine.write_bytes({"cut": DATA[:-1], "changed": b"E" + DATA[1:], "empty": b""}[harm])
    with pytest.raises(EngineRefused, match="half-written"):
        read_engine(folder, KEY)


@pytest.mark.parametrize("which", ["engine", "sidecar"])
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_may_write_is_refused(folder, engine, which, mode):
    (engine if which == "engine" else sidecar(engine)).chmod(mode)
    with pytest.raises(EngineRefused, match=f"open to other users.*mode {mode:04o}"):
        read_engine(folder, KEY)


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o777])
def test_a_folder_that_others_may_enter_is_refused(folder, engine, mode):
    folder.chmod(mode)
    with pytest.raises(EngineRefused, match="open to other users"):
        read_engine(folder, KEY)
    with pytest.raises(EngineRefused, match="open to other users"):
        write_engine(folder, KEY, DATA, {})


def test_what_another_user_owns_is_refused(folder, engine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(engine).st_uid + 1)
    with pytest.raises(EngineRefused, match="belongs to another user"):
        read_engine(folder, KEY)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("which", ["engine", "sidecar", "folder"])
def test_a_file_really_given_away_is_refused(folder, engine, which):
    os.chown({"engine": engine, "sidecar": sidecar(engine), "folder": folder}[which], 65534, 65534)
    with pytest.raises(EngineRefused, match="belongs to another user"):
        read_engine(folder, KEY)


def test_links_are_refused(folder, engine, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    engine.rename(elsewhere)
    engine.symlink_to(elsewhere)
    with pytest.raises(EngineRefused, match="is a link"):
        read_engine(folder, KEY)
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    with pytest.raises(EngineRefused, match="should be a folder"):
        private_folder(linked)


def test_a_write_that_fails_leaves_the_old_engine(folder, engine, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_engine(folder, KEY, b"new", {})
    assert read_engine(folder, KEY) == DATA
    assert sorted(path.name for path in folder.iterdir()) == sorted([engine.name, sidecar(engine).name])


def test_a_crash_between_engine_and_sidecar_is_found_out(folder, engine, monkeypatch):
    real, written = engine_files.write_own, []

    def dies_second(path, data):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        real(path, data)

    monkeypatch.setattr(engine_files, "write_own", dies_second)
    with pytest.raises(KeyboardInterrupt):
        write_engine(folder, KEY, b"new", {})
    with pytest.raises(EngineRefused, match="half-written"):
        read_engine(folder, KEY)


def test_engines_of_older_models_and_versions_are_removed_and_others_kept(folder, engine):
    other_gpu = replace(KEY, capability="SM89")
    write_engine(folder, other_gpu, DATA, {})
    newer = replace(KEY, model_sha256="b" * 64, version="10.7.0")
    write_engine(folder, newer, DATA, {})
    assert {path.name for path in folder.glob("*.engine")} == {newer.file_name, other_gpu.file_name}
    assert len(list(folder.iterdir())) == 4


def test_what_a_crash_left_half_written_goes_with_the_next_engine_and_what_is_being_written_stays(folder, engine):
    left, young = folder / ".wordsight-left.part", folder / ".wordsight-young.part"
    for part in (left, young):
        part.write_bytes(b"half")
    os.utime(left, (0, 0))
    write_engine(folder, KEY, DATA, {})
    assert [path.name for path in folder.glob(".wordsight-*")] == [young.name]


def test_the_profile_that_serves_a_batch_best_is_found(folder, engine):
    write_engine(folder, replace(KEY, profile=(1, 32, 64)), DATA, {})
    write_engine(folder, replace(KEY, profile=(1, 64, 128), gpu="Xavier"), DATA, {})
    found = {batch: best_profile(folder, KEY, batch).profile[2] for batch in (1, 8, 9, 64, 1000)}
    assert found == {1: 8, 8: 8, 9: 64, 64: 64, 1000: 64}
    assert best_profile(folder / "nowhere", KEY, 9) == KEY


def test_a_library_is_shown_no_folder_with_a_foreign_file(folder, engine):
    refuse_foreign(folder)
    engine.chmod(0o666)
    with pytest.raises(EngineRefused, match="open to other users"):
        refuse_foreign(folder)


def test_engines_lie_beside_the_model_or_in_the_users_cache(tmp_path, monkeypatch):
    assert engine_folder(tmp_path / "m.onnx") == tmp_path / "m.onnx.engines"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = engine_folder(tmp_path / "m.onnx")
    assert found.parent == tmp_path / "cache" / "wordsight" / "engines"
    assert found != engine_folder(tmp_path / "n.onnx")
    assert private_folder(found).stat().st_mode & 0o777 == 0o700
