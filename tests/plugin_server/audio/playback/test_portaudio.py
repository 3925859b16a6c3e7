"""The sound device with a sounddevice that is scripted: no PortAudio, no hardware."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from plugin_server.audio.playback import device
from plugin_server.audio.playback.device import BLOCK_FRAMES, PortAudioOutput, list_outputs
from plugin_server.audio.playback.voice import Voice
from plugin_server.errors import DeviceUnavailable

DEVICES = (
    {"index": 0, "name": "Microphone", "max_output_channels": 0, "default_samplerate": 44100.0},
    {"index": 1, "name": "Speakers", "max_output_channels": 2, "default_samplerate": 44100.0},
    {"index": 2, "name": "Speakers (HDMI)", "max_output_channels": 8, "default_samplerate": 48000.0},
)


class PortAudioError(Exception):
    """As sounddevice's."""


class Stream:
    """An output stream that calls back when the test says so."""

    latency = 0.01

    def __init__(self, **settings: object) -> None:
        self.settings, self.active, self.log = settings, False, []

    def start(self) -> None:
        self.active = True

    def abort(self, **options: bool) -> None:
        self.active = False
        self.log.append(("abort", options))

    def close(self, **options: bool) -> None:
        self.log.append(("close", options))

    def call_back(self, n_frames: int = BLOCK_FRAMES, *, underflow: bool = False) -> np.ndarray:
        out = np.full((n_frames, 2), 9.0, np.float32)
        status = SimpleNamespace(output_underflow=underflow) if underflow else None
        self.settings["callback"](out, n_frames, None, status)
        return out


class SoundDevice:
    """The part of sounddevice that is used."""

    PortAudioError = PortAudioError

    def __init__(self) -> None:
        self.devices = list(DEVICES)
        self.rates = {44100, 48000}
        self.streams: list[Stream] = []
        self.log: list[str] = []
        self.failing: set[str] = set()

    def _initialize(self) -> None:
        self._do("initialize")

    def _terminate(self) -> None:
        self._do("terminate")

    def query_devices(self, number=None, kind=None):
        self._do("query")
        if kind is None:
            return self.devices
        return self.devices[1 if number is None else number]

    def check_output_settings(self, _index, channels, dtype, samplerate) -> None:
        if samplerate not in self.rates:
            raise PortAudioError(f"{samplerate} Hz")
        assert (channels, dtype) == (2, "float32")

    def open_stream(self, **settings: object) -> Stream:
        self._do("open")
        self.streams.append(Stream(**settings))
        return self.streams[-1]

    OutputStream = open_stream

    def _do(self, what: str) -> None:
        self.log.append(what)
        if what in self.failing:
            raise PortAudioError(f"no {what}")


