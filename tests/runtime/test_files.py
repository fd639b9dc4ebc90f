import errno
import os

import pytest

from wordsight.runtime.errors import OutputError
from wordsight.runtime.files import check_output_file, check_output_folder, whole_file


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path, "w") as file:
        file.write("µ")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == "µ".encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def write():
        with whole_file(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    if isinstance(error, OSError):
        assert error.filename == str(path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full, a disk that is always full")
def test_a_full_device_is_an_error():
    with pytest.raises(OSError, match="No space"), whole_file("/dev/full") as file:
        file.write(b"x")
    assert os.path.exists("/dev/full")


def test_a_symbolic_link_is_followed_and_the_umask_kept(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    with whole_file(link) as file:
        file.write(b"x")
    assert link.is_symlink()
    assert target.read_bytes() == b"x"
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert target.stat().st_mode == plain.stat().st_mode


def test_output_file(tmp_path):
    assert check_output_file(tmp_path / "new") == tmp_path / "new"
    with pytest.raises(OutputError, match="is a folder"):
        check_output_file(tmp_path)
    with pytest.raises(OutputError, match="no such folder"):
        check_output_file(tmp_path / "absent" / "new")


def test_output_folder(tmp_path):
    assert check_output_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="a file has that name"):
        check_output_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot make"):
        check_output_folder(tmp_path / "file" / "below")
