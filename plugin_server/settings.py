"""Settings of the daemon: defaults, then the settings file, then the environment, then flags."""

import hashlib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import platformdirs

from plugin_server.errors import BadFile, BadSettings, short_repr
from plugin_server.untrusted_files import read_toml

APP = "clipsonic"
SHIPPED_BUNDLES = Path(__file__).parent / "bundles"
PRESETS = (Path(__file__).parent / "presets", Path(__file__).parent.parent / "presets")
"""Where an installed package has its banks and clients, and where a checkout has them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a daemon, which hold from its start to its end. Raises BadSettings for one out of range."""

    osc_port: int = 9460
    """UDP and TCP port; 0 takes a free one."""
    http_port: int = 9461
    """TCP port of OSCQuery; 0 takes a free one, and so does a port that another program has."""
    folder: Path | None = None
    """Sample folder; None means `default_folder()`."""
    model: str = "clipsonic-mini"
    """Name of the bundle that answers when a request names none."""
    bank: str = "mixed"
    """Name of the prompt bank that is under the pads until another one is loaded."""
    bank_folder: Path | None = None
    """Your own prompt banks; None means `default_bank_folder()`."""
    latency_ms: float = 15.0
    """How far ahead the live output is rendered, 5 to 500 ms: more where /levels tells of underruns."""
    midi: str = ""
    """MIDI input that fires slots: its name or a part of it, 'virtual' for a port of our own, or '' for none."""
    device: str = "auto"
    """'auto' (CUDA, then CoreML, then the CPU), 'cuda', 'coreml' or 'cpu'."""
    sample_rate: int = 48000
    """Hertz of the clips: the host's, 44100 or 48000."""
    bits: int = 24
    """Bits of a sample in a clip's file: 16 or 24."""
    loudness_lufs: float = -18.0
    """Loudness of a clip, -60 to -6 LUFS."""
    queue_size: int = 64
    """How many jobs may wait, 1 to 10000."""
    threads: int = 0
    """Threads of the engine, at most 256; 0 takes one for every core."""
    index_folder: Path | None = None
    """Where the library keeps the index of a sample folder; None means `default_index_folder()`."""
    lan: bool = False
    """Listen on the local network too, for the hosts of `allow`."""
    allow: tuple[str, ...] = ()
    """IPv4 addresses and networks that are answered besides this machine, with `lan`."""
    advertise: bool = True
    """Tell zeroconf browsers where the daemon is: on this machine, with `lan` on the network."""

    def __post_init__(self) -> None:
        _check_range("osc_port", self.osc_port, 0, 65535)
        _check_range("http_port", self.http_port, 0, 65535)
        # In any case, as the names of models and banks.
        object.__setattr__(self, "device", self.device.strip().lower())
        _check_choice("device", self.device, ("auto", "cuda", "coreml", "cpu"))
        _check_choice("sample_rate", self.sample_rate, (44100, 48000))
        _check_choice("bits", self.bits, (16, 24))
        _check_range("loudness_lufs", self.loudness_lufs, -60, -6)
        _check_range("latency_ms", self.latency_ms, 5, 500)
        _check_range("queue_size", self.queue_size, 1, 10_000)
        _check_range("threads", self.threads, 0, 256)
        for entry in self.allow:
            _check_network("allow", entry)
        if self.lan and not self.allow:
            raise BadSettings(
                "allow: got no hosts, expected those that may ask, as in --lan --allow 192.168.1.20,192.168.1.21 "
                "or --lan --allow 192.168.1.0/24"
            )

    @property
    def clip_folder(self) -> Path:
        """The absolute path of the folder that clips go to."""
        return (self.folder or default_folder()).expanduser().absolute()

    @property
    def bank_folders(self) -> tuple[Path, Path]:
        """The folders of prompt banks, the own one first: its banks win over shipped ones of the same name."""
        return ((self.bank_folder or default_bank_folder()).expanduser().absolute(), shipped_presets("banks"))

    @property
    def index_path(self) -> Path:
        """The path of the sample folder's index: one for each, named by the folder and a hash of where it lies."""
        folder = os.path.normcase(os.path.realpath(self.clip_folder))
        name = re.sub(r"\W+", "-", self.clip_folder.name)[:40]
        checksum = hashlib.blake2s(os.fsencode(folder), digest_size=4).hexdigest()
        return self.data_folder / f"{name}-{checksum}.sqlite3"

    @property
    def data_folder(self) -> Path:
        """The absolute path of the folder that indexes lie in, and what else is kept between two starts."""
        return (self.index_folder or default_index_folder()).expanduser().absolute()

    @property
    def daemons_folder(self) -> Path:
        """The folder in which daemons that run keep their records."""
        return self.data_folder / "daemons"


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise BadSettings(f"{name}: got {value}, expected {low} to {high}")


def _check_choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise BadSettings(f"{name}: got {short_repr(value)}, expected one of {', '.join(map(str, allowed))}")


def _check_network(name: str, entry: str) -> None:
    try:
        ipaddress.IPv4Network(entry, strict=False)
    except ValueError as error:
        expected = "an IPv4 address or network, as 192.168.1.20 or 192.168.1.0/24"
        raise BadSettings(f"{name}: got {short_repr(entry)}, expected {expected}") from error


