"""Our protobuf reader beside the onnx package's."""

import onnx
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.external_data_helper import set_external_data, uses_external_data

from wordsight.runtime.errors import ModelDamaged
from wordsight.runtime.protobuf import MESSAGES, parse_model

NAMES = {
    "model": "ModelProto", "training": "TrainingInfoProto", "graph": "GraphProto", "function": "FunctionProto",
    "node": "NodeProto", "attribute": "AttributeProto", "sparse_tensor": "SparseTensorProto", "tensor": "TensorProto",
}  # fmt: skip


def reaches_tensor(descriptor, seen=()):
    if descriptor.name == "TensorProto":
        return True
    inner = [f.message_type for f in descriptor.fields if f.type == FieldDescriptor.TYPE_MESSAGE]
    return any(reaches_tensor(d, (*seen, descriptor.name)) for d in inner if d.name not in seen)


def test_no_way_to_a_tensor_is_missing_from_our_table():
    ours_of = {theirs: ours for ours, theirs in NAMES.items()}
    pending, seen = ["model"], set()
    while pending:
        ours = pending.pop()
        if ours in seen:
            continue
        seen.add(ours)
        for field in getattr(onnx, NAMES[ours]).DESCRIPTOR.fields:
            if field.type == FieldDescriptor.TYPE_MESSAGE and reaches_tensor(field.message_type):
                assert MESSAGES[ours][field.number] == ours_of[field.message_type.name], field.full_name
                pending.append(ours_of[field.message_type.name])
    assert seen == set(NAMES)


@pytest.fixture(scope="session")
def whole(onnx_writer):
    return b"".join(onnx_writer.model_parts())


def test_the_tiny_model_is_valid_onnx_and_read_alike(whole):
    model = onnx.load_from_string(whole)
    onnx.checker.check_model(model, full_check=True)
    facts = parse_model(whole)
    assert facts.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert facts.inputs == tuple(i.name for i in model.graph.input)
    assert facts.outputs == tuple(o.name for o in model.graph.output)


def test_external_data_as_onnx_writes_it_is_found(whole):
    model = onnx.load_from_string(whole)
    set_external_data(model.graph.initializer[0], "w.bin")
    assert uses_external_data(model.graph.initializer[0])
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    assert parse_model(model.SerializeToString()).external


@settings(max_examples=500, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_mutated_file_is_read_as_onnx_reads_it_or_refused(whole, changes):
    data = bytearray(whole)
    for at, byte in changes:
        data[at % len(data)] = byte
    try:
        facts = parse_model(bytes(data))
    except ModelDamaged:
        return  # to refuse more than onnx does is allowed
    try:
        model = onnx.load_from_string(bytes(data))
    except Exception:
        return  # protobuf also checks what we skip
    graph = model.graph
    external = [t for t in graph.initializer if t.data_location or t.external_data]
    assert bool(external) <= bool(facts.external)
    if not facts.external:
        assert facts.outputs == tuple(o.name for o in graph.output)
        assert facts.metadata == {entry.key: entry.value for entry in model.metadata_props}
