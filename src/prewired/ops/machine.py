"""The machine: the processor's name, and how many threads torch uses."""

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch


@cache
def processor() -> str:
    """The processor's name.

    Example:
        >>> processor() != ""
        True
    """
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return model[1].strip() if model else platform.processor() or platform.machine()


@contextmanager
def threads_set_to(n: int) -> Iterator[None]:
    """Let torch use n threads inside a with block.

    Example:
        >>> with threads_set_to(1):
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
