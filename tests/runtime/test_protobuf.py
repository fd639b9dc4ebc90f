import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordsight.runtime.errors import ModelDamaged
from wordsight.runtime.protobuf import inspect_model, parse_model


@pytest.fixture(scope="session")
def outside(onnx_writer):
    w = onnx_writer
    location = w.message(8, "hidden") + w.integer(14, 1)
    listed = w.message(8, "hidden") + w.message(13, w.message(1, "location"), w.message(2, "w.bin"))
    return location, listed


def places(w, tensor):
    """Every place of an ONNX file where a tensor may lie."""
    attribute = w.message(5, tensor)
    graph = w.message(5, tensor)
    in_node = {
        "t": w.message(5, attribute),
        "tensors": w.message(5, w.message(10, tensor)),
        "g": w.message(5, w.message(6, graph)),
        "graphs": w.message(5, w.message(11, graph)),
        "sparse value": w.message(5, w.message(22, w.message(1, tensor))),
        "sparse indices": w.message(5, w.message(23, w.message(2, tensor))),
    }
    yield "initializer", w.message(7, graph)
    yield "sparse initializer", w.message(7, w.message(15, w.message(1, tensor)))
    for name, node in in_node.items():
        yield f"node {name}", w.message(7, w.message(1, node))
        yield f"function {name}", w.message(25, w.message(7, node))
        yield f"subgraph {name}", w.message(7, w.message(1, w.message(5, w.message(6, w.message(1, node)))))
    yield "function default", w.message(25, w.message(11, attribute))
    yield "training initialization", w.message(20, w.message(1, graph))
    yield "training algorithm", w.message(20, w.message(2, graph))


def test_external_data_is_found_wherever_it_hides(onnx_writer, outside):
    whole = b"".join(onnx_writer.model_parts())
    assert parse_model(whole).external == ""
    for tensor in outside:
        for place, part in places(onnx_writer, tensor):
            assert parse_model(part + whole).external == "tensor 'hidden'", place
            assert parse_model(whole + part).external == "tensor 'hidden'", place


def test_a_tensor_written_in_two_halves_is_found(onnx_writer):
    w = onnx_writer
    halves = w.message(5, w.message(5, w.message(8, "a"))), w.message(5, w.message(5, w.integer(14, 1)))
    assert parse_model(w.message(7, w.message(1, *halves))).external


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_fields_does_not_matter(onnx_writer, seed):
    parts = onnx_writer.model_parts()
    straight = parse_model(b"".join(parts))
    random.Random(seed).shuffle(parts)
    assert parse_model(b"".join(parts)) == straight
    assert straight.inputs == ("frames",)
    assert straight.outputs == ("score", "s_pr", "s_fnn", "embedding")


def test_unknown_fields_of_every_width_are_skipped(onnx_writer):
    w = onnx_writer
    unknown = w.integer(900, 2**64 - 1) + w.varint(901 << 3 | 1) + b"8" * 8 + w.varint(902 << 3 | 5) + b"4444"
    whole = b"".join(w.model_parts())
    assert parse_model(unknown + w.message(903, b"\xff" * 9) + whole) == parse_model(whole)


def test_every_cut_is_refused_or_loses_the_manifest(onnx_writer):
    whole = b"".join(onnx_writer.model_parts())
    for cut in range(len(whole)):
        try:
            facts = parse_model(whole[:cut])
        except ModelDamaged:
            continue
        assert facts.metadata == {}  # cut exactly between two fields, before the manifest


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00\x00", b"\x0b", b"\x0c", b"\xff" * 11, b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x38\x01"],
)
def test_garbage_is_damage(data):
    with pytest.raises(ModelDamaged):
        parse_model(data)


def test_deep_nesting_ends_in_an_error(onnx_writer):
    w = onnx_writer
    body = b""
    for _ in range(2000):
        body = w.message(1, w.message(5, w.message(6, body)))
    assert sys.getrecursionlimit() < 6000
    with pytest.raises(ModelDamaged, match="nested"):
        parse_model(w.message(7, body))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_never_escape(data):
    try:
        parse_model(data)
    except ModelDamaged:
        pass


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6), cut=st.integers(0, 10_000))
def test_mutations_never_escape(onnx_writer, changes, cut):
    data = bytearray(b"".join(onnx_writer.model_parts()))
    for at, byte in changes:
        data[at % len(data)] = byte
    try:
        parse_model(bytes(data[: len(data) - cut % len(data)]))
    except ModelDamaged:
        pass


def test_a_large_tensor_is_not_read(tmp_path, onnx_writer):
    # A sparse file of 2 GB: reading it would take seconds and memory, skipping it takes neither.
    size = 2_000_000_000
    raw = onnx_writer.varint(9 << 3 | 2) + onnx_writer.varint(size)
    tensor = onnx_writer.varint(5 << 3 | 2) + onnx_writer.varint(len(raw) + size) + raw
    graph = onnx_writer.varint(7 << 3 | 2) + onnx_writer.varint(len(tensor) + size) + tensor
    path = tmp_path / "big.onnx"
    with open(path, "wb") as file:
        file.write(onnx_writer.entry("a", "b") + graph)
        file.seek(size, 1)
        file.truncate()
    assert inspect_model(path).metadata == {"a": "b"}
