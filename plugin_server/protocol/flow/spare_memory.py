"""Memory that was needed once, as for a flood of packets, is given back to the system.

The C library keeps what a program frees for its next need, unless it lies at the end of the heap.
"""

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

INTERVAL_S = 5.0
GROWTH_BYTES = 8 * 2**20
"""Memory that has to have come since it was given back last."""


async def give_back_memory() -> None:
    """Give back what is free, whenever the process has grown; for ever, in a thread. Does nothing but on glibc."""
    trim = _find_trim()
    if trim is None:
        return
    low = 0
    while True:
        await asyncio.sleep(INTERVAL_S)
        if _resident_bytes() > low + GROWTH_BYTES:
            await asyncio.to_thread(trim, 0)
            low = _resident_bytes()


def _find_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        # Another C library, as musl.
        return None
    return trim


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
