"""Which board this is, by the file that NVIDIA's Jetson Linux leaves: what installs a part depends on it."""

from pathlib import Path

JETSON = Path("/etc/nv_tegra_release")


def jetson_release(place: Path = JETSON) -> str | None:
    """First line of the release file, such as "# R36 (release), REVISION: 4.4, ..."; None where it is no Jetson."""
    if not place.is_file():
        return None
    return next(iter(place.read_text(errors="replace").splitlines()), "")


def tensorrt_install(place: Path = JETSON) -> str:
    """The line that installs TensorRT: on a board it is the board's own."""
    if jetson_release(place) is not None:
        return "sudo apt install python3-libnvinfer"
    return "pip install 'wordsight[tensorrt]'"


def cuda_install(place: Path = JETSON) -> str:
    """The line that installs CUDA's bindings; those of CUDA 13 need its driver, which JetPack 6 (R36) does not have."""
    below = 13 if "R36" in (jetson_release(place) or "") else 14
    return f"pip install 'cuda-bindings>=12.6,<{below}'"