def load_settings(flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this user; later sources win over earlier ones.

    Args:
        flags: The last source: values by the names of settings; None leaves what came before.
        environ: Variables, those of the process by default. The first source is the settings file, which
            `CLIPSONIC_SETTINGS` may name, the second are the variables `CLIPSONIC_*`.

    Raises:
        BadSettings: A setting is unknown or cannot be understood, or the file cannot be read. The sentence names the
            setting, and the file where it stands there.
    """
    environ = os.environ if environ is None else environ
    chosen = environ.get("CLIPSONIC_SETTINGS")
    path = Path(chosen or default_settings_path())
    in_file = _read_file(path) if chosen or os.path.lexists(path) else {}
    others: dict[str, object] = {
        f.name: environ[_variable(f.name)] for f in fields(Settings) if environ.get(_variable(f.name))
    }
    others |= {name: value for name, value in (flags or {}).items() if value is not None}
    types = get_type_hints(Settings)
    # Each value is read as its setting is declared.
    typed: dict[str, Any] = {name: _read_value(types[name], name, value) for name, value in others.items()}
    checked: dict[str, Any] = {name: _check_in_file(path, types[name], name, value) for name, value in in_file.items()}
    try:
        return Settings(**(checked | typed))
    except BadSettings as error:
        name = str(error).partition(":")[0]
        if name in in_file and name not in others:
            raise BadSettings(f"{path}: {error}") from error
        raise


def _variable(name: str) -> str:
    return f"CLIPSONIC_{name.upper()}"


def _read_file(path: Path) -> dict[str, object]:
    try:
        values = read_toml(path)
    except BadFile as error:
        raise BadSettings(str(error)) from error
    known = [f.name for f in fields(Settings)]
    for name in values:
        if name not in known:
            raise BadSettings(f"{path}: unknown setting {short_repr(name)}; known are {', '.join(known)}")
    return values


def _kind(declared: Any) -> type:
    """Return the type of a setting's value where there is one: `Path | None` is a path."""
    return declared if isinstance(declared, type) else next(iter(get_args(declared)))


EXPECTED = {bool: "true or false", int: "a whole number", float: "a number"}
"""By the types of settings, what a sentence calls their values; all others are text."""


def _check_type(declared: Any, name: str, value: object) -> object:
    """Return a value of the file, which has to be of the type that its setting is declared with. Raises BadSettings."""
    if get_origin(declared) is tuple:
        return _read_list(name, value)
    kind = _kind(declared)
    allowed = {bool: bool, int: int, float: int | float}.get(kind, str)
    if not isinstance(value, allowed) or isinstance(value, bool) != (kind is bool):
        raise BadSettings(f"{name}: got {short_repr(value)}, expected {EXPECTED.get(kind, 'text')}")
    return kind(value)


def _check_in_file(path: Path, declared: Any, name: str, value: object) -> object:
    """Return what `_check_type` does. Raises BadSettings that names the file."""
    try:
        return _check_type(declared, name, value)
    except BadSettings as error:
        raise BadSettings(f"{path}: {error}") from error


def _read_value(declared: Any, name: str, value: object) -> object:
    """Return the value of a flag, or the text of a variable, as its setting is declared. Raises BadSettings."""
    if declared is bool:
        return _read_switch(name, value)
    if get_origin(declared) is tuple:
        return _read_list(name, value)
    kind: Any = _kind(declared)
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        expected = EXPECTED.get(kind, "text")
        raise BadSettings(f"{name}: got {short_repr(value)}, expected {expected}") from error


def _read_switch(name: str, value: object) -> bool:
    switches = {"1": True, "true": True, "0": False, "false": False}
    try:
        return switches[str(value).lower()]
    except KeyError as error:
        raise BadSettings(f"{name}: got {short_repr(value)}, expected true or false") from error


def _read_list(name: str, value: object) -> tuple[str, ...]:
    """Return the texts of a list, or of one text with commas. Raises BadSettings."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise BadSettings(f"{name}: got {short_repr(value)}, expected a list of texts")
    return tuple(part.strip() for part in parts if part.strip())


def default_settings_path() -> Path:
    """Return the path of this user's settings file."""
    return platformdirs.user_config_path(APP, appauthor=False) / "settings.toml"


def default_folder(home: Path | None = None) -> Path:
    """Return Samples/Clipsonic in Ableton's User Library where there is one, else Clipsonic in the music folder.

    Live watches its User Library, so new clips appear in its browser by themselves.
    """
    home = home or Path.home()
    for library in (home / "Music/Ableton/User Library", home / "Documents/Ableton/User Library"):
        if library.is_dir():
            return library / "Samples" / "Clipsonic"
    return platformdirs.user_music_path() / "Clipsonic"


def default_index_folder() -> Path:
    """Return the folder of this user's indexes of sample folders."""
    return platformdirs.user_data_path(APP, appauthor=False) / "library"


def bundle_folders() -> tuple[Path, ...]:
    """Return the folders of bundles, own ones first: they win over shipped ones of the same name."""
    return (platformdirs.user_data_path(APP, appauthor=False) / "bundles", SHIPPED_BUNDLES)


def shipped_presets(kind: Literal["banks", "clients"]) -> Path:
    """Return the folder of the prompt banks or clients that came with the package, or that the checkout has."""
    return next((presets / kind for presets in PRESETS if (presets / kind).is_dir()), PRESETS[0] / kind)


def default_bank_folder() -> Path:
    """Return the folder of this user's own prompt banks."""
    return platformdirs.user_config_path(APP, appauthor=False) / "banks"
