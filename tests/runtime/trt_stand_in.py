"""Stand-ins for TensorRT and the CUDA runtime: real memory, ordered streams, graphs that replay what was recorded.

They keep the rules that an engine's code can break: copies stay inside allocations, shapes inside the profile, a graph
replays addresses, and nothing is loaded that this version did not build for this GPU.
"""

import ctypes
import json
from types import SimpleNamespace

import numpy as np


class CudaRuntime:
    """`cuda.bindings.runtime`, as far as it is used; `fails` holds the names of calls that are to fail."""

    cudaStreamNonBlocking = 1
    cudaHostAllocDefault = 0
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, gpus=1, name=b"Test GPU", capability=(8, 9)):
        self.gpus, self.name, self.capability = gpus, name, capability
        self.fails, self.blocks, self.recording, self.launches, self.streams, self.graphs = set(), {}, None, 0, 0, 0

    def __getattribute__(self, name):
        found = object.__getattribute__(self, name)
        if callable(found) and name.startswith("cuda") and name in self.fails:
            return lambda *arguments: (2, None)
        return found

    def cudaGetErrorString(self, code):
        return 0, b"out of memory" if code == 2 else b"invalid argument"

    def cudaGetDeviceCount(self):
        return 0, self.gpus

    def cudaGetDeviceProperties(self, number):
        major, minor = self.capability
        return 0, SimpleNamespace(name=self.name, major=major, minor=minor)

    def cudaStreamCreateWithFlags(self, flags):
        self.streams += 1
        return 0, 7

    def cudaStreamDestroy(self, stream):
        self.streams -= 1
        return (0,)

    def cudaStreamSynchronize(self, stream):
        return (0,)

    def cudaMalloc(self, size):
        block = ctypes.create_string_buffer(size)
        self.blocks[ctypes.addressof(block)] = block
        return 0, ctypes.addressof(block)

    def cudaHostAlloc(self, size, flags):
        return self.cudaMalloc(size)

    def cudaFree(self, address):
        del self.blocks[address]
        return (0,)

    def cudaFreeHost(self, address):
        return self.cudaFree(address)

    def inside(self, address, size):
        return any(start <= address and address + size <= start + len(block) for start, block in self.blocks.items())

    def cudaMemcpyAsync(self, target, origin, size, kind, stream):
        if not (self.inside(target, size) and self.inside(origin, size)):
            return (1,)
        self.submit(lambda: ctypes.memmove(target, origin, size))
        return (0,)

    def submit(self, work):
        """Do it now, or record it where a graph is being captured."""
        if self.recording is None:
            work()
        else:
            self.recording.append(work)

    def cudaStreamBeginCapture(self, stream, mode):
        self.recording = []
        return (0,)

    def cudaStreamEndCapture(self, stream):
        graph, self.recording = self.recording, None
        return 0, graph

    def cudaGraphInstantiate(self, graph, flags):
        self.graphs += 1
        return 0, list(graph)

    def cudaGraphDestroy(self, graph):
        return (0,)

    def cudaGraphExecDestroy(self, graph):
        self.graphs -= 1
        return (0,)

    def cudaGraphLaunch(self, graph, stream):
        self.launches += 1
        for work in graph:
            work()
        return (0,)


def scores(frames):
    """What the tiny model of `onnx_writer` gives for (N, H, W, 3) uint8 frames."""
    means = frames.mean((1, 2), dtype=np.float64).astype(np.float32)
    s_pr, s_fnn = means[:, 0] / 255, means[:, 1] / 255
    return {"score": s_pr + s_fnn, "s_pr": s_pr, "s_fnn": s_fnn, "embedding": means}


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self):
        pass


class IProgressMonitor:
    def __init__(self):
        pass


class IExecutionContext:
    def __init__(self, engine):
        self.engine, self.addresses, self.shape = engine, {}, None

    def set_input_shape(self, name, shape):
        least, _, most = self.engine.plan["profile"]
        self.shape = shape
        return least <= shape[0] <= most

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        module = self.engine.module
        if module.run_fails or (module.capture_fails and module.cuda.recording is not None):
            module.logger.log(ILogger.ERROR, "Error Code 1: Cuda Runtime (an illegal memory access)")
            return False
        shape, addresses = self.shape, dict(self.addresses)

        def work():
            size = int(np.prod(shape))
            given = np.frombuffer((ctypes.c_ubyte * size).from_address(addresses["frames"]), np.uint8).reshape(shape)
            for name, values in scores(given).items():
                ctypes.memmove(addresses[name], np.ascontiguousarray(values).ctypes.data, values.nbytes)

        module.cuda.submit(work)
        return True


