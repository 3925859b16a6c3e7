"""Files whose headers lie, recipes without an end, and what is no file at all."""

import io
import os
import struct
import time

import numpy as np
import pytest
import soundfile

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats.files import SUFFIXES, read_clip, read_format, read_recipe, write_clip
from plugin_server.audio.formats.recipes import MAX_RECIPE_BYTES
from plugin_server.errors import BadFile
from tests.support.odd_files import ODD_KINDS, make_odd, posix


def lying_wav(n_channels=1, rate=8000, bits=24, frame=3, length=300, data=bytes(300), coding=1):
    fmt = struct.pack("<HHIIHH", coding, n_channels, rate, 0, frame, bits)
    chunks = b"fmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", length) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def lying_flac(n_frames, n_channels=1, rate=8000):
    """A FLAC file of some noise, whose header says something else."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(500, "int16"), 8000, "PCM_16", format="FLAC")
    content = bytearray(file.getvalue())
    packed = (rate << 44) | ((n_channels - 1) << 41) | (15 << 36) | n_frames
    content[18:26] = packed.to_bytes(8, "big")
    return bytes(content)


def lying_aiff(n_frames, n_channels=1, exponent=0x400B):
    comm = struct.pack(">hIhHQ", n_channels, n_frames, 16, exponent, 0xFA00 << 48)
    body = b"AIFF" + b"COMM" + struct.pack(">I", 18) + comm + b"SSND" + struct.pack(">III", 8 + 200, 0, 0) + bytes(200)
    return b"FORM" + struct.pack(">I", len(body)) + body


@pytest.mark.parametrize(
    "content",
    [
        lying_wav(n_channels=0),
        lying_wav(n_channels=65535),
        lying_wav(rate=0),
        lying_wav(rate=1),
        lying_wav(rate=2**32 - 1),
        lying_wav(bits=0),
        lying_wav(bits=65535),
        lying_wav(length=2**32 - 1),
        lying_wav(length=2**31),
        lying_flac(2**36 - 1),
        lying_flac(2**32),
        lying_flac(500, rate=0),
        lying_flac(500, rate=1),
        lying_aiff(2**32 - 1),
        lying_aiff(100, n_channels=0),
        lying_aiff(100, n_channels=-1),
        lying_aiff(100, n_channels=32767),
        lying_aiff(100, exponent=0x7FFF),
        lying_aiff(100, exponent=0),
        b"FORM\xff\xff\xff\xffAIFF",
        b"fLaC" + b"\x00\x00\x00\x00" * 50_000,
        b"RIFF" + struct.pack("<I", 400_000) + b"WAVE" + bytes(400_000),
    ],
    ids=range(22),
)
def test_a_header_that_lies_is_harmless(tmp_path, content):
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    began = time.monotonic()
    for read in (read_clip, read_format, read_recipe):
        try:
            found = read(path)
        except BadFile as error:
            assert "x.wav" in str(error)
        else:
            # Less than the header says is there, which is as much as there is.
            assert read is not read_recipe and (read is read_format or found.n_frames <= 500)
    assert time.monotonic() - began < 2


def test_a_file_that_is_too_long_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(lying_wav(length=2**32 - 108, data=b""))
    os.truncate(path, 2**32 - 64)
    began = time.monotonic()
    with pytest.raises(BadFile, match="too long: it has 1431655729 samples, expected at most 134217728"):
        read_clip(path)
    assert read_format(path).n_frames == 1431655729
    assert time.monotonic() - began < 1


def test_samples_that_are_no_numbers_become_silence_and_full_scale(tmp_path):
    path = tmp_path / "x.wav"
    samples = np.array([np.nan, np.inf, -np.inf, 2.5], "<f4").tobytes()
    path.write_bytes(lying_wav(bits=32, frame=4, coding=3, length=16, data=samples))
    assert read_clip(path).samples[:, 0].tolist() == [0, 1, -1, 2.5]


@posix
@pytest.mark.parametrize("kind", ODD_KINDS)
@pytest.mark.parametrize("read", [read_clip, read_format, read_recipe])
def test_what_is_no_file_is_refused(tmp_path, read, kind):
    make_odd(tmp_path / "odd.wav", kind)
    with pytest.raises(BadFile, match=r"odd\.wav cannot be read"):
        read(tmp_path / "odd.wav")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_recipe_is_read_up_to_a_bound(tmp_path, suffix):
    path = tmp_path / f"x{suffix}" if suffix != ".aif" else tmp_path / "x.aiff"
    write_clip(path, Clip.mono(np.zeros(100), 8000), None, {"prompt": "x" * (MAX_RECIPE_BYTES - 15)})
    assert len(read_recipe(path)["prompt"]) == MAX_RECIPE_BYTES - 15
    path.unlink()
    write_clip(path, Clip.mono(np.zeros(100), 8000), None, {"prompt": "x" * MAX_RECIPE_BYTES})
    with pytest.raises(BadFile, match="its recipe has 1048590 bytes, expected at most 1048576"):
        read_recipe(path)
