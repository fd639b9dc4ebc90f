"""The ceiling: every product is a product, and the best of known times is found."""

import numpy as np
import pytest

from wordsight.benchmarks import ceiling, products
from wordsight.runtime.backends.openvino import core_for
from wordsight.runtime.errors import MissingPart, SettingError

EVERY = [
    pytest.param(precision, name, marks=[pytest.mark.openvino] if name.startswith("openvino") else [])
    for precision, group in products.FACTORIES.items()
    for name in group
]


def has_bf16() -> bool:
    return "BF16" in core_for("f32").get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize(("precision", "name"), EVERY)
def test_what_is_timed_is_a_matrix_product(precision: str, name: str):
    left, right = products.operands(64, precision)
    exact = left.astype(np.float64) @ right.astype(np.float64)
    if (precision, name) == ("bf16", "openvino MatMul") and not has_bf16():
        with pytest.raises(MissingPart, match="needs a processor with bf16"):
            products.FACTORIES[precision][name](64, 1)
        return
    got = products.FACTORIES[precision][name](64, 1)()
    got = np.asarray(got.double().numpy() if hasattr(got, "double") else got)
    if got.dtype == np.uint8:  # out of the quantised graphs: sums / 64 in units of the size, around 128
        assert np.abs(got - np.clip(exact / 64 / 64 + 128, 0, 255)).max() <= 0.51
    else:
        assert np.abs(got - exact).max() <= {"fp32": 1e-4, "bf16": 0.25, "int8": 0}[precision]


class Clock:
    """Seconds that pass only when somebody says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def factory(self, seconds: dict[int, list[float]]):
        """A stand-in engine: so many seconds in turn at each size, the first of them warming up."""

        def build(size: int, threads: int):
            left = iter(seconds[size])

            def product():
                self.now += next(left)

            return product

        return build


def test_best_engine_and_size_by_the_median_of_known_times():
    clock = Clock()
    factories = {
        # 2 * 100**3 = 2e6 operations; the warm-up of 9 s must not count, nor one lucky round.
        "slow": clock.factory({100: [9, 1.0, 1.0, 0.001], 200: [9, 8.0, 8.0, 8.0]}),
        "quick": clock.factory({100: [9, 0.5, 0.4, 0.6], 200: [9, 2.0, 1.6, 2.5]}),
    }
    found = ceiling.measure("fp32", 2, 3, sizes=(100, 200), factories=factories, clock=clock)
    assert (found.engine, found.size, found.rounds) == ("quick", 200, 3)
    assert found.gflops == pytest.approx(16e6 / 2.0 / 1e9)
    assert (found.low, found.high) == (pytest.approx(16e6 / 2.5 / 1e9), pytest.approx(16e6 / 1.6 / 1e9))
    # Half the ceiling: 4e6 operations a second from frames of 1e6 operations, 4 a second.
    assert found.fraction(1_000_000, 4) == pytest.approx(0.5)
    figure = found.figure("fp32")
    assert (figure.name, figure.unit, figure.n) == ("ceiling.fp32", "GFLOP/s", 3)


def test_an_engine_that_refuses_is_named_and_the_others_still_count():
    def refuses(size: int, threads: int):
        raise ValueError("this processor has no bf16")

    clock = Clock()
    factories = {"absent": refuses, "there": clock.factory({100: [1, 1]})}
    found = ceiling.measure("bf16", 1, 1, sizes=(100,), factories=factories, clock=clock)
    assert found.engine == "there"
    assert found.refused == {"absent": "this processor has no bf16"}
    with pytest.raises(MissingPart, match="no engine here multiplies in bf16"):
        ceiling.measure("bf16", 1, 1, sizes=(100,), factories={"absent": refuses}, clock=clock)


@pytest.mark.parametrize(("precision", "threads", "rounds"), [("fp8", 1, 1), ("fp32", 0, 1), ("fp32", 1, 0)])
def test_what_cannot_be_measured_is_refused(precision: str, threads: int, rounds: int):
    with pytest.raises(SettingError):
        ceiling.measure(precision, threads, rounds)


def test_threads_of_torch_are_given_back():
    import torch

    before = torch.get_num_threads()
    clock = Clock()
    seen = []

    def build(size: int, threads: int):
        seen.append(torch.get_num_threads())
        return clock.factory({100: [1, 1]})(size, threads)

    for threads in (before + 1, before):
        ceiling.measure("fp32", threads, 1, sizes=(100,), factories={"one": build}, clock=clock)
    assert seen == [before + 1, before]
    assert torch.get_num_threads() == before


def test_both_factors_of_int8_stay_exact_in_16_bits():
    left, right = products.operands(32, "int8")
    assert (left.dtype, right.dtype) == (np.uint8, np.int8)
    assert 2 * int(left.max()) * int(np.abs(right.astype(int)).max()) < 2**15
