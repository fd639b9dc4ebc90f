"""`config.pbtxt`: what Triton is told about a model, and where a client finds the manifest.

The text is protobuf's text format of `inference.ModelConfig` (Triton's model_config.proto). It is written here without
protobuf, which the runtime does not bring; the tests read it with Triton's own schema. Frames are (N, H, W, 3) uint8
BGR; Triton adds N itself, so that `dims` are those of one frame. Scores have none left: Triton wants at least one, so
they are served as (N, 1), and `reshape` says so.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wordsight.runtime.errors import SettingError
from wordsight.runtime.manifest import Manifest
from wordsight.runtime.manifest_golden import PATTERN

Kind = Literal["onnxruntime", "tensorrt", "python"]

MANIFEST_KEY = "wordsight"
"""Parameter whose value is the manifest as JSON."""
SHA256_KEY = "wordsight_sha256"
"""Parameter with the SHA-256 of the exported file that is served."""
PLAN_KEY = "wordsight_plan"
"""Parameter that names a plan's SHA-256, TensorRT and GPU."""
WARM_UP = "golden"
"""File in `warmup/`: the golden frame's bytes."""

_ENGINES = {
    "onnxruntime": 'platform: "onnxruntime_onnx"',
    "tensorrt": 'platform: "tensorrt_plan"',
    "python": 'backend: "python"',
}
_SEAL = "# Written by `wordsight triton`, which changes no other text than its own: sha256 "
_PARAMETER = re.compile(r'^parameters \{ key: "(\w+)" value \{ string_value: "((?:[^"\\]|\\.)*)" \} \}$', re.M)
_VERSION = re.compile(r"^version_policy \{ specific \{ versions: \[ (\d+) \] \} \}$", re.M)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a model is to be served.

    Attributes:
        kind: of Triton's backends, the one that runs it.
        batch: most frames of all requests together in one pass.
        delay_ms: how long a frame may wait for others; 0: not at all, batches form while the engine is busy.
        instances: copies of the engine, on each device.
        device: "auto", "cpu", "gpu" or "gpu:0,1".
        threads: of an engine on the processor; None for its own choice.
        drop_after_s: what waited longer in the server's queue is refused, and a client may ask for less; None: what a
            client over gRPC waits for no more is dropped, and nothing else. With it Triton's batcher now and then
            sleeps for half a second although frames wait (decision 0049).
    """

    kind: Kind
    batch: int
    delay_ms: float = 0.0
    instances: int = 1
    device: str = "auto"
    threads: int | None = None
    drop_after_s: float | None = None

    def __post_init__(self) -> None:
        if re.fullmatch(r"auto|cpu|gpu(:\d+(,\d+)*)?", self.device) is None:
            raise SettingError(f"--device: expected auto, cpu, gpu or gpu:0,1, got {self.device!r}")
        if self.kind == "tensorrt" and self.device == "cpu":
            raise SettingError("--device cpu: a TensorRT plan runs on a GPU alone; take --kind onnxruntime or python")
        if self.kind == "tensorrt" and self.threads is not None:
            raise SettingError("--threads: a TensorRT plan runs on a GPU alone; leave it out")


def config_text(name: str, version: int, serving: Serving, manifest: Manifest, parameters: Mapping[str, str]) -> str:
    """Write a model's configuration.

    Args:
        name: of the model, its folder's.
        version: the one that is served, and that the manifest is of.
        serving: how.
        manifest: what the file says about itself.
        parameters: beside the manifest, such as `SHA256_KEY`.
    """
    shape = [*manifest.input.shape, 3]
    lines = [
        f"name: {_quoted(name)}",
        _ENGINES[serving.kind],
        f"max_batch_size: {serving.batch}",
        # Not "the latest": what is served, and the manifest below, change in one step, with this file.
        f"version_policy {{ specific {{ versions: [ {version} ] }} }}",
        f"input {{ name: {_quoted(manifest.input.name)} data_type: TYPE_UINT8 dims: {_listed(shape)} }}",
        *(_output(output, dims) for output, dims in manifest.outputs.items()),
        _instances(serving),
        f"dynamic_batching {{ max_queue_delay_microseconds: {round(serving.delay_ms * 1000)}{_queue(serving)} }}",
        *(_warm_up(manifest, shape, size) for size in sorted({1, serving.batch})),
    ]
    if serving.threads is not None:
        key = "wordsight_threads" if serving.kind == "python" else "intra_op_thread_count"
        lines.append(_parameter(key, str(serving.threads)))
    lines += [_parameter(key, value) for key, value in {**parameters, MANIFEST_KEY: manifest.to_json()}.items()]
    return sealed("\n".join(lines) + "\n")


def sealed(text: str) -> str:
    """Put a first line before a text by which `opened` sees that nobody has changed it."""
    return f"{_SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def opened(text: str) -> str | None:
    """Return the text behind a first line of `sealed`; None where another wrote it, or changed it."""
    first, _, rest = text.partition("\n")
    return rest if first == _SEAL + hashlib.sha256(rest.encode()).hexdigest() else None


def read_back(text: str) -> tuple[int, dict[str, str]]:
    """Return version and parameters of a text that `opened` gave."""
    version = _VERSION.search(text)
    if version is None:
        raise ValueError("a configuration without its version")
    return int(version[1]), {key: _unquoted(value) for key, value in _PARAMETER.findall(text)}


def _output(name: str, shape: tuple[str | int, ...]) -> str:
    dims = [-1 if isinstance(axis, str) else axis for axis in shape[1:]]
    reshape = "" if dims else " reshape { shape: [ ] }"
    return f"output {{ name: {_quoted(name)} data_type: TYPE_FP32 dims: {_listed(dims or [1])}{reshape} }}"


def _queue(serving: Serving) -> str:
    if serving.drop_after_s is None:
        return ""
    # A client says with its request how long it waits, and Triton listens only where that is less than a default.
    longest = f"default_timeout_microseconds: {round(serving.drop_after_s * 1e6)} allow_timeout_override: true"
    return f" default_queue_policy {{ timeout_action: REJECT {longest} }}"


def _instances(serving: Serving) -> str:
    device, _, numbers = serving.device.partition(":")
    if device == "auto" and serving.kind != "onnxruntime":
        device = "gpu" if serving.kind == "tensorrt" else "cpu"
    gpus = f" gpus: [ {numbers.replace(',', ', ')} ]" if numbers else ""
    return f"instance_group {{ count: {serving.instances} kind: KIND_{device.upper()}{gpus} }}"


def _warm_up(manifest: Manifest, shape: list[int], size: int) -> str:
    data = f"input_data_file: {_quoted(WARM_UP)}" if has_golden(manifest) else "zero_data: true"
    frame = "golden frame" if has_golden(manifest) else "black frame"
    value = f"value {{ data_type: TYPE_UINT8 dims: {_listed(shape)} {data} }}"
    name = _quoted(f"{frame}, batch of {size}")
    return (
        f"model_warmup {{ name: {name} batch_size: {size} inputs {{ key: {_quoted(manifest.input.name)} {value} }} }}"
    )


def has_golden(manifest: Manifest) -> bool:
    """Say whether the manifest tells how the golden frame scores."""
    return manifest.golden.pattern == PATTERN


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"


def _listed(numbers: list[int]) -> str:
    return f"[ {', '.join(map(str, numbers))} ]"


def _quoted(text: str) -> str:
    """A string of the text format: bytes that are no printable ASCII in octal, which every parser reads."""
    return '"' + "".join(_escaped(byte) for byte in text.encode()) + '"'


def _escaped(byte: int) -> str:
    if byte in b'"\\':
        return f"\\{chr(byte)}"
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def _unquoted(text: str) -> str:
    return re.sub(rb"\\([0-7]{3}|.)", lambda found: _byte(found[1]), text.encode()).decode()


def _byte(escape: bytes) -> bytes:
    return bytes([int(escape, 8)]) if len(escape) == 3 else escape
