"""All that the record takes from the project itself: a daemon with toy bundles, and an output without a device."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from plugin_server.settings import Settings
from tests.conftest import running_daemon
from tests.support.outputs import HandOutput, player_on
from tests.support.toys import write_toy

CHECKOUT = Path(__file__).parent.parent.parent
PACKAGE = "plugin_server"
"""Run by `python -m`."""
EXPORT = "onnx_export"
MINI = CHECKOUT / "plugin_server" / "bundles" / "clipsonic-mini"

SOUNDDEVICE = """
class PortAudioError(Exception):
    pass

def query_devices():
    return [
        {"name": "Speakers", "index": 0, "max_output_channels": 2, "default_samplerate": 48000.0},
        {"name": "Microphone", "index": 1, "max_output_channels": 0, "default_samplerate": 44100.0},
        {"name": "Interface", "index": 2, "max_output_channels": 8, "default_samplerate": 96000.0},
    ]

def get_portaudio_version():
    return 1, "PortAudio of the tests"

def check_output_settings(**settings):
    pass

def _initialize():
    pass

_terminate = _initialize

def OutputStream(**settings):
    raise PortAudioError("no such stream")
"""
"""Stands where sounddevice does, so that the record is the same with PortAudio and without, whatever is plugged in."""
MISSING = ("aalink", "mido", "rtmidi", "av", "pillow_heif")
"""Extras that are installed on some machines only: none of them can be imported."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A daemon that runs, and the ports that it is on."""

    folder: Path
    osc_port: int
    http_port: int


def write_stand_ins(folder: Path) -> None:
    """Modules that stand before those that are installed, for PYTHONPATH."""
    folder.mkdir(parents=True)
    (folder / "sounddevice.py").write_text(SOUNDDEVICE)
    for name in MISSING:
        (folder / f"{name}.py").write_text(f'raise ModuleNotFoundError("No module named {name}", name="{name}")\n')


def write_toys(folder: Path) -> None:
    """'toy', which is quick and takes pictures, and 'slow-toy', which takes its time and takes words alone."""
    write_toy(folder, pictures=True)
    write_toy(folder, "slow-toy", burn=700)


def write_picture(path: Path, colour: str) -> None:
    """A picture of one colour."""
    Image.new("RGB", (30, 20), colour).save(path)


def write_lesson(path: Path) -> None:
    """A picture that means something to the shipped model: two colours, the upper one bright."""
    picture = Image.new("RGB", (64, 64), (40, 90, 160))
    picture.paste((200, 220, 240), (0, 0, 64, 32))
    picture.save(path)


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """A daemon with toys, without zeroconf, Link or a real device. `folder` gets its clips, banks and index."""
    write_toys(folder / "bundles")
    write_stand_ins(folder / "stand-ins")
    settings = Settings(
        osc_port=0,
        http_port=0,
        folder=folder / "clips",
        model="toy",
        bank="mine",
        device="cpu",
        threads=1,
        queue_size=4,
        advertise=False,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "aalink", None)
        patch.delitem(sys.modules, "sounddevice", raising=False)
        patch.syspath_prepend(folder / "stand-ins")
        patch.setenv("PYTHONPATH", str(folder / "stand-ins"))
        with running_daemon(settings, folder / "bundles", player_on([HandOutput()])) as running:
            yield Stage(settings.folder, running.port, running.daemon.network.web.port)
        # What was imported meanwhile is the stand-in.
        patch.delitem(sys.modules, "sounddevice", raising=False)
