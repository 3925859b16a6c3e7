"""A thread whose work is bounded, and which nothing keeps from ending."""

import threading
import time

import pytest

from plugin_server.audio.playback.bounded_thread import BoundedThread
from plugin_server.errors import QueueFull


def bounded_thread(limit=100, on_idle=lambda: None, idle_s=60.0) -> BoundedThread:
    return BoundedThread("tests", limit, on_idle, idle_s)


def test_work_is_done_in_order_and_gives_its_result():
    thread, order = bounded_thread(), []
    futures = [thread.submit(lambda i=i: order.append(i) or i) for i in range(50)]
    assert [future.result(5) for future in futures] == order == list(range(50))
    assert thread.close(lambda: order.append("last"), 5)
    assert order[-1] == "last"


def test_an_error_is_the_future_s_and_the_thread_goes_on():
    thread = bounded_thread()
    with pytest.raises(ZeroDivisionError):
        thread.submit(lambda: 1 / 0).result(5)
    assert thread.submit(lambda: 1).result(5) == 1
    thread.close(lambda: None, 5)


def test_only_so_much_waits():
    thread, gate, began = bounded_thread(limit=3), threading.Event(), threading.Event()
    first = thread.submit(lambda: began.set() or gate.wait(5))
    assert began.wait(5)
    waiting = [thread.submit(int) for _ in range(3)]
    with pytest.raises(QueueFull, match="3 commands wait for the tests already"):
        thread.submit(int)
    gate.set()
    assert [future.result(5) for future in [first, *waiting]] == [True, 0, 0, 0]
    assert thread.submit(int).result(5) == 0
    thread.close(lambda: None, 5)


def test_what_waits_at_the_end_is_cancelled_and_the_last_thing_is_done():
    thread, gate, began, last = bounded_thread(), threading.Event(), threading.Event(), threading.Event()
    first = thread.submit(lambda: began.set() or gate.wait(5))
    assert began.wait(5)
    waiting = [thread.submit(int) for _ in range(50)]
    threading.Timer(0.05, gate.set).start()
    assert thread.close(last.set, 5)
    assert first.result(0) and last.is_set() and all(future.cancelled() for future in waiting)
    with pytest.raises(RuntimeError, match="the tests thread was stopped"):
        thread.submit(int)
    assert thread.close(last.set, 0)


def test_work_that_hangs_is_left_behind():
    thread, gate = bounded_thread(), threading.Event()
    thread.submit(gate.wait)
    began = time.monotonic()
    assert not thread.close(lambda: None, 0.05)
    assert time.monotonic() - began < 2
    gate.set()
    assert thread.close(lambda: None, 5)


def test_it_looks_around_while_idle_and_while_busy_whatever_that_raises():
    looks = threading.Semaphore(0)

    def look():
        looks.release()
        raise ValueError("nothing to see")

    thread = bounded_thread(on_idle=look, idle_s=0.01)
    thread.submit(int).result(5)
    assert looks.acquire(timeout=5) and looks.acquire(timeout=5)
    assert thread.submit(lambda: 1).result(5) == 1
    thread.close(lambda: None, 5)
