"""Decoded clips: each decoded once while it is known, and no more of them held than fit."""

from collections import OrderedDict
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from plugin_server.audio.finish import resample
from plugin_server.audio.formats.files import read_clip, read_format
from plugin_server.audio.playback.voice import to_stereo
from plugin_server.errors import BadFile, QueueFull

CACHE_BYTES = 256 * 2**20
"""Decoded clips that are cached, so that playing one again starts at once."""
HELD_BYTES = 1024 * 2**20
"""Decoded clips in memory, those included that are cached no more and still sound."""
MAX_CLIP_S = 600.0
"""Seconds of the longest clip that is played."""
MAX_FILE_BYTES = 1024 * 2**20
"""Bytes of the largest file that is decoded."""
_Key = tuple[Path, int, int, int]


class ClipCache:
    """Reads clips for a device; to be used by one thread."""

    def __init__(self) -> None:
        self._cached: OrderedDict[_Key, NDArray[np.float32]] = OrderedDict()
        self._held: WeakValueDictionary[_Key, NDArray[np.float32]] = WeakValueDictionary()
        """Those that are cached, and those that a voice still has."""

    def load(self, path: Path, sample_rate: int) -> NDArray[np.float32]:
        """Return a clip as float32 (2, frames) at a rate in Hertz, decoded only where the file is new.

        Raises BadFile, also for one that is too long, and QueueFull when what sounds leaves no memory for it.
        """
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            raise BadFile(f"{path} cannot be read: {error}") from error
        key = (path, status.st_mtime_ns, status.st_size, sample_rate)
        samples = self._cached.get(key)
        if samples is None:
            samples = self._held.get(key)
            if samples is None:
                samples = self._decode(path, status.st_size, sample_rate)
            self._cached[key] = self._held[key] = samples
            self._drop_oldest()
        self._cached.move_to_end(key)
        return samples

    def _decode(self, path: Path, n_bytes: int, sample_rate: int) -> NDArray[np.float32]:
        _check_length(path, n_bytes)
        clip = read_clip(path)
        if not clip.n_frames:
            raise BadFile(f"{path}: holds no samples")
        if clip.seconds > MAX_CLIP_S:
            raise BadFile(_too_long(path, clip.seconds))
        self._make_room(8 * round(clip.seconds * sample_rate))
        return to_stereo(resample(clip, sample_rate).samples)

    def _make_room(self, n_bytes: int) -> None:
        while self._cached and self._n_held() + n_bytes > HELD_BYTES:
            self._cached.popitem(last=False)
        if self._n_held() + n_bytes > HELD_BYTES:
            raise QueueFull(f"the clips that sound fill {HELD_BYTES >> 20} MiB already; /stop some, then play again")

    def _n_held(self) -> int:
        return sum(samples.nbytes for samples in list(self._held.values()))

    def _drop_oldest(self) -> None:
        while len(self._cached) > 1 and sum(samples.nbytes for samples in self._cached.values()) > CACHE_BYTES:
            self._cached.popitem(last=False)


def _check_length(path: Path, n_bytes: int) -> None:
    """Refuse a file by its head where that says enough: a compressed one may be longer than memory is large."""
    if n_bytes > MAX_FILE_BYTES:
        raise BadFile(f"{path}: got {n_bytes >> 20} MiB, expected at most {MAX_FILE_BYTES >> 20} to be played")
    seconds = read_format(path).seconds
    if seconds > MAX_CLIP_S:
        raise BadFile(_too_long(path, seconds))


def _too_long(path: Path, seconds: float) -> str:
    return f"{path}: got {seconds:.0f} s, expected at most {MAX_CLIP_S:g} to be played"
