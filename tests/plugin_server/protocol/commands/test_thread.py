"""Commands that wait for a thread, on a loop of the test's own."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from plugin_server.errors import BadFile, ClipsonicError, QueueFull
from plugin_server.protocol.commands import thread
from plugin_server.protocol.commands.thread import CommandThread


def command_thread(executor=None) -> CommandThread:
    return CommandThread("tests", asyncio.get_running_loop().call_soon_threadsafe, executor)


def test_results_come_in_the_order_of_the_calls():
    async def run() -> list[int]:
        commands, gate, order = command_thread(), threading.Event(), []

        async def follow(number: int) -> None:
            order.append(await results[number])

        results = [commands.run(lambda i=i: gate.wait(5) and i) for i in range(5)]
        tasks = [asyncio.create_task(follow(number)) for number in reversed(range(5))]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*tasks)
        commands.stop()
        return order

    assert asyncio.run(run()) == list(range(5))


def test_an_error_is_raised_where_the_result_is_awaited():
    def fail() -> None:
        raise BadFile("broken")

    async def run() -> None:
        commands = command_thread()
        with pytest.raises(BadFile, match="broken"):
            await commands.run(fail)
        assert await commands.run(lambda: 1) == 1
        commands.stop()

    asyncio.run(run())


def test_only_so_many_commands_wait(monkeypatch):
    monkeypatch.setattr(thread, "MAX_WAITING", 2)

    async def run() -> None:
        commands, gate = command_thread(), threading.Event()
        waiting = [commands.run(lambda: gate.wait(5)) for _ in range(2)]
        with pytest.raises(QueueFull, match="2 commands wait for the tests already"):
            commands.run(gate.wait)
        gate.set()
        await asyncio.gather(*waiting)
        assert await commands.run(lambda: "again") == "again"
        commands.stop()

    asyncio.run(run())


def test_a_thread_that_stops_does_what_waits_and_nothing_more():
    async def run() -> None:
        commands = command_thread()
        waiting = commands.run(lambda: "done")
        await asyncio.to_thread(commands.stop)
        assert await waiting == "done"
        with pytest.raises(ClipsonicError, match="the daemon is being stopped"):
            commands.run(lambda: None)

    asyncio.run(run())


def test_a_thread_of_somebody_else_is_not_stopped():
    async def run() -> None:
        with ThreadPoolExecutor(1) as executor:
            commands = command_thread(executor)
            commands.stop()
            assert await commands.run(threading.get_ident) == executor.submit(threading.get_ident).result()

    asyncio.run(run())


def test_a_command_that_nobody_awaits_any_more_harms_nobody():
    async def run() -> None:
        commands, gate = command_thread(), threading.Event()
        given_up = commands.run(lambda: gate.wait(5))
        given_up.cancel()
        gate.set()
        assert await commands.run(lambda: 2) == 2
        commands.stop()

    asyncio.run(run())


@pytest.mark.parametrize("waits", ["settle", "call_last"])
def test_what_is_called_last_comes_after_all_that_was_sent_before(waits):
    async def run() -> list[str]:
        loop, commands, order, done = asyncio.get_running_loop(), command_thread(), [], threading.Event()
        # As replies are sent, by way of the loop.
        commands.run(lambda: commands.call_in_order(loop.call_soon, order.append, "sent"))
        last = loop.create_future()
        if waits == "settle":
            settled = asyncio.create_task(commands.settle())
            settled.add_done_callback(lambda _: order.append("last") or last.set_result(None))
            await asyncio.sleep(0)
        else:
            commands.call_last(lambda: order.append("last") or last.set_result(None))
        commands.run(done.set)
        # The loop gets all of it in one turn.
        assert done.wait(5)
        await last
        commands.stop()
        return order

    assert asyncio.run(run()) == ["sent", "last"]