class ICudaEngine:
    def __init__(self, module, plan):
        self.module, self.plan = module, plan

    def get_tensor_dtype(self, name):
        return self.module.output_type

    def get_tensor_shape(self, name):
        return {"embedding": (-1, 3)}.get(name, (-1,))

    def create_execution_context(self):
        if self.module.context_fails:
            self.module.logger.log(ILogger.ERROR, "Requested amount of GPU memory could not be allocated")
            return None
        return IExecutionContext(self)


class Module:
    """`tensorrt`, or with `ahead_of_time` `tensorrt_rtx`.

    Attributes:
        needs: bytes of workspace; a build with more than `has` or less than `needs` runs out of memory.
        loaded: every engine that was ever given to `deserialize_cuda_engine`.
    """

    ILogger, IProgressMonitor = ILogger, IProgressMonitor
    float32, float16 = "DataType.FLOAT", "DataType.HALF"
    BuilderFlag = SimpleNamespace(TF32="TF32")
    MemoryPoolType = SimpleNamespace(WORKSPACE="WORKSPACE")

    def __init__(self, cuda, name="tensorrt", version="10.3.0", ahead_of_time=False, strongly_typed=True):
        self.__name__, self.__version__, self.cuda = name, version, cuda
        self.ahead_of_time = ahead_of_time
        self.NetworkDefinitionCreationFlag = SimpleNamespace(**({"STRONGLY_TYPED": 1} if strongly_typed else {}))
        if ahead_of_time:
            known = {"NONE": 0, "CURRENT": 1, "SM86": 86, "SM89": 89}
            self.ComputeCapability = SimpleNamespace(__members__=known, **known)
        self.needs, self.has = 0, 1 << 40
        self.output_type = self.float32
        self.run_fails = self.context_fails = self.parse_fails = self.capture_fails = False
        self.loaded, self.builds, self.logger = [], [], None

    def Runtime(self, logger):
        self.logger = logger

        def deserialize_cuda_engine(data):
            self.loaded.append(data)
            plan = json.loads(data)
            if plan["version"] != self.__version__:
                logger.log(ILogger.ERROR, "The engine plan file is not compatible with this version of TensorRT")
                return None
            return ICudaEngine(self, plan)

        return SimpleNamespace(deserialize_cuda_engine=deserialize_cuda_engine)

    def OnnxParser(self, network, logger):
        error = SimpleNamespace(desc=lambda: "first input has type UInt8\nbut must have type Float")
        return SimpleNamespace(parse=lambda model: not self.parse_fails, num_errors=1, get_error=lambda number: error)

    def Builder(self, logger):
        return SimpleNamespace(
            create_network=lambda flags: SimpleNamespace(flags=flags),
            create_builder_config=lambda: Config(self),
            create_optimization_profile=Profile,
            build_serialized_network=lambda network, config: self.build(network, config, logger),
        )

    def build(self, network, config, logger):
        self.builds.append(config)
        config.network_flags = network.flags
        monitor = config.progress_monitor
        monitor.phase_start("Building engine", None, 2)
        for step in range(2):
            monitor.phase_start("Timing tactics", "Building engine", 1)
            monitor.step_complete("Timing tactics", 0)
            monitor.phase_finish("Timing tactics")
            if not monitor.step_complete("Building engine", step):
                return None
        monitor.phase_finish("Building engine")
        if not self.needs <= config.workspace <= self.has:
            logger.log(ILogger.ERROR, "Error Code 2: OutOfMemory (Requested size was 8752564 bytes.)")
            return None
        plan = {"profile": [shape[0] for shape in config.shapes], "version": self.__version__}
        return memoryview(json.dumps(plan).encode())


class Profile:
    def set_shape(self, name, least, best, most):
        self.shapes = (least, best, most)


class Config:
    """A builder's configuration; that of `tensorrt_rtx` has targets, that of `tensorrt` a timing cache."""

    def __init__(self, module):
        self.module, self.workspace, self.cleared, self.progress_monitor = module, 8 << 30, [], None
        self.target, self.timings, self.num_compute_capabilities = None, None, 0
        if module.ahead_of_time:
            self.set_compute_capability = lambda capability, number: setattr(self, "target", capability)
        else:
            self.create_timing_cache = lambda data: SimpleNamespace(serialize=lambda: data + b"+timed")
            self.set_timing_cache = lambda cache, ignore: setattr(self, "timings", cache)
            self.get_timing_cache = lambda: self.timings

    def add_optimization_profile(self, profile):
        self.shapes = profile.shapes

    def clear_flag(self, flag):
        self.cleared.append(flag)

    def get_memory_pool_limit(self, pool):
        return self.workspace

    def set_memory_pool_limit(self, pool, size):
        self.workspace = size
