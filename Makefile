# Every target works as the first command on a fresh clone: each brings the environment up to date before it runs.
# PYTHON=python3.12 make env   picks another interpreter (3.10 or newer).

PYTHON ?= python3
VENV   := .venv
LEAN   := .venv-lean
PEERS  := .venv-peers
TRITON := .venv-triton
BIN    := $(VENV)/bin
# Real parts of the tests: an RTSP server, systemd-analyze, promtool, an MQTT broker, a browser. Without them those tests skip, with the line that installs them.
DEBIAN := gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly systemd prometheus mosquitto openssl chromium
# What passed in the lean environment is not run again in the other one (tests/two_environments.py).
PASSED := $(LEAN)/passed.txt
# A test that fails runs once more, and is named at the end even if it passes then (docs/decisions/0050).
AGAIN  := --reruns 1 --rerun-show-tracebacks -raR
# What the lean environment lacks is not tried in it: the same tests run in the other one.
LEAN_TESTS := tests/runtime --ignore=tests/runtime/reference --ignore=tests/runtime/faults --ignore=tests/runtime/web --ignore=tests/runtime/scale -m "not full and not basler and not openvino and not plant and not rtsp and not scale and not tensorrt"
LOCK_FLAGS := --universal --generate-hashes --python-version 3.10 --no-emit-index-url --custom-compile-command "make lock" --quiet

# The project never talks to a model hub by itself while it is being tested or shown.
export HF_HUB_OFFLINE = 1
export UV_PYTHON_DOWNLOADS = never
# A few GB over a slow line, and a registry that is busy for a moment, end no run.
export UV_HTTP_TIMEOUT = 300
export UV_HTTP_RETRIES = 5
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help env demo test test-all test-full faults soak lint types layers lean test-lean bench peers peers-env packaged-demo lock format clean

help:  ## what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(VENV)/.current $(LEAN)/.current $(TRITON)/.current $(VENV)/.debian  ## everything the tests and the demo use (a no-op when current)