@pytest.fixture
def sounddevice(monkeypatch) -> SoundDevice:
    module = SoundDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr(device, "_check_portaudio_starts", lambda: None)
    monkeypatch.setattr(device, "_request_realtime_priority", lambda: module.log.append("priority"))
    return module


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(device, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_the_default_device_is_opened_in_stereo(sounddevice):
    output = PortAudioOutput("", latency_s=0.03)
    (stream,) = sounddevice.streams
    settings = {key: value for key, value in stream.settings.items() if key != "callback"}
    assert settings == {
        "samplerate": 44100,
        "blocksize": BLOCK_FRAMES,
        "device": 1,
        "channels": 2,
        "dtype": "float32",
        "latency": 0.03,
    }
    assert (output.name, output.mixer.sample_rate, output.is_alive) == ("Speakers", 44100, True)


def test_devices_are_listed_anew_before_one_is_opened(sounddevice):
    PortAudioOutput("")
    assert sounddevice.log[:2] == ["terminate", "initialize"]


@pytest.mark.usefixtures("sounddevice")
def test_a_name_that_is_part_of_another_is_not_ambiguous():
    assert PortAudioOutput("Speakers").name == "Speakers"
    assert PortAudioOutput("Speakers (HDMI)").name == "Speakers (HDMI)"
    assert PortAudioOutput("SPEAKERS  (hdmi)").name == "Speakers (HDMI)"


@pytest.mark.parametrize(("asked", "given"), [(0, 44100), (48000, 48000), (44100, 44100), (96000, 44100)])
def test_the_clips_rate_is_used_where_the_device_has_it(sounddevice, asked, given):
    assert PortAudioOutput("Speakers", asked).mixer.sample_rate == given
    assert sounddevice.streams[0].settings["samplerate"] == given


@pytest.mark.parametrize("name", ["moon", "Microphone", "speaker"])
def test_an_unknown_output_is_refused_with_those_there_are(sounddevice, name):
    with pytest.raises(DeviceUnavailable, match=rf"device: got '{name}', expected one of Speakers, Speakers \(HDMI\)"):
        PortAudioOutput(name)
    assert sounddevice.streams == []


def test_without_outputs_the_sentence_says_so(sounddevice):
    sounddevice.devices = [DEVICES[0]]
    with pytest.raises(
        DeviceUnavailable, match="got 'Speakers', expected one of none: there is no sound output here; connect one"
    ):
        PortAudioOutput("Speakers")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "",
            r"device: the system's default output cannot be opened \(no open\); /device/set chooses another one",
        ),
        (
            "Speakers",
            r"device: Speakers cannot be opened \(no open\): another program may hold it; /device/set",
        ),
    ],
)
def test_a_stream_that_does_not_open_is_one_sentence_with_what_to_do(sounddevice, name, sentence):
    sounddevice.failing = {"open"}
    with pytest.raises(DeviceUnavailable, match=sentence):
        PortAudioOutput(name)


def test_portaudios_own_words_are_not_what_a_machine_without_outputs_says(sounddevice, monkeypatch):
    sounddevice.devices = [DEVICES[0]]
    real = sounddevice.query_devices

    def query_devices(number=None, kind=None):
        if kind:
            raise PortAudioError("Error querying device -1")
        return real(number, kind)

    monkeypatch.setattr(sounddevice, "query_devices", query_devices)
    with pytest.raises(DeviceUnavailable, match="there is no sound output here; connect one, or start") as raised:
        PortAudioOutput("")
    assert "querying" not in str(raised.value)


def test_portaudio_that_does_not_start_is_one_sentence(sounddevice):
    sounddevice.failing = {"initialize"}
    with pytest.raises(DeviceUnavailable, match=r"PortAudio does not start \(no initialize\); start the sound server"):
        PortAudioOutput("")


def test_the_callback_renders_the_mixer(sounddevice):
    output = PortAudioOutput("")
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 300)).astype(np.float32)
    output.mixer.play(Voice(clip))
    (stream,) = sounddevice.streams
    rendered = np.concatenate([stream.call_back(), stream.call_back()])
    assert np.array_equal(rendered[:300].T, clip)
    assert not rendered[300:].any()
    assert output.mixer.frame == 2 * BLOCK_FRAMES


def test_the_first_callback_asks_for_real_time_priority(sounddevice):
    PortAudioOutput("")
    (stream,) = sounddevice.streams
    for _ in range(3):
        stream.call_back()
    assert sounddevice.log.count("priority") == 1


def test_underruns_are_counted(sounddevice):
    output = PortAudioOutput("")
    (stream,) = sounddevice.streams
    for underflow in (False, True, True, False):
        stream.call_back(underflow=underflow)
    assert output.n_underruns == 2


def test_the_frame_that_is_heard_lags_by_the_latency(sounddevice, clock):
    output = PortAudioOutput("")
    (stream,) = sounddevice.streams
    stream.call_back(441)
    clock.now += 0.005
    stream.call_back(441)
    # The second block begins with frame 441, 10 ms after it was asked for.
    assert output.audible_frame == pytest.approx(441 - 0.01 * 44100)
    clock.now += 0.01
    assert output.audible_frame == pytest.approx(441)


