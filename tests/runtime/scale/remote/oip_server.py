"""A stand-in for a server of the Open Inference Protocol, over gRPC and HTTP, that can be made to fail in every way.

It serves the tiny model of `onnx_writer`, computed here with NumPy: mean blue, green and red of a frame.
"""

import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np


class Refusal(Exception):
    """What the server refuses with: an HTTP code, the name of a gRPC status, and words."""

    def __init__(self, code, status, words):
        super().__init__(words)
        self.code, self.status, self.words = code, status, words


class Oip:
    """What the server knows and does, whichever protocol it speaks.

    Attributes (to be changed by tests): parameters of the configuration (None: a server without one), most, token,
    version, tensors (inputs and outputs as the metadata tells them), refuse (the next so many requests, with what),
    hang_s, mangle (changes the arrays of an answer), answer_id (of the answer, from that of the request).
    """

    def __init__(self, manifest, sha256, most=8):
        self.parameters = {"wordsight": manifest.to_json(), "wordsight_sha256": sha256}
        self.name, self.version, self.most, self.token = "tiny", "1", most, None
        rows, columns = manifest.input.shape
        self.inputs = {manifest.input.name: ("UINT8", [-1, rows, columns, 3])}
        self.outputs = {name: ("FP32", [-1, *shape[1:]]) for name, shape in manifest.outputs.items()}
        self.refuse, self.refusals = 0, Refusal(503, "UNAVAILABLE", "not ready")
        self.hang_s = 0.0
        self.mangle = lambda arrays: arrays
        self.answer_id = lambda id: id
        self.asked = []  # (id, frames) of every request that was answered, in order

    def admit(self, authorization, name=None, version=""):
        if self.token is not None and authorization != f"Bearer {self.token}":
            raise Refusal(401, "UNAUTHENTICATED", f"token expired: {authorization}")
        if name is not None and (name != self.name or version not in ("", self.version)):
            raise Refusal(404, "NOT_FOUND", f"Request for unknown model: '{name}' is not found")

    def config(self):
        if self.parameters is None:
            raise Refusal(404, "UNIMPLEMENTED", "no such request")
        return self.parameters, self.most

    def infer(self, id, frames):
        if self.refuse:
            self.refuse -= 1
            raise self.refusals
        if self.hang_s:
            time.sleep(self.hang_s)
        if self.most and len(frames) > self.most:
            raise Refusal(400, "INVALID_ARGUMENT", f"inference request batch-size must be <= {self.most}")
        means = frames.astype(np.float32).mean(axis=(1, 2))
        arrays = {"embedding": means, "s_pr": means[:, 0] / np.float32(255), "s_fnn": means[:, 1] / np.float32(255)}
        arrays["score"] = arrays["s_pr"] + arrays["s_fnn"]
        self.asked.append((id, frames))
        return self.answer_id(id), self.mangle(arrays)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """One protocol's server on a port that stays; `kill` cuts every connection, `start` begins anew."""

    def __init__(self, oip, protocol, tls=None):
        self.oip, self.protocol, self.tls = oip, protocol, tls
        self.port = free_port()
        self._running = None

    @property
    def url(self):
        return f"{self.protocol}{'s' if self.tls else ''}://127.0.0.1:{self.port}/tiny"

    def start(self):
        make = _GrpcServer if self.protocol == "grpc" else _HttpServer
        end = time.monotonic() + 60
        while self._running is None:
            try:
                self._running = make(self.oip, self.port, self.tls)
            except (OSError, RuntimeError):  # the one before has not let go of the port yet
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        return self

    def kill(self):
        if self._running is not None:
            self._running.kill()
            self._running = None


