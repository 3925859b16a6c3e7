"""A MIDI keyboard on a virtual port: notes and programs that really travel, through JACK, which needs no sound card."""

import os
import time

import pytest

from plugin_server.client import Client
from plugin_server.protocol.transports.midi import LOOK_S
from tests.journeys.conftest import jack_server, serving
from tests.journeys.test_banks import MINE

mido = pytest.importorskip("mido")
pytest.importorskip("rtmidi")

JACK = "mido.backends.rtmidi/UNIX_JACK"
TWO = MINE + '\n[[slots]]\nname = "Far key"\nprompt = "wind"\nnote = 100\n'


def find_output(backend: mido.Backend) -> str:
    for _ in range(100):
        for name in backend.get_output_names():
            if "Clipsonic Live" in name:
                return name
        time.sleep(0.1)
    raise AssertionError("no port of that name")


def until(client: Client, *wanted: object) -> tuple:
    """The first message that begins so; the arguments."""
    while True:
        message = client.receive(20)
        if (message.address, *message.arguments)[: len(wanted)] == wanted:
            return message.arguments


@pytest.fixture
def keyboard(tmp_path, monkeypatch):
    """A daemon with a virtual port and two banks of its own, and what plays into that port."""
    (tmp_path / "banks").mkdir()
    for name in ("aaa", "mine"):
        (tmp_path / "banks" / f"{name}.toml").write_text(TWO)
    name = f"clipsonic-midi-{os.getpid()}"
    with jack_server(name):
        jack = {"JACK_DEFAULT_SERVER": name, "JACK_NO_START_SERVER": "1"}
        more = {"MIDO_BACKEND": JACK, "CLIPSONIC_MIDI": "virtual", "CLIPSONIC_BANK": "mine"}
        with serving(tmp_path, **more, **jack) as daemon:
            for variable, value in jack.items():
                monkeypatch.setenv(variable, value)
            backend = mido.Backend(JACK)
            with backend.open_output(find_output(backend)) as port, Client(daemon.port) as client:
                client.ask("/notify", 1, reply="/done")
                yield daemon, port, client


def test_notes_fire_slots_and_programs_load_banks(keyboard):
    daemon, port, client = keyboard
    assert "MIDI comes in through 'Clipsonic Live'" in daemon.lines
    port.send(mido.Message("note_on", note=100, velocity=80))
    job = until(client, "/queued")[0]
    assert until(client, "/clip", job)[2].endswith("far-key_0.5s_s2_t1.wav")
    # It sounds, or there is no device to sound on: all who follow hear which.
    while True:
        message = client.receive(20)
        if message.address in ("/done", "/fail") and message.arguments[0] == "/bank/fire":
            break
    assert message.address == "/done" or message.arguments[1] == "device_unavailable"
    port.send(mido.Message("program_change", program=0))
    assert until(client, "/done", "/bank/load")[1:] == ("aaa", 3)
    port.send(mido.Message("program_change", program=127))
    assert "bank: got number 127" in until(client, "/fail", "/bank/load")[2]


def test_an_input_that_is_not_there_keeps_nothing_from_starting(tmp_path):
    with serving(tmp_path, CLIPSONIC_MIDI="moon") as daemon, Client(daemon.port) as client:
        assert any(line.startswith("MIDI: 'moon' ") for line in daemon.lines)
        assert client.ask("/status", reply="/status.reply")[0] == 1


def test_an_input_is_opened_when_it_comes_and_again_when_it_comes_back(tmp_path, monkeypatch):
    (tmp_path / "banks").mkdir()
    (tmp_path / "banks" / "mine.toml").write_text(TWO)
    name = f"clipsonic-late-{os.getpid()}"
    with jack_server(name):
        jack = {"JACK_DEFAULT_SERVER": name, "JACK_NO_START_SERVER": "1"}
        more = {"MIDO_BACKEND": JACK, "CLIPSONIC_MIDI": "late keys", "CLIPSONIC_BANK": "mine"}
        with serving(tmp_path, **more, **jack) as daemon, Client(daemon.port) as client:
            assert "MIDI: 'late keys' is not there; it is opened when it is there" in daemon.lines
            for variable, value in jack.items():
                monkeypatch.setenv(variable, value)
            client.ask("/notify", 1, reply="/done")
            backend = mido.Backend(JACK)
            for number in (126, 127):
                with backend.open_output("Late Keys", virtual=True, client_name="keys") as port:
                    press_until_heard(client, port, number)
                # The daemon sees that it is gone before it comes back.
                time.sleep(2 * LOOK_S)


def press_until_heard(client: Client, port: mido.ports.BaseOutput, number: int) -> None:
    """Send a program change until it is answered."""
    for _ in range(40):
        port.send(mido.Message("program_change", program=number))
        try:
            while True:
                message = client.receive(0.5)
                if message.address == "/fail" and f"bank: got number {number}" in message.arguments[2]:
                    return
        except TimeoutError:
            continue
    raise AssertionError("the input was not opened")
