from dataclasses import replace

import pytest

from wordsight.runtime import SettingError
from wordsight.runtime.same_model import check_same_model


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"head": ("sha256", "c" * 64)}, r"head differs \(sha256 cccccccccccc..., not bbbbbbbbbbbb...\)"),
        ({"encoder": ("sha256", "d" * 64)}, "encoder differs"),
        ({"prompts": ("object", "screw")}, r"prompts differs \(object screw, not object\)"),
        ({"score": ("w_fnn", 0.5)}, r"score differs \(w_fnn 0.5, not 1.0\)"),
        ({"input": ("fit", "pad")}, "input differs"),
    ],
)
def test_files_of_different_models_are_refused(tmp_path, onnx_writer, changes, told):
    first = onnx_writer.manifest()
    ((part, (name, value)),) = changes.items()
    second = replace(first, **{part: replace(getattr(first, part), **{name: value})})
    for name in "ab":
        (tmp_path / name).touch()
    with pytest.raises(SettingError, match=told) as caught:
        check_same_model([(tmp_path / "a", first), (tmp_path / "b", second)])
    assert "\n" not in str(caught.value)
    check_same_model([(tmp_path / "a", first), (tmp_path / "b", replace(first, precision="int8", opset=20))])
