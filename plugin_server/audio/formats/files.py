"""Clips in WAV, FLAC or AIFF files: written whole or not at all, and read with their recipes."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from plugin_server.audio.clip import Clip
from plugin_server.audio.formats import aiff, flac, wav
from plugin_server.audio.formats.metadata import ClipMetadata
from plugin_server.audio.formats.partial_files import partial_path
from plugin_server.audio.formats.sample_format import SampleFormat
from plugin_server.errors import BadFile, FolderNotWritable
from plugin_server.untrusted_files import open_file


class AudioFormat(Protocol):
    """The functions of each format's module. Reading raises BadFile that names the path."""

    def encode(self, clip: Clip, metadata: ClipMetadata, recipe: Mapping[str, object] | None, bits: int) -> bytes:
        """Return a clip as a file of 16 or 24 bits. Raises ValueError for what cannot be encoded."""
        ...

    def read_clip(self, path: Path) -> Clip:
        """Read a clip's samples and sample rate."""
        ...

    def read_format(self, path: Path) -> SampleFormat:
        """Read what the header says of the samples."""
        ...

    def read_recipe(self, path: Path) -> dict[str, object]:
        """Read the recipe that made a clip."""
        ...


FORMATS: dict[str, AudioFormat] = {"wav": wav, "flac": flac, "aiff": aiff}
SUFFIXES = (".wav", ".flac", ".aiff", ".aif")
"""Endings of the files that hold clips."""
_BY_MAGIC: dict[bytes, AudioFormat] = {b"RIFF": wav, b"fLaC": flac, b"FORM": aiff}


def write_clip(
    path: Path,
    clip: Clip,
    metadata: ClipMetadata | None = None,
    recipe: Mapping[str, object] | None = None,
    bits: int = 24,
    *,
    overwrite: bool = False,
) -> None:
    """Write a clip of 16 or 24 bits, rounded without dither, in the format of the path's ending, under a free name.

    Samples are the same in every format. `recipe` must be JSON. Raises ValueError for what cannot be written,
    FileExistsError when the name is taken and not to be overwritten, FolderNotWritable when the folder is full or may
    not be written; then nothing is left behind, and a file that was there stays as it was.
    """
    name = path.suffix.lower().removeprefix(".")
    if name not in FORMATS:
        raise ValueError(f"path: got {path.name!r}, expected one that ends with .{', .'.join(FORMATS)}")
    content = FORMATS[name].encode(clip, metadata or ClipMetadata(), recipe, bits)
    write_whole(path, content, os.replace if overwrite else rename_new)


def read_clip(path: Path) -> Clip:
    """Read a clip, full scale at -1 and 1; samples of float files may lie outside. Raises BadFile."""
    return _format_of(path).read_clip(path)


def read_format(path: Path) -> SampleFormat:
    """Read what the header says of the samples, without them. Raises BadFile."""
    return _format_of(path).read_format(path)


def read_recipe(path: Path) -> dict[str, object]:
    """Read the recipe of a clip without its samples. Raises BadFile when the file holds none."""
    return _format_of(path).read_recipe(path)


def read_description(path: Path) -> tuple[dict[str, object], SampleFormat]:
    """Read the recipe of a clip and what the header says of its samples. Raises BadFile when the file holds none."""
    audio_format = _format_of(path)
    return audio_format.read_recipe(path), audio_format.read_format(path)


def _format_of(path: Path) -> AudioFormat:
    """Return the format by a file's first bytes, not its name; WAV, whose reader refuses it, for any other file."""
    with open_file(path) as file:
        try:
            return _BY_MAGIC.get(file.read(4), wav)
        except OSError as error:
            raise BadFile(f"{path} cannot be read: {error.strerror or error}") from error


def write_whole(path: Path, content: bytes, name_file: Callable[[Path, Path], None], mode: int = 0o666) -> None:
    """Write a temporary file, flush it to the disk, then name it: a program that watches the folder sees whole files.

    `name_file` is `rename_new`, or `os.replace`; `mode` says who may read it, less what the person's umask forbids.
    Raises FileExistsError when it does, and FolderNotWritable.
    """
    temporary = partial_path(path)
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        name_file(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        raise FolderNotWritable(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        # A virus scanner may hold it for a moment on Windows; the clip itself is there by then.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def rename_new(old: Path, new: Path) -> None:
    """Rename a file without ever replacing another one. Raises FileExistsError.

    A hard link fails where the name is taken, in one step, on NTFS, APFS and Linux's file systems. To reserve
    the name with an empty file instead would show that file to a sampler. File systems without links (exFAT) get
    a look and a rename, which leaves a moment for another writer; not on Windows, whose rename never replaces.
    """
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:
        if new.exists():
            raise FileExistsError(new) from None
        old.rename(new)
