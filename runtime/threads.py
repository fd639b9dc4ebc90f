"""How many threads numpy's products take beside an engine's own.

An engine keeps a thread a core, and ONNX Runtime's go on spinning for a while after each pass. A product of numpy's
(fitting a frame is two) that wakes a second pool of as many threads then waits for cores that nobody gives up: one
thread, which never waits, is faster. `docs/decisions/0041-one-thread-for-products.md` has the figures.
"""

from threadpoolctl import threadpool_limits


def one_thread_for_products() -> None:
    """Let numpy's products run in the thread that asks for them, from now on, in all of this process."""
    threadpool_limits(1, user_api="blas")
