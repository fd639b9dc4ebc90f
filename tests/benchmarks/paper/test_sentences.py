"""Captions: our own sentences, and a COCO captions file with all that can be wrong with one."""

import json
import re

import pytest

from wordsight.benchmarks.paper.sentences import CaptionsError, own_captions, read_coco

DAMAGE = re.compile(
    r"damag|broken|crack|torn|bent|scratch|dent|missing|shatter|snapped|ripped|chipped|holes?\b|rust|corroded|burnt"
    r"|stripped|splintered|squeezed|crushed|smashed"
)


def _coco(tmp_path, captions):
    path = tmp_path / "captions.json"
    path.write_text(json.dumps({"annotations": [{"image_id": i, "caption": c} for i, c in enumerate(captions)]}))
    return path


def test_our_own_sentences_are_pairs_that_differ_in_damage():
    own = own_captions()
    assert len(own.normal) == len(own.damaged) == 60
    assert len({*own.normal, *own.damaged}) == 120
    assert [s for s in own.damaged if not DAMAGE.search(s)] == []
    assert [s for s in own.normal if DAMAGE.search(s)] == []
    assert all(s[0].isupper() and s.endswith(".") for s in own.normal + own.damaged)


def test_captions_are_told_by_their_words(tmp_path):
    path = _coco(tmp_path, [
        "A normal street.", "A normally  busy\nstreet.", "An abnormal street.", "A DAMAGED car.", "Damage to a wall.",
        "A normal car with damage.", "A cat.", "A normal street.",
    ])  # fmt: skip
    read = read_coco(path)
    assert read.normal == ["A normal street.", "A normally busy street."]
    assert read.damaged == ["A DAMAGED car.", "Damage to a wall."]
    assert read.source == "COCO captions, captions.json"


def test_of_many_captions_the_same_few_are_drawn(tmp_path):
    path = _coco(tmp_path, [f"normal {i}" for i in range(50)] + [f"damage {i}" for i in range(3)])
    first = read_coco(path, limit=10, seed=1)
    assert len(set(first.normal)) == 10
    assert len(first.damaged) == 3
    assert read_coco(path, limit=10, seed=1) == first
    assert read_coco(path, limit=10, seed=2).normal != first.normal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[]", 'without a list "annotations"'),
        ('{"annotations": {}}', 'without a list "annotations"'),
        ('{"annotations": [{"caption": "normal"}, {"id": 3}]}', r"annotations\[1\] has no text"),
        ('{"annotations": ["normal"]}', r"annotations\[0\] has no text"),
        ('{"annotations": []}', 'none of the 0 captions of .* has the word "normal"'),
        ('{"annotations": [{"caption": "a normal cat"}]}', 'has the word "damage"'),
        ('{"annotations": [{"caption": "a damaged cat"}]}', 'has the word "normal"'),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, said):
    path = tmp_path / "captions.json"
    path.write_text(text)
    with pytest.raises(CaptionsError, match=said) as caught:
        read_coco(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_missing_or_binary_file_is_said(tmp_path, content):
    path = tmp_path / "captions.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CaptionsError, match=r"captions\.json"):
        read_coco(path)
    with pytest.raises(CaptionsError, match="cannot read the captions"):
        read_coco(tmp_path)