$(BIN)/uv: requirements-dev.lock
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found: install Python 3.10 or newer, or name one with PYTHON=..." >&2; exit 3; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: $(PYTHON) is older than 3.10: name a newer one with PYTHON=..." >&2; exit 3; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -qy python3-venv; } \
		|| { echo "make: $(PYTHON) cannot make environments: apt-get install python3-venv" >&2; exit 3; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ {on = 1} on {print} on && !/\\$$/ {exit}' requirements-dev.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --require-hashes -r $(VENV)/uv.lock
	@touch $@

$(VENV)/.current: pyproject.toml requirements-dev.lock $(BIN)/uv
	@echo "make: bringing $(VENV) up to date (the first time fetches PyTorch, a few GB)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The lean environment is an edge box: the bare wheel, ONNX Runtime and OpenCV, and what its tests need.
$(LEAN)/.current: requirements-lean.lock $(VENV)/.current
	@[ -x $(LEAN)/bin/python ] || $(BIN)/uv venv --quiet --python $(BIN)/python $(LEAN)
	@$(BIN)/uv pip sync --quiet --python $(LEAN)/bin/python --require-hashes requirements-lean.lock
	@touch $@

# A real Triton server, from NVIDIA's wheel: x86-64 Linux alone; its python backend needs NumPy 1, of which there is no wheel
# for Python 3.13. The stub of this Python goes beside the backend, where the server looks for it.
$(TRITON)/.current: requirements-triton.lock $(VENV)/.current
	@if $(BIN)/python -c 'import platform, sys; sys.exit((sys.platform, platform.machine()) != ("linux", "x86_64") or sys.version_info >= (3, 13))'; then \
		[ -x $(TRITON)/bin/python ] || $(BIN)/uv venv --quiet --python $(BIN)/python $(TRITON); \
		$(BIN)/uv pip sync --quiet --python $(TRITON)/bin/python --require-hashes requirements-triton.lock \
		&& cd $(TRITON)/lib/python3.*/site-packages/pytriton/tritonserver \
		&& cp python_backend_stubs/$$(basename $$(cd ../../.. && pwd) | sed s/python//)/triton_python_backend_stub backends/python/; \
	else mkdir -p $(TRITON); echo "make: no Triton server for this machine or Python; the tests that need it skip" >&2; fi
	@touch $@

# Once a machine; where it is not root, or no Debian, nothing is installed and nothing fails.
$(VENV)/.debian: $(VENV)/.current
	@[ -e $@ ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || dpkg -s $(DEBIAN) >/dev/null 2>&1 \
		|| { echo "make: installing Debian's $(DEBIAN)"; apt-get -o Acquire::Retries=3 update -q >/dev/null \
		&& DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 install -qy --no-install-recommends $(DEBIAN) >/dev/null; } \
		|| echo "make: could not install them; the tests that need them skip" >&2
	@touch $@

demo: env  ## words -> head -> one file -> scored pictures -> report.html, on the embedded encoder
	@$(BIN)/python -m wordsight.benchmarks.demo

test: env lint types layers test-lean  ## lint, types, layers, the runtime's tests in the lean environment, all others in the whole one
	$(BIN)/python -m pytest -q $(AGAIN) --passed-in=$(PASSED)

test-all: env  ## all tests in the whole environment, what passes in the lean one too
	$(BIN)/python -m pytest -q

test-full: env  ## what is too long for every run: every precision for every target, on mini
	$(BIN)/python -m pytest -q -m full

soak: env  ## half an hour of one healthy, one flapping and one offline camera: memory, files, threads, frames kept
	$(BIN)/wordsight bench soak --minutes 30 -o soak

faults: env  ## what a line makes of faults, and the fault matrix as a table
	$(BIN)/python -m pytest -q -m "faults and not full"

test-lean: lean
	$(LEAN)/bin/python -m pytest -q -p no:cacheprovider $(AGAIN) --passed-to=$(PASSED) $(LEAN_TESTS)

lean: env  ## the wheel as an edge box would install it, in the lean environment
	@rm -rf build dist
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist .
	@$(BIN)/uv pip install --quiet --python $(LEAN)/bin/python --no-deps --reinstall dist/wordsight-*.whl

lint: env  ## ruff: mistakes, imports, docstrings, formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env  ## mypy, strict, for the floor of Python 3.10
	$(BIN)/mypy

layers: env  ## who may import whom
	$(BIN)/lint-imports

bench: lean  ## the figures of the README: accuracy, text embedding, folding, footprint
	$(BIN)/wordsight bench accuracy
	$(BIN)/wordsight bench text
	$(BIN)/wordsight bench fold
	$(BIN)/wordsight bench identity
	$(BIN)/wordsight bench heatmap
	$(BIN)/wordsight bench footprint --env $(LEAN)

# anomalib pins an older open_clip than ours: the peer has an environment of its own, with our PyTorch.
$(PEERS)/.current: requirements-peers.lock $(VENV)/.current
	@echo "make: bringing $(PEERS) up to date"
	@[ -x $(PEERS)/bin/python ] || $(BIN)/uv venv --quiet --python $(BIN)/python $(PEERS)
	@$(BIN)/uv pip sync --quiet --python $(PEERS)/bin/python --require-hashes requirements-peers.lock
	@touch $@

peers-env: env $(PEERS)/.current  ## the environment of anomalib, for `bench rivals`

peers: peers-env  ## WinCLIP and metrics against anomalib's own, on the same weights, and the tests that need it
	$(BIN)/python -m pytest -q -m peers tests/benchmarks
	$(BIN)/python -m wordsight.benchmarks.winclip_peer --python $(PEERS)/bin/python

packaged-demo: env  ## write anew what ships for `wordsight run --demo`
	$(BIN)/python -m wordsight.benchmarks.packaged

lock: $(BIN)/uv  ## pin the newest versions that pyproject.toml allows, with hashes
	$(BIN)/uv pip compile pyproject.toml --extra runtime --extra train --extra export --extra bench --extra rtx --extra openvino --extra basler --extra siglip --extra metrics --extra modbus --extra gpio --extra mqtt --extra opcua --extra webhook --extra web --extra archive --extra remote --group dev $(LOCK_FLAGS) --upgrade -o requirements-dev.lock
	$(BIN)/uv pip compile pyproject.toml --extra runtime --group lean $(LOCK_FLAGS) --upgrade -c requirements-dev.lock -o requirements-lean.lock
	{ echo 'anomalib[clip]==2.7.0'; sed -n 's/ *\\$$//; /^torch\(vision\)\{0,1\}==/p' requirements-dev.lock; } \
		| $(BIN)/uv pip compile - $(LOCK_FLAGS) --upgrade -o requirements-peers.lock
	{ echo 'nvidia-pytriton>=0.7,<0.8'; echo 'numpy<2'; sed -n 's/ *\\$$//; /^onnxruntime==/p' requirements-dev.lock; } \
		| $(BIN)/uv pip compile - $(LOCK_FLAGS) --upgrade -o requirements-triton.lock

format: env  ## let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove what make made
	rm -rf $(VENV) $(LEAN) $(PEERS) $(TRITON) build dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
