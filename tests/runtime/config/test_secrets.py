import os

import pytest

from wordsight.runtime.config.read import read_line_file
from wordsight.runtime.config.secrets import credentials
from wordsight.runtime.errors import SettingError

ODD = "p@ss:/?#&%ü w\"'"


@pytest.fixture
def line(written):
    text = 'model = "m"\n[[line]]\nname = "press-3"\nsource = "x"\ncredentials = "c.secret"\n'
    return read_line_file(written(text)).spec.line[0]


def secret(tmp_path, text, mode=0o600):
    path = tmp_path / "c.secret"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_from_the_file(line, tmp_path):
    quoted = ODD.replace('"', '\\"')
    secret(tmp_path, f'user = "op"\npassword = "{quoted}"\n')
    found = credentials(line, tmp_path, {})
    assert (found.user, found.password) == ("op", ODD)
    assert "op" not in repr(found)
    assert ODD not in repr(found)


def test_the_environment_comes_first(line, tmp_path):
    secret(tmp_path, 'user = "op"\npassword = "x"\n')
    found = credentials(line, tmp_path, {"WORDSIGHT_PRESS_3_PASSWORD": ODD})
    assert (found.user, found.password) == ("op", ODD)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(line, tmp_path, mode):
    path = secret(tmp_path, f'password = "{ODD}"', mode)
    with pytest.raises(SettingError, match=f"open to others, mode {mode:04o}: chmod 600 {path}"):
        credentials(line, tmp_path, {})


@pytest.mark.parametrize(
    "text", ["", "hunter2", 'password = "hunter2"\nx = 1', "password = 12345", 'password = "hunter2']
)
def test_a_file_of_another_kind_is_refused_without_showing_it(line, tmp_path, text):
    secret(tmp_path, text)
    with pytest.raises(SettingError, match="expected lines such as user") as error:
        credentials(line, tmp_path, {})
    assert "hunter2" not in str(error.value)
    assert "12345" not in str(error.value)
    assert error.value.__cause__ is None


def test_no_such_file_a_folder_and_a_pipe(line, tmp_path):
    with pytest.raises(SettingError, match="no such file"):
        credentials(line, tmp_path, {})
    os.mkfifo(tmp_path / "c.secret", 0o600)
    with pytest.raises(SettingError, match="no plain file"):
        credentials(line, tmp_path, {})
