"""Samples of FLAC and AIFF files, encoded and read by libsndfile."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_server.audio.clip import Clip, finite, to_integers
from plugin_server.audio.formats.sample_format import SampleFormat
from plugin_server.errors import BadFile
from plugin_server.untrusted_files import open_file

if TYPE_CHECKING:
    import soundfile

SUBTYPES = {16: "PCM_16", 24: "PCM_24"}


def encode_samples(clip: Clip, format_name: str, bits: int) -> bytes:
    """Return a file of libsndfile's format `format_name`, with the integers that a WAV file would have.

    Raises ValueError for other bits than 16 and 24.
    """
    # Imported late, as below: only these formats need the library.
    import soundfile

    # libsndfile takes the upper bits of 32.
    integers = to_integers(clip.samples, bits).astype("int32") << (32 - bits)
    file = io.BytesIO()
    soundfile.write(file, integers, clip.sample_rate, SUBTYPES[bits], format=format_name)
    return file.getvalue()


def read_samples(path: Path) -> Clip:
    """Read the clip in a file. Raises BadFile."""
    with _opened(path) as sound:
        _format_of(path, sound).check_size(path)
        samples = sound.read(dtype="float32", always_2d=True)
        return Clip(finite(samples), sound.samplerate)


def read_format(path: Path) -> SampleFormat:
    """Read what the header says of the samples, without them. Raises BadFile."""
    with _opened(path) as sound:
        return _format_of(path, sound)


@contextmanager
def _opened(path: Path) -> "Iterator[soundfile.SoundFile]":
    """Yield a file as libsndfile reads it. Raises BadFile for all that goes wrong meanwhile."""
    import soundfile

    with open_file(path) as file:
        try:
            # By its descriptor where it can be shared with a library of C.
            source = path if sys.platform == "win32" else file.fileno()
            with soundfile.SoundFile(source, closefd=False) as sound:
                yield sound
        except BadFile:
            raise
        # libsndfile reads what strangers wrote, and its wrapper has errors of several kinds.
        except Exception as error:
            raise BadFile(f"{path} cannot be read: {error}") from error


def _format_of(path: Path, sound: "soundfile.SoundFile") -> SampleFormat:
    bits = next((bits for bits, subtype in SUBTYPES.items() if subtype == sound.subtype), 0)
    return SampleFormat(sound.frames, sound.channels, sound.samplerate, bits).checked(path)
