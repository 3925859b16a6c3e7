"""The service through its real sockets, with a daemon on toys."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from pythonosc import slip
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import build_msg

from plugin_server import __version__
from plugin_server.client import Client
from plugin_server.errors import ClipsonicError
from plugin_server.protocol.addresses import TABLE
from plugin_server.protocol.packets import decode_packet, encode_message
from plugin_server.protocol.transports.framing import Framing
from tests.support.toys import CONTEXT


def test_a_prompt_becomes_a_clip(daemon):
    with daemon.client() as client:
        heard = list(client.generate("sea waves", 0.5, seed=42))
    assert [m.address for m in heard if m.address != "/progress"] == ["/queued", "/clip", "/done"]
    job, clip_id, path, seconds, take, seed = next(m for m in heard if m.address == "/clip").arguments
    assert (seconds, take, seed) == (0.5, 1, 42)
    assert path == str(daemon.folder / "sea-waves_0.5s_s42_t1.wav")
    assert len(clip_id) == 12
    assert heard[-1].arguments == ("/generate", job, 1, 1.0, "")
    fractions = [m.arguments[1] for m in heard if m.address == "/progress"]
    assert len(fractions) >= 4 and fractions == sorted(fractions)


def test_one_prompt_is_one_sound_however_a_program_writes_it(daemon):
    with daemon.client() as client:
        ids = set()
        for words in (
            ["café noise"],
            ["cafe\u0301 noise"],
            ['"café', 'noise"'],
            ["“café noise”"],
            ["\ufeffcafé  noise"],
        ):
            client.send("/generate", *words, 0.5, "@seed", 5, "@steps", 2)
            ids.add(until(client, "/clip").arguments[1])
            until(client, "/done")
        # As Pure Data sends a text in quotes.
        client.send("/generate", '"kick', 'drum"', 2.0, "@name", '"My', 'kick"', "@seed", '"5"')
        _, _, path, seconds, _, seed = until(client, "/clip").arguments
        assert (Path(path).name, seconds, seed) == ("my-kick_2s_s5_t1.wav", 2.0, 5)
        until(client, "/done")
    assert len(ids) == 1


def test_a_length_may_come_as_text_and_a_request_as_one(daemon):
    with daemon.client() as client:
        more = ("@seed", 5, "@steps", 1)
        for arguments in (
            ("rain", "2", *more),
            ("rain", "2.0", *more),
            ("rain 2 @seed 5 @steps 1",),
            (b"rain", b"2", "@seed 5 @steps 1"),
            ("rain", "2s", None, *more, "@name", None),
        ):
            client.send_packet(build_msg("/generate", list(arguments)).dgram)
            clip = until(client, "/clip").arguments
            assert (Path(clip[2]).name.startswith("rain_2s_s5_t1"), clip[3], clip[5]) == (True, 2.0, 5)
            until(client, "/done")
        client.send("/generate", "kick", "808", "@seed", 5, "@steps", 1)
        assert Path(until(client, "/clip").arguments[2]).name == "kick-808_1s_s5_t1.wav"
        until(client, "/done")


def test_the_same_request_is_answered_with_the_clip_that_is_there(daemon):
    with daemon.client() as client:
        heard = [
            {m.address: m.arguments for m in client.generate("there before", 0.5, **more)}
            for more in ({"seed": 3}, {"seed": 3}, {"seed": 3, "again": 1}, {"seed": -1})
        ]
    first, second, anew, drawn = (messages["/clip"] for messages in heard)
    assert list(heard[1]) == ["/queued", "/clip", "/done"]
    assert second[1:] == first[1:] and heard[1]["/done"][2:] == heard[0]["/done"][2:]
    assert anew[1] == first[1] and anew[2] != first[2]
    assert drawn[5] != 3


def test_a_prompt_that_is_longer_than_the_model_hears_is_said_to_be_cut(daemon, caplog):
    # Each of the toy's letters is a token.
    n_fit = (CONTEXT - 2) // 3
    with daemon.client() as client:
        for _ in range(2):
            heard = list(client.generate("sea " * n_fit + "thunder", 0.5, seed=1, steps=1))
            assert heard[-1].arguments[2:] == (1, 1.0, "", n_fit, n_fit + 1)
            assert f"the model heard {n_fit} of {n_fit + 1} words" in caplog.text
            # The second time it is the clip that is there.
            caplog.clear()
        assert len(list(client.generate("sea " * n_fit, 0.5, seed=1, steps=1))[-1].arguments) == 5
        assert not caplog.text
        # What it should keep away from is cut in the same way.
        heard = list(client.generate("thunder", 0.5, seed=1, steps=1, negative="sea " * (n_fit + 2)))
        assert heard[-1].arguments[4:] == ("", n_fit + 1, n_fit + 3)


def test_a_button_stops_and_cancels(daemon):
    with daemon.client() as client:
        for address in ("/stop", "/cancel"):
            for release in (0.0, 0):
                client.send(address, release)
                assert client.receive().arguments == (address, "released")
        for press in (1.0, 1):
            client.send("/generate", "slow", 20, "@steps", 100, "@model", "slow-toy", "@id", f"press-{press}")
            until(client, "/queued")
            client.send("/cancel", press)
            while (message := client.receive(10)).address in ("/progress", "/fail"):
                pass
            assert message.arguments == ("/cancel", f"press-{press}")
        client.send("/generate", "slow", 20, "@steps", 100, "@model", "slow-toy", "@id", "1")
        client.send("/cancel", "1")
        while (message := client.receive(10)).arguments[0] != "/cancel":
            pass
        assert message.arguments == ("/cancel", "1")


@pytest.mark.parametrize("on", [1, 1.0, "1", "on", "true", "ON"])
@pytest.mark.parametrize("address", ["/notify", "/meter"])
def test_whoever_follows_says_so_by_any_switch(daemon, address, on):
    with daemon.client() as client:
        client.send(address, on)
        assert until(client, "/done").arguments[0] == address
        client.send(address, "off")
        while (reply := until(client, "/done").arguments)[0] != address:
            pass
        assert reply == (address, 0)


def until(client: Client, address: str):
    """Return the next message that has an address."""
    while (message := client.receive(10)).address != address:
        assert message.address != "/fail", message
    return message


def test_takes_are_announced_one_by_one(daemon):
    with daemon.client() as client:
        heard = list(client.generate("rain", 0.5, variations=3, seed=1))
    kinds = [m.address for m in heard]
    assert [m.arguments[4] for m in heard if m.address == "/clip"] == [1, 2, 3]
    assert kinds.index("/clip") < max(i for i, kind in enumerate(kinds) if kind == "/progress")
    assert heard[-1].arguments[2] == 3


@pytest.mark.parametrize(
    ("address", "arguments", "code", "sentence"),
    [
        ("/generate", [], "bad_argument", "prompt: got nothing"),
        ("/generate", ["sea waves", 99], "bad_argument", "seconds: got 99, expected 0.25 to 30 s for toy"),
        ("/generate", ["rain", "@model", "moon"], "unknown_model", "model: got 'moon', expected one of slow-toy, toy"),
        ("/generate", ["rain", "@size", 1], "bad_argument", "attribute: got @size"),
        ("/generate", ["rain", 5, "@bars", 1], "bad_argument", "seconds: got 5 and 1 bars, expected one of them"),
        ("/generate", ["rain", "@bars", 64], "bad_argument", "bars: got 64 at 120 bpm, which is 128 s, expected 0.25"),
        ("/generate", ["rain", "@bars", 1, "@bpm", 5], "bad_argument", "bpm: got 5, expected 20 to 999"),
        ("/generate", ["rain", "@key", "H"], "bad_argument", "key: got 'H', expected a note and perhaps minor"),
        ("/generate", ["rain", "@format", "mp3"], "bad_argument", "format: got 'mp3', expected one of wav, flac, aiff"),
        ("/generate", ["rain", "@loop", 2], "bad_argument", "loop: got 2, expected 0 or 1"),
        ("/generate", ["rain", "@stereo", 1.5], "bad_argument", "stereo: got 1.5, expected 0 to 1"),
        ("/nothing", [], "unknown_address", "address: got '/nothing'"),
        ("/cancel", ["j999"], "unknown_job", "job: got 'j999'"),
        ("/cancel", [], "bad_argument", "job: got nothing"),
        ("/cancel", ["a", "b"], "bad_argument", "job: got 2 arguments"),
        ("/notify", [1, 2, 3], "bad_argument", "arguments: got 3"),
        ("/bank/next", ["on", 2, 3, 4], "bad_argument", "arguments: got 'on' 2 3, expected nothing"),
        ("/notify", [7], "bad_argument", "notify: got 7"),
        ("/notify", [1, 99999], "bad_argument", "port: got 99999"),
        ("/sync", ["x"], "bad_argument", "id: got 'x'"),
        ("/model/load", [], "bad_argument", "model: got 0 arguments, expected one name"),
        ("/model/load", ["moon"], "unknown_model", "model: got 'moon', expected one of slow-toy, toy"),
        ("/model/unload", ["a", "b"], "bad_argument", "model: got 2 arguments"),
        ("/help", ["/nothing"], "unknown_address", "address: got '/nothing'"),
    ],
)
def test_bad_commands_are_answered(daemon, address, arguments, code, sentence):
    with daemon.client() as client:
        client.send(address, *arguments)
        reply = client.receive()
    assert reply.address == "/fail"
    assert reply.arguments[:2] == (address, code)
    assert sentence in reply.arguments[2]
    assert reply.arguments[3] == ""


def test_bytes_that_are_no_packet_are_answered(daemon):
    with daemon.client() as client:
        client.send_packet(b"hello")
        assert client.receive().arguments[:2] == ("", "bad_packet")
        client.send("/version")
        assert client.receive().address == "/version.reply"


def test_status_has_superCollider_s_nine_numbers_first(daemon):
    with daemon.client() as client:
        list(client.generate("rain", 0.25))
        reply = client.ask("/status", reply="/status.reply")
    assert reply[0] == 1
    assert reply[1:3] == (0, 0)
    assert reply[3] >= 1
    assert reply[7:9] == (48000.0, 48000.0)
    assert reply[9:13] == ("ready", reply[10], "CPUExecutionProvider", str(daemon.folder))


def test_version_is_told_in_parts(daemon):
    with daemon.client() as client:
        name, major, minor, patch, *_ = client.ask("/version", reply="/version.reply")
    assert name == "clipsonic-live"
    assert f"{major}.{minor}{patch}" == __version__


def test_sync_waits_for_the_jobs_before_it(daemon):
    with daemon.client() as client:
        client.send("/sync", 7)
        assert client.receive().arguments == (7,)
        client.send("/generate", "rain", 0.5, "@id", "before-sync")
        client.send("/sync", 8)
        heard = []
        while not heard or heard[-1].address != "/synced":
            heard.append(client.receive())
    addresses = [m.address for m in heard]
    assert addresses.index("/done") < addresses.index("/synced")
    assert heard[-1].arguments == (8,)


def test_help_is_the_table(daemon):
    with daemon.client() as client:
        client.send("/help")
        rows = [client.receive() for _ in range(len(TABLE) + 1)]
        assert [row.arguments[0] for row in rows[:-1]] == [row.address for row in TABLE]
        assert rows[-1].arguments == ("/help", len(TABLE))
        assert client.ask("/help", "/sync", reply="/help.reply")[0] == "/sync"


def test_models_are_listed(daemon):
    with daemon.client() as client:
        client.send("/model/list")
        rows = [client.receive() for _ in range(3)]
    assert [row.arguments[0] for row in rows[:2]] == ["slow-toy", "toy"]
    assert rows[0].arguments[1:5] == ("clipsonic", "generate", "0.0.1", "toy-6")
    assert rows[2].arguments == ("/model/list", 2)


def test_a_model_is_loaded_ahead_and_unloaded(daemon):
    with daemon.client() as client:
        for name in ("slow-toy", "toy"):
            assert client.ask("/model/load", name, reply="/done", timeout_s=20)[:2] == ("/model/load", name)
            assert client.ask("/status", reply="/status.reply")[9:11] == ("ready", name)
        client.send("/model/unload", "toy")
        queued, done = client.receive(), client.receive()
        assert (queued.address, queued.arguments[1]) == ("/queued", "/model/unload")
        assert done.arguments == ("/model/unload", "toy", queued.arguments[0])
        assert client.ask("/status", reply="/status.reply")[9] == "unloaded"
        assert daemon.daemon.engine.pid is None
        client.send("/model/unload", "toy")
        client.receive()
        failed = client.receive()
        assert failed.arguments[:2] == ("/model/unload", "unknown_model")
        assert "no model is loaded" in failed.arguments[2]
        assert list(client.generate("rain", 0.25, timeout_s=20))[-1].address == "/done"


@pytest.mark.skipif(sys.platform == "win32", reason="halts the engine's process by SIGSTOP")
def test_a_job_that_waits_for_its_model_is_cancelled_at_once(daemon):
    engine = daemon.daemon.engine
    with daemon.client() as client:
        assert client.ask("/model/load", "TOY", reply="/done", timeout_s=20)[1] == "toy"
        client.ask("/model/unload", "toy", reply="/done")
        client.send("/generate", "rain", 0.25, "@id", "early")
        while engine.pid is None:
            time.sleep(0.001)
        os.kill(engine.pid, signal.SIGSTOP)
        try:
            while client.receive().arguments[2] != "loading":
                pass
            client.send("/cancel", "early")
            began = time.monotonic()
            heard = [client.receive()]
            while heard[-1].address != "/done":
                heard.append(client.receive())
            assert heard[-1].arguments == ("/cancel", "early")
            assert [m.arguments[3] for m in heard if m.address == "/fail"] == ["early"]
            client.send("/cancel", "early")
            assert client.receive().arguments[1] == "unknown_job"
            assert client.ask("/status", reply="/status.reply")[1:3] == (0, 0)
            assert time.monotonic() - began < 1
        finally:
            os.kill(engine.pid, signal.SIGCONT)
        assert list(client.generate("rain", 0.25, id="early"))[-1].address == "/done"


def test_models_are_loaded_in_turn_with_the_jobs(daemon):
    with daemon.client() as client:
        client.send("/generate", "rain", 0.5, "@model", "slow-toy", "@id", "before")
        client.send("/model/load", "toy")
        heard = []
        while not heard or heard[-1].arguments[:2] != ("/model/load", "toy"):
            heard.append(client.receive(20))
        assert [m.arguments[0] for m in heard if m.address == "/done"] == ["/generate", "/model/load"]


def test_a_subscriber_on_another_port_hears_of_every_job_and_of_answers(daemon):
    with daemon.client() as client, Client(daemon.port) as ear:
        client.send("/notify", 1, ear.port)
        assert client.receive().arguments[0] == "/notify"
        assert ear.receive().address == "/done"
        list(client.generate("rain", 0.25, id="both"))
        heard = []
        while not heard or heard[-1].address != "/done":
            heard.append(ear.receive())
        assert {"/queued", "/progress", "/clip", "/done"} == {m.address for m in heard}
        client.ask("/version", reply="/version.reply")
        assert ear.receive().address == "/version.reply"
        client.ask("/notify", 0, ear.port, reply="/done")
        client.ask("/version", reply="/version.reply")
        with pytest.raises(TimeoutError):
            ear.receive(0.2)


def test_a_running_job_is_cancelled_and_the_next_one_runs(daemon):
    with daemon.client() as client:
        client.send("/generate", "rain", 30, "@model", "slow-toy", "@steps", 100, "@id", "long-one")
        while client.receive().address != "/progress":
            pass
        began = time.monotonic()
        client.send("/cancel", "long-one")
        heard = []
        while not heard or heard[-1].address != "/done":
            heard.append(client.receive())
        assert heard[-1].arguments == ("/cancel", "long-one")
        assert (heard[-2].address, heard[-2].arguments[:2]) == ("/fail", ("/generate", "cancelled"))
        assert heard[-2].arguments[3] == "long-one"
        assert time.monotonic() - began < 1
        with pytest.raises(TimeoutError):
            client.receive(0.2)
        assert list(client.generate("rain", 0.25))[-1].address == "/done"


def test_a_full_queue_says_so_and_all_can_be_cancelled(daemon):
    with daemon.client() as client:
        long_one = ("rain", 10, "@model", "slow-toy", "@steps", 100, "@id")
        client.send("/generate", *long_one, "fill0")
        while client.receive().address != "/progress":
            pass
        for i in range(1, 6):
            client.send("/generate", *long_one, f"fill{i}")
        replies = []
        while sum(m.address in ("/queued", "/fail") for m in replies) < 5:
            replies.append(client.receive())
        assert [m.arguments[1] for m in replies if m.address == "/fail"] == ["queue_full"]
        client.send("/cancel", "all")
        ended = []
        while len(ended) < 5:
            message = client.receive()
            if message.address == "/fail" and message.arguments[1] == "cancelled":
                ended.append(message.arguments[3])
        assert sorted(ended) == [f"fill{i}" for i in range(5)]


def test_one_id_makes_one_job(daemon):
    with daemon.client() as client:
        one = list(client.generate("rain", 0.25, id="once", seed=3))
        two = list(client.generate("rain", 0.25, id="once", seed=3))
        clips = [next(m for m in heard if m.address == "/clip").arguments for heard in (one, two)]
        assert clips[0] == clips[1]
        client.send("/generate", "wind", 0.25, "@id", "once")
        refused = client.receive().arguments
        assert refused[1] == "duplicate_job" and refused[3] == ""


@pytest.mark.parametrize("arguments", [["rain", "@steps", 999], ["rain", "@shuffle", 1], ["rain", "@seed", 1, 2]])
def test_a_refusal_names_the_id_that_the_client_chose(daemon, arguments):
    with daemon.client() as client:
        client.send("/generate", *arguments, "@id", "mine")
        assert client.receive().arguments[1:4:2] == ("bad_argument", "mine")


def test_a_bundle_is_answered_in_order(daemon):
    bundle = OscBundleBuilder(IMMEDIATELY)
    for address in ("/version", "/nothing", "/status"):
        bundle.add_content(build_msg(address))
    with daemon.client() as client:
        client.send_packet(bundle.build().dgram)
        assert [client.receive().address for _ in range(3)] == ["/version.reply", "/fail", "/status.reply"]


def test_replies_do_not_overtake_each_other(daemon):
    bundle = OscBundleBuilder(IMMEDIATELY)
    for message in (build_msg("/generate", ["rain", 0.25]), build_msg("/version")):
        bundle.add_content(message)
    with daemon.client() as client:
        for number in range(20):
            client.send_packet(bundle.build().dgram)
            heard = []
            while not heard or heard[-1].address != "/done":
                client.send("/sync", number)
                heard.append(client.receive())
            addresses = [m.address for m in heard]
            assert addresses.index("/queued") < addresses.index("/version.reply")
            assert not any(m.address == "/synced" and m.arguments == (number,) for m in heard)


def test_each_address_of_a_pattern_answers_for_itself(daemon):
    with daemon.client() as client:
        client.send("/{clip/info,sync,version,help}", 1, 2)
        heard = [client.receive() for _ in range(4)]
    failed = [m.arguments[0] for m in heard if m.address == "/fail"]
    assert sorted(failed) == ["/clip/info", "/help", "/sync"]
    assert "/version.reply" in [m.address for m in heard]


def test_a_pattern_of_several_addresses_reaches_only_those_that_change_nothing(daemon):
    with daemon.client() as client:
        client.send("/{version,cancel,bank/nothing,bank/save}")
        assert client.receive().address == "/version.reply"
        address, code, sentence, _ = client.receive().arguments
        assert (address, code) == ("/{version,cancel,bank/nothing,bank/save}", "bad_argument")
        assert "which matches /cancel /bank/save, expected" in sentence
        # One that means a single address is as good as that.
        client.send("/model/l*d", "moon")
        assert client.receive().arguments[:2] == ("/model/load", "unknown_model")


@pytest.mark.parametrize(
    "address",
    [
        "/done",
        "/fail",
        "/queued",
        "/clip",
        "/levels",
        "/help.reply",
        "/live/error",
        "/other/done",
        "/synced",
        "/late",
        "/FAIL",
        "/Error",
        "/a/err",
        "/ok",
        "/n_fail",
        "/pong",
        "/a.response",
        "/unknown",
    ],
)
def test_an_answer_is_not_answered(daemon, address):
    with daemon.client() as client:
        client.send(address, "/status", 1)
        client.send("/version")
        assert client.receive().address == "/version.reply"


def test_two_programs_that_answer_each_other_s_answers_stop(daemon):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo, Client(daemon.port) as client:
        echo.bind(("127.0.0.1", 0))
        echo.settimeout(0.3)
        client.ask("/notify", 1, echo.getsockname()[1], reply="/done")
        n = 0
        with pytest.raises(TimeoutError):
            while True:
                packet, sender = echo.recvfrom(65536)
                echo.sendto(packet, sender)
                n += 1
        assert n <= 2
        client.ask("/notify", 0, echo.getsockname()[1], reply="/done")


def test_a_pattern_is_short(daemon):
    with daemon.client() as client:
        for address, arguments in (("/" + "{,}" * 100, ()), ("/help", ("/" + "*" * 256,))):
            client.send(address, *arguments)
            assert "characters, expected at most 256" in client.receive().arguments[2]


@pytest.mark.parametrize("command", ["/notify", "/meter"])
def test_the_daemon_s_own_port_is_no_port_to_answer_to(daemon, command):
    with daemon.client() as client:
        client.send(command, 1, daemon.port)
        assert client.receive().arguments[:2] == (command, "bad_argument")
        client.send("/version")
        assert client.receive().address == "/version.reply"


@pytest.mark.parametrize("number", ["1e300", 2.0**40, "3000000000", -(2.0**31) - 256])
def test_a_number_that_no_reply_can_hold_is_refused(daemon, number):
    with daemon.client() as client:
        client.send("/sync", number)
        address, code, sentence, _ = client.receive().arguments
        assert (address, code) == ("/sync", "bad_argument")
        assert "expected -2147483648 to 2147483647" in sentence


def test_nil_at_the_end_says_nothing(daemon):
    with daemon.client() as client:
        client.send_packet(b"/version\0\0\0\0,IN\0")
        assert client.receive().address == "/version.reply"
        client.send_packet(b"/help\0\0\0,NI\0")
        assert client.receive().address == "/help.reply"


@pytest.mark.parametrize(
    ("address", "arguments"),
    [("/" + "x" * 20_000, ()), ("/cancel", ("波" * 9_000,)), ("/generate", ("rain", "@id", "波" * 9_000)),
     ("/generate", ("rain", "@model", "m" * 1_999)), ("/help", ("/" + "波" * 9_000,)),
     ("/generate", ("rain", "@" + "波" * 9_000, 1)), ("/generate", ("rain", "@seed", "9" * 9_000))],
)  # fmt: skip
def test_what_is_sent_back_of_a_long_argument_fits_any_datagram(daemon, address, arguments):
    with daemon.client() as client:
        client.send(address, *arguments)
        reply = client.receive()
    assert reply.address == "/fail"
    assert len(encode_message("/fail", *reply.arguments)) < 1000


def test_two_clients_on_one_id_and_a_subscriber_hear_everything_once(daemon):
    with daemon.client() as one, daemon.client() as two, daemon.client() as ear:
        # A model that is being loaded says so again and again.
        one.ask("/model/load", "slow-toy", reply="/done", timeout_s=20)
        ear.ask("/notify", 1, reply="/done")
        one.send("/generate", "rain", 1, "@model", "slow-toy", "@steps", 30, "@id", "shared")
        while one.receive().address != "/progress":
            pass
        two.send("/generate", "rain", 1, "@model", "slow-toy", "@steps", 30, "@id", "shared")
        two.send("/generate", "rain", 1, "@model", "slow-toy", "@steps", 30, "@id", "shared")
        for client in (one, two, ear):
            heard = []
            while not heard or heard[-1].address != "/done":
                heard.append(client.receive())
            assert [m.address for m in heard].count("/clip") == 1
            progress = [m.arguments for m in heard if m.address == "/progress"]
            assert len(progress) == len(set(progress))
            if client is ear:
                assert [m.address for m in heard].count("/queued") == 1
        two.send("/generate", "rain", 1, "@model", "slow-toy", "@steps", 30, "@id", "shared")
        assert [two.receive().address for _ in range(3)] == ["/queued", "/clip", "/done"]
        ear.ask("/notify", 0, reply="/done")
        with pytest.raises(TimeoutError):
            ear.receive(0.2)


def test_an_address_pattern_reaches_every_match(daemon):
    with daemon.client() as client:
        client.send("/{version,status}")
        assert {client.receive().address for _ in range(2)} == {"/version.reply", "/status.reply"}


@pytest.mark.parametrize("wrap", [slip.encode, lambda p: len(p).to_bytes(4, "big") + p], ids=["slip", "prefix"])
def test_tcp_in_both_framings(daemon, wrap):
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=10) as connection:
        framing, heard = Framing(), []
        connection.sendall(wrap(encode_message("/version")) + wrap(encode_message("/generate", "tcp", 0.25)))
        while not heard or heard[-1].address != "/done":
            for packet in framing.feed(connection.recv(65536)):
                heard += decode_packet(packet)
    assert heard[0].address == "/version.reply"
    assert "/clip" in [m.address for m in heard]


def test_a_tcp_stream_that_cannot_be_followed_is_told_and_closed(daemon):
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=10) as connection:
        connection.sendall((1 << 20).to_bytes(4, "big"))
        data = b""
        while piece := connection.recv(65536):
            data += piece
    assert b"bad_packet" in data


def test_a_client_that_leaves_in_the_middle_harms_nobody(daemon):
    connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=10)
    connection.sendall(slip.encode(encode_message("/notify", 1)) + slip.encode(encode_message("/generate", "x", 0.5)))
    connection.close()
    with daemon.client() as client:
        client.send("/generate", "gone", 0.25)
        client.close()
    with daemon.client() as client:
        assert list(client.generate("rain", 0.25))[-1].address == "/done"


def test_a_prompt_of_any_script_and_a_long_one_work(daemon):
    with daemon.client() as client:
        for prompt in ("波の音 🌊", "Möwen", "word " * 390, "CON", "../../etc/passwd", "a/b\\c:d*e?"):
            heard = list(client.generate(prompt, 0.25, seed=1))
            assert heard[-1].address == "/done", heard[-1]
            path = next(m for m in heard if m.address == "/clip").arguments[2]
            assert path.startswith(str(daemon.folder))
            assert path.count("/") == str(daemon.folder).count("/") + 1


def test_the_client_raises_what_the_daemon_refuses(daemon):
    with daemon.client() as client, pytest.raises(ClipsonicError, match="port"):
        client.ask("/notify", 1, 0, reply="/done")
