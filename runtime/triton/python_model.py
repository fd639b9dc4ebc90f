"""An exported Wordsight model on Triton's python backend, as `wordsight triton --kind python` copies it.

Takes (N, H, W, 3) uint8 BGR frames and gives the file's own outputs, float32. Needs numpy and ONNX Runtime in the
server's Python and nothing else: not Wordsight. It does not become ready unless its file is the one of the
configuration, and scores the golden frame as the manifest says.
"""

import hashlib
import json
import os
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as utils


class TritonPythonModel:
    """What the backend calls; see Triton's python backend."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the file and score the golden frame.

        Raises:
            TritonModelException: the file is another one, its provider does not run, or it scores otherwise.
        """
        config = json.loads(args["model_config"])
        told = {key: value["string_value"] for key, value in config["parameters"].items()}
        manifest = json.loads(told["wordsight"])
        self._input, self._outputs = manifest["input"]["name"], list(manifest["outputs"])
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        with open(path, "rb") as file:
            model = file.read()  # hashed and loaded as one: the file may be replaced meanwhile
        found = hashlib.sha256(model).hexdigest()
        if found != told["wordsight_sha256"]:
            raise utils.TritonModelException(f"{path} has sha256 {found}, config.pbtxt says {told['wordsight_sha256']}")
        options = onnxruntime.SessionOptions()
        # Threads that spin between passes take the cores from what receives the frames of the next one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if "wordsight_threads" in told:
            options.intra_op_num_threads = int(told["wordsight_threads"])
        provider, settings = "CPUExecutionProvider", {}
        if args["model_instance_kind"] == "GPU":
            provider, settings = "CUDAExecutionProvider", {"device_id": args["model_instance_device_id"]}
        self._session = onnxruntime.InferenceSession(model, options, providers=[(provider, settings)])
        self._session.disable_fallback()
        got = self._session.get_providers()[0]
        if got != provider:
            raise utils.TritonModelException(f"{provider} does not run here, the session fell back to {got}")
        golden = manifest.get("golden", {})
        if golden.get("pattern"):
            shape = [int(axis) for axis in config["input"][0]["dims"]]
            frame = np.fromfile(os.path.join(args["model_repository"], "warmup", "golden"), np.uint8)
            self._require_golden(frame.reshape(1, *shape), golden)
        print(f"wordsight: onnxruntime {onnxruntime.__version__} {got}, sha256 {found}", flush=True)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Score the frames of all requests in one pass."""
        asked = [request.requested_output_names() for request in requests]
        wanted = [name for name in self._outputs if any(name in names for names in asked)]
        frames = [utils.get_input_tensor_by_name(request, self._input).as_numpy() for request in requests]
        try:
            arrays = self._session.run(wanted, {self._input: frames[0] if len(frames) == 1 else np.concatenate(frames)})
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            told = utils.TritonError(f"ONNX Runtime failed on {sum(map(len, frames))} frames: {error}")
            return [utils.InferenceResponse(error=told) for _ in requests]
        ends = np.cumsum([len(one) for one in frames])[:-1]
        split = [np.split(array, ends) for array in arrays]
        return [
            utils.InferenceResponse(
                [utils.Tensor(name, parts[index]) for name, parts in zip(wanted, split, strict=True) if name in names]
            )
            for index, names in enumerate(asked)
        ]

    def _require_golden(self, frame: Any, golden: dict[str, Any]) -> None:
        names = ["score", "s_pr", "s_fnn"]
        found = np.array([array[0] for array in self._session.run(names, {self._input: frame})], np.float64)
        apart = np.abs(found - [golden[name] for name in names]).max()
        if not apart <= golden["tolerance"]:
            raise utils.TritonModelException(
                f"the golden frame scored {found[0]:.4f}, the manifest says {golden['score']:.4f} "
                f"within {golden['tolerance']:.2g}"
            )
