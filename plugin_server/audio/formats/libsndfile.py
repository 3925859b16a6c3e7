"""Samples of FLAC and AIFF files, encoded and read by libsndfile."""

import io
from pathlib import Path

from plugin_server.audio.clip import Clip, to_integers
from plugin_server.errors import BadFile

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
    import soundfile

    try:
        samples, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise BadFile(f"{path} cannot be read: {error}") from error
    try:
        return Clip(samples, sample_rate)
    except ValueError as error:
        raise BadFile(f"{path}: {error}") from error


def read_rate(path: Path) -> int:
    """Read the sample rate in Hertz. Raises BadFile."""
    import soundfile

    try:
        return int(soundfile.info(path).samplerate)
    except (OSError, RuntimeError) as error:
        raise BadFile(f"{path} cannot be read: {error}") from error
