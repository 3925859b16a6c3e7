import asyncio
import sys

import pytest

from plugin_server.protocol.flow import spare_memory
from plugin_server.protocol.flow.spare_memory import GROWTH_BYTES, give_back_memory


@pytest.fixture
def sizes(monkeypatch):
    """Sizes that the process has, one after another; the last one stays."""
    left = []
    monkeypatch.setattr(spare_memory, "_resident_bytes", lambda: left.pop(0) if len(left) > 1 else left[0])
    monkeypatch.setattr(spare_memory, "INTERVAL_S", 0.0)
    return left


async def trims_of(monkeypatch, rounds):
    trims = []
    monkeypatch.setattr(spare_memory, "_find_trim", lambda: trims.append)
    task = asyncio.create_task(give_back_memory())
    for _ in range(rounds):
        await asyncio.sleep(0.002)
    task.cancel()
    return trims


def test_memory_is_given_back_once_for_each_growth(sizes, monkeypatch):
    low, high = 10 * GROWTH_BYTES, 12 * GROWTH_BYTES
    # Looked at, given back, looked at after it; then it grows once more.
    sizes += [high, low, low, low, high, low]
    assert asyncio.run(trims_of(monkeypatch, 100)) == [0, 0]


def test_a_system_that_cannot_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    asyncio.run(asyncio.wait_for(give_back_memory(), 1))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_size_of_this_process_is_told():
    assert 2**20 < spare_memory._resident_bytes() < 2**40
