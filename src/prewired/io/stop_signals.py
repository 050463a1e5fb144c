"""The signals that ask a process to stop: Ctrl-C (SIGINT), SIGTERM, and SIGHUP, which a closed terminal sends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


@contextmanager
def interrupt_on_stop_signals() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt in the block on SIGTERM and SIGHUP too, so that all three signals end work alike.

    Only the first of these two signals is raised: a closed terminal sends several, and the work that the first one
    stops is then being stored. Handlers that the program has set, and signals that it ignores (nohup), stay as they
    are. Threads other than the main thread receive no signals, so there the block changes nothing.

    Yields:
        The numbers of the signals received so far; SIGINT is not among them.

    Example:
        >>> with interrupt_on_stop_signals() as received:
        ...     total = sum(range(10))  # SIGTERM here raises KeyboardInterrupt
        >>> received
        []
    """
    received: list[int] = []

    def interrupt(number: int, _: Any) -> None:
        received.append(number)
        if len(received) == 1:
            raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    numbers = [number for number in STOP_SIGNALS if is_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield received
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def delay_stop_signals() -> Iterator[None]:
    """Delay the stop signals until the block ends; processes that the block starts do not receive them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    # The mask holds for this thread only, so a signal that another thread receives comes to these handlers.
    handlers = {number: signal.signal(number, lambda number, _: arrived.append(number)) for number in STOP_SIGNALS}
    can_mask = hasattr(signal, "pthread_sigmask")  # Windows cannot
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS) if can_mask else set()
    try:
        yield
    finally:
        if can_mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if arrived:
            signal.raise_signal(arrived[0])