def test_a_device_that_stops_asking_is_not_alive(sounddevice, clock):
    output = PortAudioOutput("")
    (stream,) = sounddevice.streams
    stream.call_back()
    assert output.is_alive
    clock.now += device.STALL_S
    assert output.is_alive
    clock.now += 0.01
    assert not output.is_alive
    stream.call_back()
    assert output.is_alive


def test_a_device_that_stopped_long_ago_is_not_alive_at_the_first_look(sounddevice, clock):
    output = PortAudioOutput("")
    (stream,) = sounddevice.streams
    for _ in range(50):
        stream.call_back()
    assert output.is_alive
    for _ in range(500):
        stream.call_back()
    clock.now += 5
    assert not output.is_alive


def test_a_stream_that_portaudio_ended_is_not_alive(sounddevice):
    output = PortAudioOutput("")
    sounddevice.streams[0].active = False
    assert not output.is_alive


def test_closing_does_no_harm_when_the_device_is_gone(sounddevice):
    output = PortAudioOutput("")
    output.close()
    assert sounddevice.streams[0].log == [("abort", {"ignore_errors": True}), ("close", {"ignore_errors": True})]


@pytest.mark.parametrize(("rescan", "log"), [(True, ["terminate", "initialize", "query"]), (False, ["query"])])
def test_outputs_are_listed_with_or_without_a_rescan(sounddevice, rescan, log):
    assert list_outputs(rescan=rescan) == [("Speakers", 2, 44100), ("Speakers (HDMI)", 8, 48000)]
    assert sounddevice.log == log


def test_outputs_that_cannot_be_listed_are_one_sentence(sounddevice):
    sounddevice.failing = {"query"}
    with pytest.raises(DeviceUnavailable, match="the outputs cannot be listed: no query"):
        list_outputs()


def test_without_the_library_of_portaudio_it_is_an_error(monkeypatch):
    class Finder:
        def find_spec(self, name, _path, _target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    monkeypatch.setattr(device, "_check_portaudio_starts", lambda: None)
    with pytest.raises(DeviceUnavailable, match="PortAudio is not installed, so nothing can be played"):
        list_outputs()


@pytest.fixture
def start(monkeypatch):
    """Tries to start PortAudio in another process, with the result that a function gives."""

    def start(run) -> None:
        monkeypatch.setattr(device.subprocess, "run", run)
        device._check_portaudio_starts()

    monkeypatch.setattr(device, "sys", SimpleNamespace(platform="linux", executable=sys.executable))
    device._check_portaudio_starts.cache_clear()
    yield start
    device._check_portaudio_starts.cache_clear()


def test_a_portaudio_that_crashes_its_process_is_never_loaded_here(start):
    ended = subprocess.CompletedProcess([], -6, b"", b"noise\nAssertion failed\n")
    with pytest.raises(DeviceUnavailable, match=r"PortAudio crashes here \(signal 6\): Assertion failed"):
        start(lambda *_, **__: ended)
    # Asked again the next time, when it may have been repaired.
    start(lambda *_, **__: subprocess.CompletedProcess([], 0, b"", b""))


def test_a_portaudio_that_hangs_is_an_error(start):
    def hang(command, **_):
        raise subprocess.TimeoutExpired(command, device.START_TIMEOUT_S)

    with pytest.raises(DeviceUnavailable, match="PortAudio does not start"):
        start(hang)


def test_an_error_of_python_is_left_to_the_import(start):
    start(lambda *_, **__: subprocess.CompletedProcess([], 1, b"", b"OSError: no library"))


def test_no_other_system_needs_another_process(start, monkeypatch):
    monkeypatch.setattr(device, "sys", SimpleNamespace(platform="darwin"))
    start(lambda *_, **__: pytest.fail("a process was started"))


def test_a_system_without_real_time_priority_plays_all_the_same(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(device, "sys", SimpleNamespace(platform="linux"))
    scheduler = SimpleNamespace(sched_setscheduler=refuse, sched_param=lambda priority: priority, SCHED_RR=2)
    monkeypatch.setattr(device, "os", scheduler)
    device._request_realtime_priority()
