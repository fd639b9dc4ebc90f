"""What installs a part depends on the board."""

import pytest

from wordsight.runtime.board import cuda_install, jetson_release, tensorrt_install


@pytest.mark.parametrize(("release", "below"), [("# R36 (release), REVISION: 4.4\n", 13), ("# R38 (release)", 14)])
def test_a_jetson_has_tensorrt_of_its_own_and_needs_bindings_of_its_driver(tmp_path, release, below):
    place = tmp_path / "nv_tegra_release"
    place.write_text(release)
    assert jetson_release(place) == release.strip()
    assert tensorrt_install(place) == "sudo apt install python3-libnvinfer"
    assert cuda_install(place) == f"pip install 'cuda-bindings>=12.6,<{below}'"


def test_a_pc_takes_both_from_pypi(tmp_path):
    assert jetson_release(tmp_path / "none") is None
    assert tensorrt_install(tmp_path / "none") == "pip install 'wordsight[tensorrt]'"
    assert cuda_install(tmp_path / "none") == "pip install 'cuda-bindings>=12.6,<14'"


def test_an_empty_release_file_is_a_jetson_still(tmp_path):
    (tmp_path / "release").write_text("")
    assert jetson_release(tmp_path / "release") == ""
