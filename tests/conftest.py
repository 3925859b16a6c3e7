"""A daemon with toy bundles for every test that talks to one, and settings of the tests' own."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from plugin_server import server
from plugin_server.audio.names import unique_path
from plugin_server.audio.playback.player import Player
from plugin_server.benchmarks.daemon_thread import daemon_in_thread
from plugin_server.client import Client
from plugin_server.engine.messages import EngineOptions
from plugin_server.engine.process.client import EngineClient
from plugin_server.settings import Settings
from plugin_server.stop_signals import STOP_SIGNALS
from tests.support.toys import write_toy

HOME_FOLDERS = {"XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config", "XDG_MUSIC_DIR": "music"}
"""Folders of a person on Linux, by the variables that name them."""


@pytest.fixture(scope="session")
def toys(tmp_path_factory) -> Path:
    """Return a folder with two bundles.

    'toy' is quick and takes pictures; 'slow-toy' takes some 10 ms a step, and words only.
    """
    folder = tmp_path_factory.mktemp("bundles")
    write_toy(folder, pictures=True)
    write_toy(folder, "slow-toy", burn=700)
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory) -> Iterator[Path]:
    """Keep the tests, and what they start, out of the data, the banks, the music and the trash of who runs them."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for variable, name in HOME_FOLDERS.items():
            patch.setenv(variable, str(home / name))
        if sys.platform == "darwin":
            patch.setenv("HOME", str(home))
        yield home


@pytest.fixture(scope="session", autouse=True)
def heard_signals() -> None:
    """Let what the tests start hear the signals that `nohup`, or a script's background, has this process ignore."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) == signal.SIG_IGN:
            # What is handled is the default in a program that is started; what is ignored stays so.
            signal.signal(number, lambda _number, _frame: None)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    """Hide the settings of the person who runs the tests."""
    path = tmp_path.with_name(f"{tmp_path.name}-settings.toml")
    path.touch()
    monkeypatch.setenv("CLIPSONIC_SETTINGS", str(path))


@pytest.fixture(scope="module")
def engine(toys) -> Iterator[EngineClient]:
    """Yield one engine process for a module's tests."""
    engine = EngineClient(EngineOptions((toys,), device="cpu", threads=1))
    engine.start("toy")
    yield engine
    engine.stop()


@dataclass
class Running:
    """A daemon in a thread of this process; its engine is a real process."""

    daemon: server.Daemon
    port: int
    folder: Path

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Yield a client of the daemon."""
        with Client(self.port) as client:
            yield client


def trash_in(folder: Path) -> Callable[[Path], None]:
    """Return a trash of the tests' own: the folder 'trash' in `folder`."""

    def move(path: Path) -> None:
        (folder / "trash").mkdir(parents=True, exist_ok=True)
        path.rename(unique_path(folder / "trash", path.stem, path.suffix))

    return move


@contextmanager
def running_daemon(settings: Settings, toys: Path, player: Player | None = None) -> Iterator[Running]:
    """Run a daemon with the toys as its bundles, and stop it at the end. Own banks lie in 'banks' beside the clips."""
    beside = settings.clip_folder.parent
    settings = replace(
        settings,
        index_folder=settings.index_folder or beside / "library",
        bank_folder=settings.bank_folder or beside / "banks",
    )
    trash = trash_in(settings.index_folder)
    with daemon_in_thread(lambda: server.run_daemon(settings, player, bundles=(toys,), trash=trash)) as daemon:
        yield Running(daemon, daemon.endpoints.port, settings.clip_folder)


@pytest.fixture(scope="module")
def daemon(toys, tmp_path_factory) -> Iterator[Running]:
    """Yield one daemon for a module's tests."""
    folder = tmp_path_factory.mktemp("clips")
    settings = Settings(osc_port=0, folder=folder, model="toy", device="cpu", threads=1, queue_size=4)
    with running_daemon(settings, toys) as running:
        yield running