class _GrpcServer:
    def __init__(self, oip, port, tls):
        import grpc
        from tritonclient.grpc import service_pb2, service_pb2_grpc

        class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
            @staticmethod
            def told(act, context, model=None):
                given = dict(context.invocation_metadata()).get("authorization")
                try:
                    oip.admit(given, *(() if model is None else model))
                    return act()
                except Refusal as refusal:
                    context.abort(getattr(grpc.StatusCode, refusal.status), refusal.words)

            def ServerMetadata(self, request, context):
                return self.told(lambda: service_pb2.ServerMetadataResponse(name="stand-in", version="1.0"), context)

            def ModelMetadata(self, request, context):
                def act():
                    made = service_pb2.ModelMetadataResponse(name=oip.name, versions=[oip.version])
                    for side, known in ((made.inputs, oip.inputs), (made.outputs, oip.outputs)):
                        for name, (datatype, shape) in known.items():
                            side.add(name=name, datatype=datatype, shape=shape)
                    return made

                return self.told(act, context, (request.name, request.version))

            def ModelConfig(self, request, context):
                def act():
                    parameters, most = oip.config()
                    made = service_pb2.ModelConfigResponse()
                    made.config.max_batch_size = most
                    for key, text in parameters.items():
                        made.config.parameters[key].string_value = text
                    return made

                return self.told(act, context, (request.name, request.version))

            def RepositoryIndex(self, request, context):
                made = service_pb2.RepositoryIndexResponse()
                made.models.add(name=oip.name)
                return self.told(lambda: made, context)

            def ModelInfer(self, request, context):
                def act():
                    shape = tuple(request.inputs[0].shape)
                    frames = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(shape)
                    id, arrays = oip.infer(request.id, frames)
                    made = service_pb2.ModelInferResponse(model_name=oip.name, model_version=oip.version, id=id)
                    for wanted in request.outputs:
                        if wanted.name in arrays:
                            array = arrays[wanted.name]
                            kind = {"float32": "FP32", "float64": "FP64"}[array.dtype.name]
                            made.outputs.add(name=wanted.name, datatype=kind, shape=array.shape)
                            made.raw_output_contents.append(array.tobytes())
                    return made

                return self.told(act, context, (request.model_name, request.model_version))

        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), self._server)
        address = f"127.0.0.1:{port}"
        if tls is None:
            self._server.add_insecure_port(address)
        else:
            key, certificate = (path.read_bytes() for path in tls)
            self._server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
        self._server.start()

    def kill(self):
        self._server.stop(grace=0)


class _HttpServer:
    def __init__(self, oip, port, tls):
        connections = set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                connections.add(self.connection)

            def finish(self):
                connections.discard(self.connection)
                with contextlib.suppress(OSError):
                    super().finish()

            def log_message(self, *words):
                pass

            def told(self, act):
                words = self.path.strip("/").split("/")[1:]
                model = None
                if words[:1] == ["models"]:
                    model = (words[1], words[3] if words[2:3] == ["versions"] else "")
                    words = [words[0], *words[4 if model[1] else 2 :]]
                headers, body = {}, b""
                try:
                    oip.admit(self.headers.get("authorization"), *(model or ()))
                    code, (headers, body) = 200, act(words)
                except Refusal as refusal:
                    code, body = refusal.code, json.dumps({"error": refusal.words}).encode()
                with contextlib.suppress(OSError):
                    self.send_response(code)
                    for key, text in {**headers, "Content-Length": str(len(body))}.items():
                        self.send_header(key, text)
                    self.end_headers()
                    self.wfile.write(body)

            def do_GET(self):
                self.told(self.asked)

            def asked(self, words):
                if words == []:
                    return {}, json.dumps({"name": "stand-in", "version": "1.0"}).encode()
                if words == ["models"]:
                    sides = {
                        key: [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in side.items()]
                        for key, side in (("inputs", oip.inputs), ("outputs", oip.outputs))
                    }
                    return {}, json.dumps({"name": oip.name, "versions": [oip.version], **sides}).encode()
                if words == ["models", "config"]:
                    parameters, most = oip.config()
                    texts = {key: {"string_value": text} for key, text in parameters.items()}
                    return {}, json.dumps({"max_batch_size": most, "parameters": texts}).encode()
                raise Refusal(404, "", "no such request")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))

                def act(words):
                    if words == ["repository", "index"]:
                        return {}, json.dumps([{"name": oip.name}]).encode()
                    length = int(self.headers["Inference-Header-Content-Length"])
                    head = json.loads(body[:length])
                    frames = np.frombuffer(body[length:], np.uint8).reshape(head["inputs"][0]["shape"])
                    id, arrays = oip.infer(head.get("id", ""), frames)
                    outputs = [
                        {"name": one["name"], "shape": array.shape, "parameters": {"binary_data_size": array.nbytes},
                         "datatype": {"float32": "FP32", "float64": "FP64"}[array.dtype.name]}
                        for one in head["outputs"] if (array := arrays.get(one["name"])) is not None
                    ]  # fmt: skip
                    made = {"model_name": oip.name, "model_version": oip.version, "id": id, "outputs": outputs}
                    text = json.dumps(made).encode()
                    binary = b"".join(arrays[one["name"]].tobytes() for one in outputs)
                    return {"Inference-Header-Content-Length": str(len(text))}, text + binary

                self.told(act)

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request, address):
                pass

        self._connections = connections
        self._server = Quiet(("127.0.0.1", port), Handler)
        if tls is not None:
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls[1], tls[0])
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def kill(self):
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
