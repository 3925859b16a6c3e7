"""A sound device that plays into nothing: a PulseAudio of one's own with a null sink, for benchmarks and tests."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plugin_server.errors import DeviceUnavailable

PROGRAMS = ("pulseaudio", "parec", "pactl")
ALSA = """
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""
"""ALSA's default, which PortAudio opens, goes to PulseAudio (Debian's libasound2-plugins)."""
FOREIGN = ("PULSE", "XDG", "DBUS")
START_S = 10.0


@contextmanager
def silent_device(folder: Path, sample_rate: int = 44100) -> Iterator[dict[str, str]]:
    """Run the device until the block ends, and give the environment of programs that shall play on it.

    Raises DeviceUnavailable when a program is missing.
    """
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        raise DeviceUnavailable(f"{', '.join(missing)}: not installed (Debian packages pulseaudio, pulseaudio-utils)")
    socket = folder / "pulse.sock"
    (folder / "asound.conf").write_text(ALSA)
    own = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "ALSA_CONFIG_PATH": str(folder / "asound.conf")}
    server_env = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)} | own
    env = server_env | {"PULSE_SERVER": f"unix:{socket}"}
    modules = (
        f"module-null-sink sink_name=null rate={sample_rate} format=float32le channels=2",
        f"module-native-protocol-unix socket={socket} auth-anonymous=1",
    )
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
    command += [part for module in modules for part in ("-L", module)]
    with open(folder / "pulse.log", "wb") as log:
        server = subprocess.Popen(command, env=server_env, stdout=log, stderr=log)
    try:
        _wait(env, folder / "pulse.log")
        yield env
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def recorded(env: dict[str, str], path: Path, sample_rate: int = 44100) -> Iterator[None]:
    """Record what is played meanwhile into a file of float32, two channels, without a header."""
    # Left to itself the null sink wakes up every two seconds, and drops some of what came in between.
    command = ["parec", "--latency-msec=20", "-d", "null.monitor", "--raw", "--format=float32le"]
    with open(path, "wb") as file:
        recorder = subprocess.Popen([*command, f"--rate={sample_rate}", "--channels=2"], env=env, stdout=file)
    try:
        time.sleep(0.5)
        yield
    finally:
        recorder.terminate()
        recorder.wait(10)


def _wait(env: dict[str, str], log: Path) -> None:
    until = time.monotonic() + START_S
    while subprocess.run(["pactl", "info"], env=env, capture_output=True, check=False).returncode:
        if time.monotonic() > until:
            raise DeviceUnavailable(f"PulseAudio does not start: {log.read_text(errors='replace')[-500:]}")
        time.sleep(0.1)
